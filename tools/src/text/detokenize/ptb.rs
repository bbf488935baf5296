//! Penn Treebank: contractions, numbers and the unknown word.

use super::Rule;

/// `N` stands for a number and becomes 1. It is replaced twice, as neighbouring ones share a blank,
/// which after two rounds is exhausted.
pub(super) static RULES: [Rule; 10] = [
    Rule::Text(" 's", "'s"),
    Rule::Text("s ' ", "s' "),
    Rule::Text(" n't", "n't"),
    Rule::Text(" \n ", "\n"),
    Rule::Text("\\/", "/"),
    Rule::Text(" N ", " 1 "),
    Rule::Text(" N ", " 1 "),
    Rule::Text("$ 1", "$1"),
    Rule::Text("# 1", "#1"),
    Rule::Text("<unk>", "?"),
];
