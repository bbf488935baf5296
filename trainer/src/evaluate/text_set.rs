//! Sequences cut from text files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ltm_tools::text::{Detokenizer, Documents, ReadOptions, expand_inputs};
use ltm_tools::tokenizer::Tokenizer;

use super::{EvaluateError, Portion, Sequences};
use crate::data::{Windows, evenly_spaced};
use crate::{Error, Result};

/// Shorter sequences are padded to this length, below which fewer tokens cost hardly less.
const SHORTEST: usize = 16;

/// How documents become sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// One after the other, each behind an end-of-text token, cut every T tokens as shards are;
    /// what is left at the end is not scored.
    #[default]
    Pack,
    /// Each for itself, behind an end-of-text token that is not scored, cut every T tokens; the
    /// last sequence of a document is as short as it comes. z knows nothing of the sequences
    /// before.
    Each,
}

impl Cut {
    /// The name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Cut::Pack => "pack",
            Cut::Each => "each",
        }
    }
}

/// How to read a set.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// The JSON field or parquet column that holds the text.
    pub field: String,
    /// Applied to each document before it is tokenized.
    pub detokenizer: Detokenizer,
    /// How documents become sequences.
    pub cut: Cut,
    /// T: most targets of a sequence.
    pub seq: usize,
    /// Documents with fewer tokens are left out of [`Cut::Each`].
    pub min_tokens: usize,
}

/// The tokens of text files, and where its sequences lie in them.
pub struct TextSet {
    path: PathBuf,
    tokens: Vec<u16>,
    /// First token and number of targets, which begin one token later.
    windows: Vec<(usize, usize)>,
    seq: usize,
    documents: usize,
    left_out: usize,
}

impl TextSet {
    /// Reads a file or the files of a directory. `stop` ends it between two documents.
    ///
    /// # Errors
    /// What cannot be read, or [`EvaluateError::NoText`] if it gives no sequence.
    pub fn read(
        path: &Path,
        tokenizer: &Tokenizer,
        options: &TextOptions,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let mut set = Self {
            path: path.to_owned(),
            tokens: Vec::new(),
            windows: Vec::new(),
            seq: options.seq,
            documents: 0,
            left_out: 0,
        };
        let inputs = expand_inputs(&[path.to_owned()])?;
        let read = ReadOptions { field: options.field.clone(), skip_bad: false };
        let mut encoder = tokenizer.encoder();
        let mut text = String::new();
        let mut add = |set: &mut Self, text: &str| {
            let start = set.tokens.len();
            set.tokens.push(tokenizer.end_of_text() as u16);
            encoder.encode_into(options.detokenizer.apply(text).as_bytes(), &mut set.tokens);
            set.documents += 1;
            if options.cut == Cut::Each {
                set.cut(start, options.min_tokens);
            }
        };
        for piece in Documents::open(inputs.files, read) {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let piece = piece?;
            if piece.starts_document && !text.is_empty() {
                add(&mut set, &text);
                text.clear();
            }
            text.push_str(&piece.text);
        }
        if !text.is_empty() {
            add(&mut set, &text);
        }
        if options.cut == Cut::Pack {
            let windows = Windows::new(options.seq, [set.tokens.len()]);
            set.windows =
                (0..windows.count()).map(|w| (windows.locate(w).1, options.seq)).collect();
        }
        match set.windows.is_empty() {
            true => Err(set.no_sequence(options).into()),
            false => Ok(set),
        }
    }

    /// Cuts the document that was added last, from its end-of-text token on.
    fn cut(&mut self, start: usize, min_tokens: usize) {
        let targets = self.tokens.len() - start - 1;
        if targets < min_tokens.max(1) {
            self.left_out += 1;
            self.tokens.truncate(start);
            return;
        }
        let cuts = (0..targets).step_by(self.seq);
        let seq = self.seq;
        self.windows.extend(cuts.map(|cut| (start + cut, (targets - cut).min(seq))));
    }

