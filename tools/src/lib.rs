//! See README.md.

pub mod tensorboard;
