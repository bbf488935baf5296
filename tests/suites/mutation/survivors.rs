//! The list of the mutants that no call shows.

use std::collections::BTreeSet;

use ltm_tests::mutation::Verdict;

const LIST: &str = include_str!("survivors.md");

/// The list: how a survivor is named in it, and why it survives.
pub fn listed() -> Result<BTreeSet<String>, String> {
    let mut kernel = "";
    let mut names = BTreeSet::new();
    for (at, line) in LIST.lines().enumerate() {
        let wrong = |what: &str| format!("survivors.md, line {}: {what}", at + 1);
        if let Some(name) = line.strip_prefix("## ") {
            kernel = name;
        } else if let Some(item) = line.strip_prefix("- `") {
            let (mutant, reason) =
                item.split_once("`: ").ok_or(wrong("expected - `mutant`: reason"))?;
            if reason.trim().is_empty() {
                return Err(wrong("no reason is given"));
            }
            if !names.insert(format!("{kernel}: {mutant}")) {
                return Err(wrong("listed twice"));
            }
        }
    }
    Ok(names)
}

/// How the list names a mutant.
pub fn name(verdict: &Verdict) -> String {
    // Backquotes end the name in the list.
    format!("{}: {}", verdict.kernel, verdict.mutant).replace('`', "'")
}
