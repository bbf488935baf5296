//! No text makes the parser panic or hang, however it was damaged.

use proptest::prelude::*;

use crate::vm::cfg::{blocks, reconvergence};
use crate::vm::parse::parse;

const TEXTS: [&str; 2] = [include_str!("forms.ptx"), include_str!("wgmma.ptx")];

/// Parses, and where that succeeds holds the result to what it promises.
fn survives(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(module) => {
            for function in &module.functions {
                let meeting = reconvergence(function);
                prop_assert_eq!(meeting.len(), function.body.len());
                prop_assert!(meeting.iter().all(|&at| at <= function.body.len()));
                let covered: usize = blocks(function).iter().map(|b| b.end - b.start).sum();
                prop_assert_eq!(covered, function.body.len());
            }
        }
        Err(error) => {
            prop_assert!(error.line as usize <= text.lines().count() + 1);
            prop_assert!(!error.to_string().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn flipped_bytes(
        which in 0..TEXTS.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = TEXTS[which].as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survives(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn cut_anywhere(which in 0..TEXTS.len(), at: prop::sample::Index) {
        let text = TEXTS[which];
        survives(&text[..at.index(text.len())])?;
    }

    #[test]
    fn pieces_moved(
        which in 0..TEXTS.len(),
        places in prop::array::uniform4(any::<prop::sample::Index>()),
    ) {
        let text = TEXTS[which];
        let mut places = places.map(|place| place.index(text.len()));
        places.sort_unstable();
        let [a, b, c, d] = places;
        survives(&[&text[..a], &text[c..d], &text[b..c], &text[a..b], &text[d..]].concat())?;
    }

    #[test]
    fn tokens_in_any_order(pieces in prop::collection::vec(prop::sample::select(vec![
        ".reg", ".b32", "%r", "<", "9", ">", ";", ",", "{", "}", "[", "]", "mov.u32", "bra", "L", ":",
        "@", "!", "%p", "+", "-", "0f3F800000", "0x", ".shared", ".align", "=", "_", "|", "\"", "/*",
        ".loc", "\n", "ret", "%tid.x", "(", ")", ".param", "function_name",
    ]), 0..40)) {
        survives(&super::module_of(&pieces.join(" ")))?;
        survives(&format!(".version 8.0 .target sm_80 {}", pieces.join(" ")))?;
    }
}
