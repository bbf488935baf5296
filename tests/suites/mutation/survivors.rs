//! The list of the mutants that no call shows.

use std::collections::BTreeMap;
use std::path::Path;

use ltm_tests::mutation::{Outcome, Verdict};

const LIST: &str = include_str!("survivors.md");

/// Survivors of one kind and source line in a kernel, as the list names them: by the text of the
/// line, so that nothing changes where lines or registers are only numbered anew. And how many
/// there are.
pub type Survivors = BTreeMap<String, usize>;

/// The list: sections with a reason each, then `` - `kernel kind file: line`: count ``.
///
/// # Errors
/// Sections without a reason, and lines of another form.
pub fn listed() -> Result<Survivors, String> {
    let mut survivors = Survivors::new();
    // Whether the section has a reason; the head of the file has none to give.
    let (mut inside, mut reasoned) = (false, false);
    for (at, line) in LIST.lines().enumerate() {
        let wrong = |what: &str| format!("survivors.md, line {}: {what}", at + 1);
        if line.starts_with("## ") {
            (inside, reasoned) = (true, false);
        } else if let (true, Some(item)) = (inside, line.strip_prefix("- `")) {
            let (name, count) = item.split_once("`: ").ok_or(wrong("expected - `name`: count"))?;
            let count: usize = count.parse().map_err(|_| wrong("expected a count"))?;
            if !reasoned {
                return Err(wrong("no reason is given"));
            }
            *survivors.entry(name.to_owned()).or_default() += count;
        } else {
            reasoned |= inside && line.split_whitespace().count() > 3;
        }
    }
    Ok(survivors)
}

/// Those among some verdicts.
pub fn found(verdicts: &[Verdict]) -> Survivors {
    let mut survivors = Survivors::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Survived) {
        *survivors.entry(name(verdict)).or_default() += 1;
    }
    survivors
}

fn name(verdict: &Verdict) -> String {
    let Verdict { kernel, mutant, .. } = verdict;
    let source = match &mutant.source {
        Some((file, line)) => format!("{file}: {}", text(file, *line)),
        None => "no source line".to_owned(),
    };
    format!("{kernel} {} {source}", mutant.kind)
}

/// A line of a kernel's source, without the blanks around it.
fn text(file: &str, line: u32) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ptx/kernels").join(file);
    let source = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    source.lines().nth(line as usize - 1).unwrap_or("").trim().replace('`', "'")
}
