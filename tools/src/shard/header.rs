//! The header of a shard, and how a file without one is told apart.

use std::path::Path;

use crate::Error;

#[cfg(target_endian = "big")]
compile_error!("shards are little-endian and read in place");

/// First word of llm.c's GPT-2 shards.
const MAGIC: i32 = 20240520;
/// First word of llm.c's Llama 3 shards, whose tokens are 32 bits wide.
const MAGIC_WIDE: i32 = 20240801;
const VERSION: i32 = 1;
/// Words in the header.
const WORDS: usize = 256;

/// Bytes in the header.
pub(super) const HEADER_BYTES: usize = WORDS * 4;
/// Bytes in a token.
pub(super) const TOKEN_BYTES: usize = 2;

/// How a shard's file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFormat {
    /// llm.c's header, then tokens.
    LlmC,
    /// Tokens only.
    Raw,
}

impl ShardFormat {
    /// Byte at which the tokens begin.
    pub fn tokens_at(self) -> usize {
        match self {
            ShardFormat::LlmC => HEADER_BYTES,
            ShardFormat::Raw => 0,
        }
    }
}

/// The header of a shard with this many tokens (below 2^31, see the writer).
pub(super) fn header(tokens: u64) -> [u8; HEADER_BYTES] {
    let mut words = [0i32; WORDS];
    words[0] = MAGIC;
    words[1] = VERSION;
    words[2] = tokens as i32;
    let mut bytes = [0; HEADER_BYTES];
    bytes.copy_from_slice(bytemuck::cast_slice(&words));
    bytes
}

/// Tells the format of a file from its bytes, and checks that its size fits.
pub(super) fn check(path: &Path, bytes: &[u8], allow_raw: bool) -> Result<ShardFormat, Error> {
    let wrong = |reason: String| Error::ShardFormat { path: path.to_path_buf(), reason };
    if bytes.is_empty() {
        return Err(Error::EmptyShard { path: path.to_path_buf() });
    }
    match word(bytes, 0) {
        Some(MAGIC) => {}
        Some(MAGIC_WIDE) => {
            return Err(wrong(format!(
                "its magic {MAGIC_WIDE} is that of llm.c's Llama shards (32-bit tokens), \
                 expected {MAGIC} (16-bit tokens); tokenize the text again"
            )));
        }
        other => {
            if !allow_raw {
                let found = other.map_or("nothing".to_owned(), |magic| magic.to_string());
                return Err(wrong(format!(
                    "expected the magic {MAGIC} and found {found}; it is damaged, or a raw u16 \
                     file, which must not be called train_*.bin or val_*.bin"
                )));
            }
            if !bytes.len().is_multiple_of(TOKEN_BYTES) {
                return Err(wrong(format!(
                    "it has no header (magic {MAGIC}), and its {} bytes are no whole number of \
                     16-bit tokens",
                    bytes.len()
                )));
            }
            return Ok(ShardFormat::Raw);
        }
    }
    // No raw file of GPT-2 tokens gets here: the magic's lower half would be token 55432.
    match word(bytes, 1) {
        None | Some(VERSION) => {}
        Some(version) => {
            return Err(wrong(format!(
                "its version is {version}, expected {VERSION}; tokenize the text again"
            )));
        }
    }
    let size = |expected: u64| Error::ShardSize {
        path: path.to_path_buf(),
        expected,
        found: bytes.len() as u64,
    };
    if bytes.len() < HEADER_BYTES {
        return Err(size(HEADER_BYTES as u64));
    }
    let tokens = word(bytes, 2).unwrap_or(0);
    let Ok(tokens) = u64::try_from(tokens) else {
        return Err(wrong(format!("its token count is {tokens}")));
    };
    let expected = HEADER_BYTES as u64 + tokens * TOKEN_BYTES as u64;
    if bytes.len() as u64 != expected {
        return Err(size(expected));
    }
    if tokens == 0 {
        return Err(Error::EmptyShard { path: path.to_path_buf() });
    }
    Ok(ShardFormat::LlmC)
}

fn word(bytes: &[u8], index: usize) -> Option<i32> {
    let bytes = bytes.get(index * 4..index * 4 + 4)?;
    Some(i32::from_le_bytes(bytes.try_into().ok()?))
}
