//! WikiText: its marks inside numbers and compounds, punctuation, brackets, headings.

use super::{Rule, pattern};

/// The usual list has one more rule, whose pattern (slashes and all) fits no text.
pub(super) static RULES: [Rule; 23] = [
    Rule::Text("s '", "s'"),
    Rule::Text(" @-@ ", "-"),
    Rule::Text(" @,@ ", ","),
    Rule::Text(" @.@ ", "."),
    Rule::Text(" : ", ": "),
    Rule::Text(" ; ", "; "),
    Rule::Text(" . ", ". "),
    Rule::Text(" ! ", "! "),
    Rule::Text(" ? ", "? "),
    Rule::Text(" , ", ", "),
    pattern!(r"\(\s*([^\)]*?)\s*\)", "($1)"),
    pattern!(r"\[\s*([^\]]*?)\s*\]", "[$1]"),
    pattern!(r"\{\s*([^}]*?)\s*\}", "{$1}"),
    pattern!(r#""\s*([^"]*?)\s*""#, "\"$1\""),
    pattern!(r"'\s*([^']*?)\s*'", "'$1'"),
    Rule::Text("= = = =", "===="),
    Rule::Text("= = =", "==="),
    Rule::Text("= =", "=="),
    Rule::Text(" ° ", "°"),
    Rule::Text(" \n", "\n"),
    Rule::Text("\n ", "\n"),
    Rule::Text(" N ", " 1 "),
    Rule::Text(" 's", "'s"),
];
