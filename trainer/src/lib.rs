//! See README.md.

pub mod config;
pub mod schedule;
pub mod sites;
