//! One Billion Words: contractions, punctuation, quotations, addresses of pages.

use super::{Rule, pattern};

pub(super) static RULES: [Rule; 19] = [
    Rule::Text("http : / / ", "http://"),
    Rule::Text("https : / / ", "https://"),
    pattern!(r" '(\w+)", "'${1}"),
    pattern!(r" (\w+) \. ", " ${1}. "),
    pattern!(r" (\w+) \.$", " ${1}."),
    Rule::Text(" ? ", "? "),
    pattern!(r" \?$", "?"),
    Rule::Text(" ! ", "! "),
    pattern!(r" !$", "!"),
    Rule::Text(" , ", ", "),
    Rule::Text(" : ", ": "),
    Rule::Text(" ; ", "; "),
    Rule::Text(" / ", "/"),
    pattern!(r#"" ([^"]+) ""#, "\"${1}\""),
    pattern!(r"' ([^']+) '", "'${1}'"),
    pattern!(r"\( ([^()]+) \)", "(${1})"),
    pattern!(r"\[ ([^\[\]]+) \]", "[${1}]"),
    Rule::Text("$ ", "$"),
    Rule::Text("£ ", "£"),
];
