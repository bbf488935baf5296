//! Latent Thought Models (Kong et al., ICML 2025): the decoder, the fast loop that infers each
//! sequence's posterior, the slow step that updates the decoder, and all that a run needs.
//!
//! The `ltm` program in `main.rs` is a thin layer over this library.

pub mod atomic_file;
pub mod bench;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod decoder_update;
pub mod english;
mod error;
pub mod evaluate;
pub mod generate;
pub mod graphs;
pub mod gsm8k;
pub mod latents;
pub mod metrics;
pub mod model;
pub mod parity;
pub mod passes;
pub mod plan;
pub mod posterior;
pub mod probe;
pub mod resources;
pub mod run;
pub mod run_dir;
pub mod schedule;
pub mod self_test;
pub mod sites;
pub mod sweep;
pub mod traffic;
pub mod trainer;
pub mod workspace;

pub use error::Error;
pub use trainer::Trainer;

/// Result of the trainer's fallible calls.
pub type Result<T> = std::result::Result<T, Error>;
