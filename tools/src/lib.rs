//! Everything around the model: text readers, tokenizers, the shard format,
//! the pipeline from one to the other, and reports.

pub mod bundle;
mod error;
pub mod kernels;
pub mod report;
pub mod shard;
pub mod tensorboard;
pub mod text;
pub mod tokenize;
pub mod tokenizer;

pub use error::Error;
