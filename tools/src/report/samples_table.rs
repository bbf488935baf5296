//! Samples before and after training, side by side.

use std::fmt::Write as _;

use super::escape::escape;
use super::number::count;
use super::samples::{Pair, Samples};

/// Longer texts are cut: a page is for reading, the file has the rest.
const LONGEST: usize = 4000;

/// The samples of one run; empty where there are none.
pub(super) fn samples_table(samples: &Samples) -> String {
    let Some(after) = samples.after else {
        return String::new();
    };
    let mut out = String::new();
    for pair in &samples.pairs {
        let _ = write!(out, "<article>\n<h4>{}</h4>\n", heading(pair));
        out.push_str("<div class=\"pair\">\n");
        if let Some(before) = samples.before {
            write_text(&mut out, before, pair.before.as_deref());
        }
        write_text(&mut out, after, pair.after.as_deref());
        out.push_str("</div>\n</article>\n");
    }
    out
}

fn heading(pair: &Pair) -> String {
    let source = match pair.kind.as_str() {
        "prior" => "Latents from the prior".to_owned(),
        "posterior" => "Latents from the posterior of the prompt".to_owned(),
        other => escape(other),
    };
    if pair.prompt.is_empty() {
        return format!("{source}, no prompt");
    }
    format!("{source}, prompt <q>{}</q>", cut(&pair.prompt))
}

fn write_text(out: &mut String, iteration: u64, text: Option<&str>) {
    let _ = write!(out, "<div><h5>Iteration {}</h5>", count(iteration));
    match text {
        // A line break right after the tag would be swallowed by the parser, so one is given.
        Some(text) => {
            let _ = write!(out, "<pre>\n{}</pre>", cut(text));
        }
        None => out.push_str("<p class=\"aside\">no sample</p>"),
    }
    out.push_str("</div>\n");
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => escape(text),
        Some((end, _)) => format!(
            "{}<i> … {} more characters</i>",
            escape(&text[..end]),
            count(text[end..].chars().count() as u64)
        ),
    }
}
