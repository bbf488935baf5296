//! Latents of texts, kept: inferring them, files of them, and ways between two.
//!
//! ```text
//! FILE.safetensors
//!   mu      [texts, N, D] f32   means of q(z|x), layer by layer
//!   logvar  [texts, N, D] f32   log variances
//!   index   [bytes] u8          JSON lines, one for each text: see `Entry`
//!   metadata                    fingerprint of the model, iteration, tokenizer, fast steps
//! ```
//!
//! The index is a tensor of the same file, so that latents and index cannot come apart, and the
//! file is replaced whole or not at all.

mod blocks;
mod encode;
mod encoder;
mod error;
mod file;
mod fingerprint;
mod header;
mod index;
mod mix;
mod posterior;
#[cfg(test)]
pub(crate) mod tests;
mod texts;
mod writer;

pub use blocks::in_blocks;
pub use encode::{EncodeOptions, encode};
pub use encoder::{Encoder, Inferred, padded};
pub use error::LatentsError;
pub use file::LatentsFile;
pub use fingerprint::fingerprint;
pub use header::Header;
pub use index::Entry;
pub use mix::{MixPath, mix};
pub use posterior::{Encoded, Posterior};
pub use texts::{Selection, Text, Texts};
pub use writer::{Writer, Written};
