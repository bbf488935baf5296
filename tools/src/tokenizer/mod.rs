//! Tokenizers: text to ids and back, without loss for any bytes.
//!
//! `gpt2` gives the ids tiktoken gives for ordinary text (special tokens
//! written in the text are text). Its vocabulary comes from tiktoken-rs; the
//! splitting and merging are our own, because tiktoken's regular expression
//! engine is several times slower than the throughput a corpus needs.
//! `bytes` has one token a byte, and byte 0 separates documents.

mod cache;
mod encoder;
mod info;
mod kind;
mod merge;
mod pretokenize;
mod unicode;
mod vocabulary;

pub use encoder::Encoder;
pub(crate) use info::FILE_NAME as INFO_FILE_NAME;
pub use info::TokenizerInfo;
pub use kind::TokenizerKind;
pub(crate) use pretokenize::last_cut;

use crate::Error;
use vocabulary::Vocabulary;

/// A tokenizer ready for use. Cheap to copy and to share between threads.
#[derive(Clone, Copy)]
pub struct Tokenizer {
    kind: TokenizerKind,
    vocabulary: Option<&'static Vocabulary>,
}

impl Tokenizer {
    /// Loads the tokenizer; the first GPT-2 load in a process takes about a tenth of a second.
    pub fn new(kind: TokenizerKind) -> Result<Self, Error> {
        let vocabulary = match kind {
            TokenizerKind::Gpt2 => Some(Vocabulary::gpt2()?),
            TokenizerKind::Bytes => None,
        };
        Ok(Self { kind, vocabulary })
    }

    /// Which tokenizer this is.
    pub fn kind(&self) -> TokenizerKind {
        self.kind
    }

    /// Number of ids: every id is below it. A model may pad its own vocabulary beyond.
    pub fn vocab_size(&self) -> u32 {
        self.kind.vocab_size()
    }

    /// The token that separates documents (it precedes each one).
    pub fn end_of_text(&self) -> u32 {
        self.kind.end_of_text()
    }

    /// An encoder for many texts: it remembers the words it has met. One a thread.
    pub fn encoder(&self) -> Encoder {
        Encoder::new(self.vocabulary)
    }

    /// The ids of a text. For many texts, [`Tokenizer::encoder`] is faster.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_bytes(text.as_bytes())
    }

    /// The ids of any bytes. Bytes that are not UTF-8 are split like
    /// punctuation, so that `decode_bytes` gives back exactly what came in.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encoder().encode_into(bytes, &mut ids);
        ids.into_iter().map(u32::from).collect()
    }

    /// The bytes that the ids stand for. Fails on an id outside the vocabulary.
    pub fn decode_bytes(&self, tokens: &[u32]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        for (position, &token) in tokens.iter().enumerate() {
            if token >= self.vocab_size() {
                return Err(Error::UnknownToken { token, position, vocab_size: self.vocab_size() });
            }
            match self.vocabulary {
                Some(vocabulary) => bytes.extend_from_slice(vocabulary.bytes(token as u16)),
                None => bytes.push(token as u8),
            }
        }
        Ok(bytes)
    }

    /// The text that the ids stand for; bytes that are not UTF-8 (half a
    /// character at the end of a generation, say) become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.decode_bytes(tokens)?).into_owned())
    }
}
