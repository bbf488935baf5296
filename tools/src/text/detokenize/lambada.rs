//! LAMBADA: straight quotation marks, and each passage on a line of its own.

pub(super) fn detokenize(text: &str) -> String {
    format!("\n{}", text.replace(['“', '”'], "\"").trim())
}