    fn no_sequence(&self, options: &TextOptions) -> EvaluateError {
        let (documents, tokens) = (self.documents, self.tokens.len());
        let detail = match options.cut {
            Cut::Pack => format!(
                "its {documents} documents make {tokens} tokens, and a sequence takes {}; give \
                 more text, shorter sequences (--length) or --documents each",
                self.seq + 1
            ),
            Cut::Each => format!(
                "none of its {documents} documents has {} tokens; give longer ones, or a smaller \
                 --min-tokens",
                options.min_tokens.max(1)
            ),
        };
        EvaluateError::NoText { path: self.path.clone(), detail }
    }

    /// Documents read.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Documents left out because they are too short.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Sequences there are.
    pub fn sequences(&self) -> usize {
        self.windows.len()
    }

    /// Targets of the longest sequence.
    pub fn longest(&self) -> usize {
        self.windows.iter().map(|&(_, targets)| targets).max().unwrap_or(0)
    }

    /// `wanted` sequences spread evenly over the set, all of them where there are fewer, those of
    /// about one length together and padded to one length: a power of two, or T.
    pub fn portions(&self, wanted: usize) -> Vec<Portion<'_>> {
        let mut chosen: Vec<u64> =
            evenly_spaced(self.windows.len() as u64, wanted as u64).collect();
        let padded = |window: &u64| self.padded(self.windows[*window as usize].1);
        chosen.sort_by_key(padded);
        let groups = chosen.chunk_by(|a, b| padded(a) == padded(b));
        let portion = |windows: &[u64]| {
            let seq = padded(&windows[0]);
            let source = Box::new(Padded { set: self, seq });
            Portion { source, seq, windows: windows.to_vec() }
        };
        groups.map(portion).collect()
    }

    fn padded(&self, targets: usize) -> usize {
        targets.next_power_of_two().max(SHORTEST).min(self.seq)
    }
}

/// Sequences of a set, padded to one length.
struct Padded<'a> {
    set: &'a TextSet,
    seq: usize,
}

impl Sequences for Padded<'_> {
    fn read(&self, windows: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()> {
        tokens.clear();
        targets.clear();
        for &window in windows {
            let (start, length) = self.set.windows[window as usize];
            let ids = &self.set.tokens[start..=start + length];
            let padding = self.seq - length;
            tokens.extend(ids[..length].iter().map(|&id| i32::from(id)));
            targets.extend(ids[1..].iter().map(|&id| i32::from(id)));
            // No scored token comes after the padding, so nothing depends on what it is.
            tokens.extend(std::iter::repeat_n(0, padding));
            targets.extend(std::iter::repeat_n(-1, padding));
        }
        Ok(())
    }
}

/// Bytes of text that each id stands for; end of text stands for none.
pub fn token_bytes(tokenizer: &Tokenizer) -> Result<Vec<usize>> {
    let length = |id: u32| match id == tokenizer.end_of_text() {
        true => Ok(0),
        false => Ok(tokenizer.decode_bytes(&[id])?.len()),
    };
    (0..tokenizer.vocab_size()).map(length).collect()
}

#[cfg(test)]
mod tests {
    use ltm_tools::tokenizer::TokenizerKind;

    use super::*;

    static GO: AtomicBool = AtomicBool::new(false);

