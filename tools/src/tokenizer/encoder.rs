//! Encoding many texts, one encoder a thread.

use super::cache::PieceCache;
use super::merge::merge;
use super::pretokenize::piece_end;
use super::unicode::Classifier;
use super::vocabulary::Vocabulary;

/// Turns bytes into ids and remembers the words it has met. The ids do not
/// depend on what it met before.
pub struct Encoder {
    /// `None` for the byte tokenizer.
    vocabulary: Option<&'static Vocabulary>,
    classifier: Classifier,
    cache: PieceCache,
}

impl Encoder {
    pub(super) fn new(vocabulary: Option<&'static Vocabulary>) -> Self {
        Self { vocabulary, classifier: Classifier::new(), cache: PieceCache::default() }
    }

    /// Appends the ids of `bytes` (no separator is added).
    pub fn encode_into(&mut self, bytes: &[u8], ids: &mut Vec<u16>) {
        let Some(vocabulary) = self.vocabulary else {
            ids.extend(bytes.iter().map(|&byte| u16::from(byte)));
            return;
        };
        let mut start = 0;
        while start < bytes.len() {
            let end = piece_end(self.classifier, bytes, start);
            let piece = &bytes[start..end];
            match vocabulary.token(piece) {
                Some(id) => ids.push(id),
                None => self.cache.extend(piece, ids, |ids| merge(vocabulary, piece, ids)),
            }
            start = end;
        }
    }
}
