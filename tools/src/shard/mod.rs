//! Shards: files of tokens, as llm.c writes them.
//!
//! 256 little-endian i32 (magic 20240520, version 1, number of tokens, zeros),
//! then the tokens as little-endian u16. The end-of-text token precedes each
//! document; a document may run on into the next shard. A directory holds
//! `train_*.bin`, `val_*.bin` and `tokenizer.json`.
//!
//! Raw u16 files without a header (nanoGPT's `train.bin`) are read too.

mod describe;
mod directory;
mod header;
mod map;
mod set;
mod writer;

pub use describe::describe;
pub use directory::OutputDirectory;
pub use header::ShardFormat;
pub use map::Shard;
pub use set::{ShardSet, Split};
pub use writer::{MOST_TOKENS_PER_SHARD, ShardWriter};
