//! GPT-2's vocabulary, laid out for merging.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::TokenizerKind;
use crate::Error;

/// Tokens by id, ids by token, and what each pair of tokens becomes.
pub(super) struct Vocabulary {
    /// Every token's bytes, one after the other; token i is `starts[i]..starts[i + 1]`.
    text: Vec<u8>,
    starts: Vec<u32>,
    by_byte: [u16; 256],
    by_bytes: FxHashMap<Box<[u8]>, u16>,
    /// Keyed by the two ids, the left one in the upper half.
    pairs: FxHashMap<u32, u16>,
}

impl Vocabulary {
    /// The one copy in the process, made at the first call.
    pub(super) fn gpt2() -> Result<&'static Self, Error> {
        static GPT2: OnceLock<Vocabulary> = OnceLock::new();
        if let Some(vocabulary) = GPT2.get() {
            return Ok(vocabulary);
        }
        let built = Self::build()?;
        Ok(GPT2.get_or_init(|| built))
    }

    fn build() -> Result<Self, Error> {
        let damaged = |reason: String| Error::Vocabulary { reason };
        let source = tiktoken_rs::r50k_base().map_err(|error| damaged(error.to_string()))?;
        let end_of_text = TokenizerKind::Gpt2.end_of_text();
        let mut text = Vec::new();
        let mut starts = vec![0u32];
        let mut by_bytes = FxHashMap::default();
        for id in 0..=end_of_text {
            let bytes =
                source.decode_bytes(&[id]).map_err(|_| damaged(format!("no token {id}")))?;
            text.extend_from_slice(&bytes);
            starts.push(text.len() as u32);
            // End of text is not reached by merging: written in a text, it is text.
            if id != end_of_text {
                by_bytes.insert(bytes.into_boxed_slice(), id as u16);
            }
        }
        let mut by_byte = [0u16; 256];
        for (byte, slot) in (0u8..=255).zip(&mut by_byte) {
            *slot = *by_bytes
                .get(&[byte][..])
                .ok_or_else(|| damaged(format!("no token for byte {byte}")))?;
        }
        // tiktoken joins two neighbours whenever their bytes together are a token, however
        // that token is divided, so every division of every token is a pair.
        let mut pairs = FxHashMap::default();
        for (bytes, &id) in &by_bytes {
            for cut in 1..bytes.len() {
                if let (Some(&left), Some(&right)) =
                    (by_bytes.get(&bytes[..cut]), by_bytes.get(&bytes[cut..]))
                {
                    pairs.insert(pair_key(left, right), id);
                }
            }
        }
        pairs.shrink_to_fit();
        Ok(Self { text, starts, by_byte, by_bytes, pairs })
    }

    /// The bytes of a token. The id must be in the vocabulary.
    pub(super) fn bytes(&self, id: u16) -> &[u8] {
        let id = usize::from(id);
        &self.text[self.starts[id] as usize..self.starts[id + 1] as usize]
    }

    /// The token of a single byte.
    #[inline]
    pub(super) fn byte(&self, byte: u8) -> u16 {
        self.by_byte[usize::from(byte)]
    }

    /// The token with exactly these bytes.
    #[inline]
    pub(super) fn token(&self, bytes: &[u8]) -> Option<u16> {
        self.by_bytes.get(bytes).copied()
    }

    /// The token that two neighbours become, or `u32::MAX`.
    #[inline]
    pub(super) fn join(&self, left: u16, right: u16) -> u32 {
        self.pairs.get(&pair_key(left, right)).map_or(u32::MAX, |&id| u32::from(id))
    }
}

#[inline]
fn pair_key(left: u16, right: u16) -> u32 {
    u32::from(left) << 16 | u32::from(right)
}