    fn read(lines: &str, cut: Cut, seq: usize, min_tokens: usize) -> Result<TextSet> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("set.jsonl");
        std::fs::write(&path, lines).unwrap();
        let tokenizer = Tokenizer::new(TokenizerKind::Bytes).unwrap();
        let detokenizer = Detokenizer::Ptb;
        let field = "text".to_owned();
        let options = TextOptions { field, detokenizer, cut, seq, min_tokens };
        TextSet::read(&path, &tokenizer, &options, &GO)
    }

    const LINES: &str = "{\"text\": \"it 's\"}\n{\"text\": \"b\"}\n{\"text\": \"abcdefghi\"}\n";

    /// The texts of every sequence: tokens, and targets with `_` for what is not scored.
    fn texts(set: &TextSet, wanted: usize) -> Vec<(usize, String, String)> {
        let mut all = Vec::new();
        for portion in set.portions(wanted) {
            for &window in &portion.windows {
                let (mut tokens, mut targets) = (Vec::new(), Vec::new());
                portion.source.read(&[window], &mut tokens, &mut targets).unwrap();
                assert_eq!((tokens.len(), targets.len()), (portion.seq, portion.seq));
                let text = |ids: &[i32]| -> String {
                    let letter = |id: &i32| match id {
                        -1 => '_',
                        0 => '|',
                        id => char::from(*id as u8),
                    };
                    ids.iter().map(letter).collect()
                };
                all.push((portion.seq, text(&tokens), text(&targets)));
            }
        }
        all
    }

    fn row(seq: usize, tokens: &str, targets: &str) -> (usize, String, String) {
        (seq, tokens.to_owned(), targets.to_owned())
    }

    #[test]
    fn packed_documents_follow_one_another() {
        let set = read(LINES, Cut::Pack, 5, 1).unwrap();
        assert_eq!((set.documents(), set.sequences(), set.longest()), (3, 3, 5));
        let expected =
            [row(5, "|it's", "it's|"), row(5, "|b|ab", "b|abc"), row(5, "cdefg", "defgh")];
        assert_eq!(texts(&set, 9), expected);
        assert_eq!(texts(&set, 1), expected[..1]);
    }

    #[test]
    fn each_document_is_cut_for_itself() {
        let set = read(LINES, Cut::Each, 5, 1).unwrap();
        let expected = [
            row(5, "|it'|", "it's_"),
            row(5, "|||||", "b____"),
            row(5, "|abcd", "abcde"),
            row(5, "efgh|", "fghi_"),
        ];
        assert_eq!(texts(&set, 9), expected);
    }

    #[test]
    fn short_sequences_are_padded_together() {
        let line = |length: usize| format!("{{\"text\": \"{}\"}}\n", "x".repeat(length));
        let set = read(&[40, 17, 3, 90, 20].map(line).concat(), Cut::Each, 60, 4).unwrap();
        assert_eq!((set.documents(), set.left_out(), set.sequences()), (5, 1, 5));
        let portions = set.portions(usize::MAX);
        let shapes: Vec<_> = portions.iter().map(|p| (p.seq, p.windows.clone())).collect();
        // The sequences are 40, 17, 60 and 30 (of 90), and 20 long.
        assert_eq!(shapes, [(32, vec![1, 3, 4]), (60, vec![0, 2])]);
    }

    #[test]
    fn a_set_without_a_sequence_is_refused() {
        let refused = |cut, seq, min_tokens, words: &[&str]| {
            let error = read(LINES, cut, seq, min_tokens).err().unwrap().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        };
        refused(Cut::Pack, 60, 1, &["set.jsonl", "17 tokens", "takes 61", "--documents each"]);
        refused(Cut::Each, 60, 10, &["set.jsonl", "none of its 3 documents", "--min-tokens"]);
    }

    #[test]
    fn end_of_text_has_no_bytes() {
        let bytes = token_bytes(&Tokenizer::new(TokenizerKind::Bytes).unwrap()).unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[65]), (256, 0, 1));
        let gpt2 = Tokenizer::new(TokenizerKind::Gpt2).unwrap();
        let bytes = token_bytes(&gpt2).unwrap();
        let text = "Bytes of text – counted.";
        let ids = gpt2.encode(text);
        assert_eq!(ids.iter().map(|&id| bytes[id as usize]).sum::<usize>(), text.len());
        assert_eq!(bytes[gpt2.end_of_text() as usize], 0);
    }
}
