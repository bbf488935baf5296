//! Shards written by hand.

/// Bytes of a shard's header.
const HEADER: usize = 1024;

/// A shard of llm.c's format, to be spoilt.
pub struct Shard {
    /// First word of the header.
    pub magic: i32,
    /// Third word: number of tokens.
    pub count: i32,
    /// The tokens.
    pub tokens: Vec<u16>,
}

impl Shard {
    /// A whole shard.
    pub fn of(tokens: Vec<u16>) -> Self {
        Self { magic: 20240520, count: tokens.len() as i32, tokens }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            [self.magic, 1, self.count].iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(HEADER, 0);
        bytes.extend(self.tokens.iter().flat_map(|token| token.to_le_bytes()));
        bytes
    }
}

/// The tokens of a shard file.
pub fn tokens_of(file: &[u8]) -> Vec<u16> {
    file[HEADER..].as_chunks().0.iter().map(|&token| u16::from_le_bytes(token)).collect()
}
