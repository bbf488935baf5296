//! The four classes of characters that GPT-2's pattern tells apart.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// What GPT-2's pattern sees in a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum CharClass {
    /// Neither of the others: punctuation, symbols, marks, and bytes that are not UTF-8.
    Other = 0,
    /// `\p{L}`
    Letter = 1,
    /// `\p{N}`
    Number = 2,
    /// `\s`
    Space = 3,
}

/// Class of every code point, one byte each.
///
/// Filled from the tables of `regex-syntax`, the ones tiktoken's patterns are
/// compiled with, so that the two cannot differ in their Unicode version.
static CLASSES: LazyLock<Box<[CharClass]>> = LazyLock::new(|| {
    let mut classes = vec![CharClass::Other; char::MAX as usize + 1].into_boxed_slice();
    for (pattern, class) in
        [(r"\p{L}", CharClass::Letter), (r"\p{N}", CharClass::Number), (r"\s", CharClass::Space)]
    {
        let hir = regex_syntax::parse(pattern).expect("a constant pattern");
        if let HirKind::Class(Class::Unicode(ranges)) = hir.kind() {
            for range in ranges.ranges() {
                classes[range.start() as usize..=range.end() as usize].fill(class);
            }
        }
    }
    classes
});

/// A handle on the table, so that the hot loop does not test whether it is filled.
#[derive(Clone, Copy)]
pub(super) struct Classifier {
    classes: &'static [CharClass],
}

impl Classifier {
    pub(super) fn new() -> Self {
        Self { classes: &CLASSES }
    }

    /// Class and length in bytes of the character at `bytes[at]`, which must
    /// exist. A byte that does not begin a UTF-8 character counts alone, as `Other`.
    #[inline(always)]
    pub(super) fn at(&self, bytes: &[u8], at: usize) -> (CharClass, usize) {
        let first = bytes[at];
        if first < 0x80 {
            return (self.classes[first as usize], 1);
        }
        match decode(&bytes[at..]) {
            Some((code_point, length)) => (self.classes[code_point as usize], length),
            None => (CharClass::Other, 1),
        }
    }
}

/// Strict decoding of one character of two bytes or more: no overlong forms, no surrogates.
fn decode(bytes: &[u8]) -> Option<(u32, usize)> {
    let continuation = |index: usize| -> Option<u32> {
        let byte = *bytes.get(index)?;
        (byte & 0xC0 == 0x80).then_some(u32::from(byte & 0x3F))
    };
    let first = u32::from(bytes[0]);
    let (code_point, length, least) = match first {
        0xC2..=0xDF => ((first & 0x1F) << 6 | continuation(1)?, 2, 0x80),
        0xE0..=0xEF => ((first & 0x0F) << 12 | continuation(1)? << 6 | continuation(2)?, 3, 0x800),
        0xF0..=0xF4 => (
            (first & 0x07) << 18
                | continuation(1)? << 12
                | continuation(2)? << 6
                | continuation(3)?,
            4,
            0x10000,
        ),
        _ => return None,
    };
    let valid = code_point >= least && char::from_u32(code_point).is_some();
    valid.then_some((code_point, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_character_decodes_to_itself() {
        let mut buffer = [0; 4];
        for character in ('\u{80}'..=char::MAX).step_by(7) {
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(decode(bytes), Some((character as u32, bytes.len())));
        }
    }

    proptest! {
        #[test]
        fn what_is_not_utf8_does_not_decode(bytes in prop::collection::vec(0x80u8.., 1..5)) {
            if let Some((code_point, length)) = decode(&bytes) {
                let text = std::str::from_utf8(&bytes[..length]).unwrap();
                prop_assert_eq!(text.chars().map(u32::from).collect::<Vec<_>>(), vec![code_point]);
            } else {
                prop_assert!(std::str::from_utf8(&bytes).map_or_else(|e| e.valid_up_to() == 0, |_| false));
            }
        }
    }
}
