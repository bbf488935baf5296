//! See README.md.

pub mod atomic_file;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod metrics;
pub mod run_dir;
pub mod schedule;
pub mod sites;
