//! Errors put into kernels on purpose must show: by a check of the virtual GPU, or by a result.

mod calls;
mod changed;
mod report;
mod survivors;

use std::collections::BTreeSet;

use ltm_ptx::vm::fault::FaultKind;
use ltm_tests::mutation::{Kind, Outcome, Verdict, trial};

/// Share of the mutants that must be caught.
const CAUGHT: f64 = 0.95;
/// Kernels that must be tried.
const KERNELS: usize = 12;

/// `LTM_MUTATE=sample,swiglu` tries those operations alone; `LTM_SURVIVORS=FILE` writes what
/// survives, one mutant a line.
#[test]
fn errors_in_kernels_show() {
    let only = std::env::var("LTM_MUTATE").ok();
    let mut verdicts = Vec::new();
    for (operation, calls) in calls::OPERATIONS {
        if only.as_ref().is_none_or(|only| only.split(',').any(|name| name == operation)) {
            let recordings = calls().unwrap_or_else(|error| panic!("{operation}: {error}"));
            let tried = trial(operation, &recordings)
                .unwrap_or_else(|error| panic!("{operation}: {error}"));
            verdicts.extend(tried);
        }
    }
    if let Ok(path) = std::env::var("LTM_SURVIVORS") {
        std::fs::write(&path, report::survivors(&verdicts)).unwrap();
    }
    let kernels: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.kernel).collect();
    let table = report::table(&verdicts);
    println!("{table}");
    let survivors = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Survived).count();
    let caught = 1.0 - survivors as f64 / verdicts.len() as f64;
    println!("{:.2} % of {} are caught", 100.0 * caught, verdicts.len());
    removed_barriers_are_named(&verdicts);
    the_survivors_are_those_listed(&verdicts, &kernels);
    if only.is_none() {
        assert!(kernels.len() >= KERNELS, "only {} kernels were tried", kernels.len());
        assert!(caught >= CAUGHT, "only {:.2} % were caught", 100.0 * caught);
    }
}

/// A missing barrier is named as what it is, not only seen in a wrong result.
fn removed_barriers_are_named(verdicts: &[Verdict]) {
    use FaultKind::{Barrier, PendingCopy, Race, Uninitialised};
    for verdict in verdicts.iter().filter(|verdict| verdict.mutant.kind == Kind::Barrier) {
        let named = matches!(
            verdict.outcome,
            Outcome::Survived | Outcome::Fault(Race | Barrier | Uninitialised | PendingCopy)
        );
        assert!(named, "{}, {}: {:?}", verdict.kernel, verdict.mutant, verdict.outcome);
    }
}

/// Each with its reason, and none that is caught.
fn the_survivors_are_those_listed(verdicts: &[Verdict], kernels: &BTreeSet<&str>) {
    let mut listed = survivors::listed().unwrap_or_else(|error| panic!("{error}"));
    listed.retain(|name, _| name.split(' ').next().is_some_and(|name| kernels.contains(name)));
    let found = survivors::found(verdicts);
    let mut wrong = String::new();
    for name in listed.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let [listed, found] = [&listed, &found].map(|all| all.get(name).copied().unwrap_or(0));
        if listed != found {
            wrong.push_str(&format!("\n`{name}`: {found} survive, {listed} are listed"));
        }
    }
    assert!(wrong.is_empty(), "survivors.md does not list what survives:{wrong}");
}
