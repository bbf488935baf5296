//! From text files to shards.
//!
//! One thread reads and decompresses, several encode, the calling one writes in
//! input order. The shards do not depend on the number of threads.

mod batch;
mod options;
mod pipeline;
mod report;
mod run;
mod tail;
mod worker;

pub use options::TokenizeOptions;
pub use report::{Progress, TokenizeReport};
pub use run::tokenize;
