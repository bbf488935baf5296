//! GPT-2's pre-tokenizer by hand: where the byte-pair merges may not cross.
//!
//! The pattern, alternatives tried in order at each place:
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re) | ?\p{L}++ | ?\p{N}++ | ?[^\s\p{L}\p{N}]++ | \s++$ | \s+(?!\S) | \s
//! ```
//!
//! The last three say: a run of white space is one piece, but its last
//! character is left to the word that follows (which takes it if it is a
//! space; otherwise it is a piece of its own).

use super::unicode::{CharClass, Classifier};

/// End of the piece that begins at `start`, which must lie inside `bytes`.
#[inline]
pub(super) fn piece_end(classifier: Classifier, bytes: &[u8], start: usize) -> usize {
    let first = bytes[start];
    if first == b'\''
        && let Some(length) = contraction(&bytes[start + 1..])
    {
        return start + 1 + length;
    }
    let (mut class, length) = classifier.at(bytes, start);
    let mut end = start + length;
    if first == b' ' && end < bytes.len() {
        let (next_class, next_length) = classifier.at(bytes, end);
        if next_class != CharClass::Space {
            class = next_class;
            end += next_length;
        }
    }
    let mut last_length = length;
    while end < bytes.len() {
        let (next_class, next_length) = classifier.at(bytes, end);
        if next_class != class {
            // White space followed by something: its last character stays behind,
            // unless it is all there is.
            if class == CharClass::Space && end - last_length > start {
                end -= last_length;
            }
            break;
        }
        end += next_length;
        last_length = next_length;
    }
    end
}

/// Length of the contraction's ending after an apostrophe, if there is one.
fn contraction(rest: &[u8]) -> Option<usize> {
    match rest {
        [b's' | b'd' | b'm' | b't', ..] => Some(1),
        [b'l', b'l', ..] | [b'v', b'e', ..] | [b'r', b'e', ..] => Some(2),
        _ => None,
    }
}

/// The last place in `bytes`, after its beginning, where a text may be cut so
/// that the pieces' tokens, joined, are the tokens of the whole.
///
/// The places are those before an ASCII white-space character that follows a
/// character which is not white space. Why they are safe:
///
/// 1. No piece crosses such a place. White space stands inside a piece only as
///    its first character (` ?X+`) or in a piece that is all white space, so
///    non-white-space followed by white space is never within one piece.
/// 2. The left part splits as it does in the whole. The pattern looks beyond a
///    piece only after a run of white space (`$`, `(?!\S)`), and in the left
///    part every run is followed by a character of the left part, since that
///    ends in something else. The other alternatives stop at a character of
///    another class, and the end of the text stops them the same way.
/// 3. The right part splits as it does in the whole, because the pattern never
///    looks back and a piece begins there.
/// 4. Cutting before an ASCII byte never divides a UTF-8 character, nor changes
///    how broken UTF-8 is read.
pub(crate) fn last_cut(bytes: &[u8]) -> Option<usize> {
    (1..bytes.len())
        .rev()
        .find(|&at| matches!(bytes[at], b'\t'..=b'\r' | b' ') && !ends_in_space(&bytes[..at]))
}

/// Whether the last character (of one to three bytes: there are no longer
/// white-space characters) is white space.
fn ends_in_space(bytes: &[u8]) -> bool {
    let classifier = Classifier::new();
    (1..=3.min(bytes.len()))
        .any(|length| classifier.at(bytes, bytes.len() - length) == (CharClass::Space, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{Tokenizer, TokenizerKind};
    use proptest::prelude::*;

    #[test]
    fn cuts() {
        for (text, cut) in [
            ("", None),
            (" ", None),
            ("word", None),
            (" word", None),
            ("a b", Some(1)),
            ("a  b", Some(1)),
            ("a b\n\n", Some(3)),
            ("a\u{a0} b", None),
            ("日本\n", Some(6)),
            ("日\u{3000}\n", None),
            ("a\u{85}\u{a0} ", None),
        ] {
            assert_eq!(last_cut(text.as_bytes()), cut, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Bytes dense in what could go wrong: all kinds of white space,
        /// contractions, and halves of characters.
        #[test]
        fn cutting_changes_no_token(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(vec![
                        " ", "\n", "\r\n", "\t", "\u{a0}", "\u{85}", "\u{3000}", "\u{2028}",
                        "'", "l", "s", "ve", "a", "9", "-", "é", "日",
                    ]).prop_map(|text| text.as_bytes().to_vec()),
                    prop::collection::vec(any::<u8>(), 1..3),
                ],
                0..24,
            )
        ) {
            let bytes = parts.concat();
            let tokenizer = Tokenizer::new(TokenizerKind::Gpt2).unwrap();
            let whole = tokenizer.encode_bytes(&bytes);
            let mut end = bytes.len();
            while let Some(cut) = last_cut(&bytes[..end]) {
                let mut pieces = tokenizer.encode_bytes(&bytes[..cut]);
                pieces.extend(tokenizer.encode_bytes(&bytes[cut..]));
                prop_assert_eq!(&pieces, &whole, "cut at {}", cut);
                end = cut;
            }
        }
    }
}
