//! Text from files, made safe to stand in HTML and SVG.

use std::fmt::Write as _;

/// `text` as character data or as the value of a quoted attribute.
///
/// Besides the five characters with a meaning in markup, control characters are shown as their
/// Unicode pictures: an untrained byte model writes plenty of them, and a document must not
/// contain them even as references.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            '\x7f' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            // Marks that reorder or hide what follows them, beyond the element they stand in.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\u{27e8}U+{:04X}\u{27e9}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_lose_their_meaning() {
        assert_eq!(
            escape("<a href=\"x\" b='y'>&amp;</a>\n\tü"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;\n\tü"
        );
        assert_eq!(escape("a\0\x1b\r\x7f\u{85}"), "a\u{2400}\u{241b}\u{240d}\u{2421}\u{fffd}");
        assert_eq!(escape("a\u{202e}b"), "a⟨U+202E⟩b");
    }
}
