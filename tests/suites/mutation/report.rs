//! What became of the mutants, for people.

use std::collections::{BTreeMap, BTreeSet};

use ltm_ptx::vm::fault::FaultKind;
use ltm_tests::mutation::{Kind, Outcome, Verdict};

/// How a mutant was caught.
fn way(outcome: &Outcome) -> &'static str {
    use FaultKind::*;
    match outcome {
        Outcome::Survived => "survived",
        Outcome::Differs => "wrong result",
        Outcome::Fault(OutOfBounds) => "out of bounds",
        Outcome::Fault(Misaligned) => "misaligned",
        Outcome::Fault(Uninitialised) => "uninitialised",
        Outcome::Fault(Race) => "race",
        Outcome::Fault(GlobalRace) => "race of blocks",
        Outcome::Fault(PendingCopy) => "pending copy",
        Outcome::Fault(Barrier) => "barrier",
        Outcome::Fault(InactiveLane) => "inactive lane",
        Outcome::Fault(IndexOverflow) => "index overflow",
        Outcome::Fault(Deadlock) => "deadlock",
        Outcome::Fault(Budget) => "runaway",
        Outcome::Fault(Trap) => "trap",
    }
}

/// Caught and made, by kernel and by kind; then what caught them, by kind.
pub fn table(verdicts: &[Verdict]) -> String {
    let mut counts: BTreeMap<(&str, Kind), (usize, usize)> = BTreeMap::new();
    let mut ways: BTreeMap<(&str, Kind), usize> = BTreeMap::new();
    for Verdict { kernel, mutant, outcome, .. } in verdicts {
        for kernel in [kernel, "~ all"] {
            let (caught, made) = counts.entry((kernel, mutant.kind)).or_default();
            *caught += usize::from(*outcome != Outcome::Survived);
            *made += 1;
        }
        *ways.entry((way(outcome), mutant.kind)).or_default() += 1;
    }
    let counted = counts.iter().map(|(&at, (caught, made))| (at, format!("{caught}/{made}")));
    let ways = ways.iter().map(|(&at, count)| (at, count.to_string()));
    let head = |first: &str| {
        let kinds: String = Kind::ALL.iter().map(|kind| format!(" {kind} |")).collect();
        format!("| {first} |{kinds}\n|---|{}\n", "---|".repeat(Kind::ALL.len()))
    };
    [head("caught/made"), rows(&counted.collect()), head("by"), rows(&ways.collect())].concat()
}

fn rows(cells: &BTreeMap<(&str, Kind), String>) -> String {
    let names: BTreeSet<&str> = cells.keys().map(|(name, _)| *name).collect();
    let mut text = String::new();
    for name in names {
        text.push_str(&format!("| {name} |"));
        for kind in Kind::ALL {
            let cell = cells.get(&(name, kind)).map_or("", String::as_str);
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    }
    text
}

/// The survivors, one a line: whether no call came to it (U), none met the equal case of its
/// comparison (N), or it changed nothing (R); its kernel; and what is wrong in it.
pub fn survivors(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Survived) {
        let reach = match verdict.reach {
            reach if !reach.came => 'U',
            reach if reach.calls == 0 => 'N',
            _ => 'R',
        };
        text.push_str(&format!("{reach} {} {}\n", verdict.kernel, verdict.mutant));
    }
    text
}
