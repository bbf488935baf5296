//! The tokenizers there are, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Which tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// GPT-2's byte-level BPE: 50257 ids, end of text 50256.
    #[default]
    Gpt2,
    /// One id a byte: 256 ids. Byte 0, which text does not contain, separates documents.
    Bytes,
}

impl TokenizerKind {
    /// The name used on the command line and in `tokenizer.json`.
    pub fn name(self) -> &'static str {
        match self {
            TokenizerKind::Gpt2 => "gpt2",
            TokenizerKind::Bytes => "bytes",
        }
    }

    /// Number of ids.
    pub fn vocab_size(self) -> u32 {
        match self {
            TokenizerKind::Gpt2 => 50257,
            TokenizerKind::Bytes => 256,
        }
    }

    /// The id that precedes each document in a shard.
    pub fn end_of_text(self) -> u32 {
        match self {
            TokenizerKind::Gpt2 => 50256,
            TokenizerKind::Bytes => 0,
        }
    }
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TokenizerKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "gpt2" => Ok(TokenizerKind::Gpt2),
            "bytes" => Ok(TokenizerKind::Bytes),
            _ => Err(Error::UnknownTokenizer { name: name.to_owned() }),
        }
    }
}
