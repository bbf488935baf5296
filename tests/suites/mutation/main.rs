//! Errors put into kernels on purpose must show: by a check of the virtual GPU, or by a result.

mod calls;
mod changed;
mod survivors;

use std::collections::{BTreeMap, BTreeSet};

use ltm_ptx::vm::fault::FaultKind;
use ltm_tests::mutation::{Kind, Outcome, Verdict, trial};

/// Share of the mutants that must be caught.
const CAUGHT: f64 = 0.95;
/// Kernels that must be tried.
const KERNELS: usize = 12;

#[test]
fn errors_in_kernels_show() {
    let mut verdicts = Vec::new();
    let only = std::env::var("LTM_MUTATE").ok();
    for (operation, calls) in calls::OPERATIONS {
        if only.as_ref().is_some_and(|only| !only.split(',').any(|name| name == operation)) {
            continue;
        }
        let begin = std::time::Instant::now();
        let recordings = calls().unwrap_or_else(|error| panic!("{operation}: {error}"));
        let tried = trial(&recordings).unwrap_or_else(|error| panic!("{operation}: {error}"));
        verdicts.extend(tried);
        eprintln!("{operation} {:.1} s", begin.elapsed().as_secs_f64());
    }
    if let Ok(path) = std::env::var("LTM_DUMP") {
        let mut text = String::new();
        for v in verdicts.iter().filter(|v| v.outcome == Outcome::Survived) {
            text.push_str(&format!(
                "{} {} {}\n",
                if !v.reach.came {
                    "U"
                } else if v.reach.calls == 0 {
                    "N"
                } else {
                    "R"
                },
                v.kernel,
                v.mutant
            ));
        }
        std::fs::write(path, text).unwrap();
    }
    let table = table(&verdicts);
    println!("{table}");
    let survives = |verdict: &&Verdict| verdict.outcome == Outcome::Survived;
    let survivors = verdicts.iter().filter(survives).count();
    let caught = 1.0 - survivors as f64 / verdicts.len() as f64;
    let kernels: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.kernel).collect();
    assert!(kernels.len() >= KERNELS, "only {} kernels were tried", kernels.len());
    assert!(caught >= CAUGHT, "only {:.2} % were caught\n{table}", 100.0 * caught);
    removed_barriers_are_named(&verdicts);
    the_survivors_are_those_listed(&verdicts);
}

/// A missing barrier is named as what it is, not only seen in a wrong result.
fn removed_barriers_are_named(verdicts: &[Verdict]) {
    use FaultKind::{Barrier, PendingCopy, Race, Uninitialised};
    for verdict in verdicts.iter().filter(|verdict| verdict.mutant.kind == Kind::Barrier) {
        let named = matches!(
            verdict.outcome,
            Outcome::Survived | Outcome::Fault(Race | Barrier | Uninitialised | PendingCopy)
        );
        assert!(named, "{}: {:?}", survivors::name(verdict), verdict.outcome);
    }
}

fn the_survivors_are_those_listed(verdicts: &[Verdict]) {
    let listed = survivors::listed().unwrap_or_else(|error| panic!("{error}"));
    let survivors = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Survived);
    let survivors: BTreeSet<String> = survivors.map(survivors::name).collect();
    let lines =
        |names: Vec<&String>| names.iter().map(|name| format!("\n{name}")).collect::<String>();
    let missing = lines(survivors.difference(&listed).collect());
    let caught = lines(listed.difference(&survivors).collect());
    assert!(missing.is_empty(), "not in survivors.md, with a reason:{missing}");
    assert!(caught.is_empty(), "in survivors.md, but caught or no longer made:{caught}");
}

/// Caught and made, by kernel and by kind.
fn table(verdicts: &[Verdict]) -> String {
    let mut counts: BTreeMap<(&str, Kind), (usize, usize)> = BTreeMap::new();
    for verdict in verdicts {
        for kernel in [verdict.kernel, "~ all"] {
            let (caught, made) = counts.entry((kernel, verdict.mutant.kind)).or_default();
            *caught += usize::from(verdict.outcome != Outcome::Survived);
            *made += 1;
        }
    }
    let kernels: BTreeSet<&str> = counts.keys().map(|(kernel, _)| *kernel).collect();
    let mut text = format!("{:44}", "caught/made");
    Kind::ALL.iter().for_each(|kind| text.push_str(&format!("{kind:>14}")));
    for kernel in kernels {
        text.push_str(&format!("\n{kernel:44}"));
        for kind in Kind::ALL {
            let (caught, made) = counts.get(&(kernel, kind)).copied().unwrap_or_default();
            text.push_str(&format!("{:>14}", format!("{caught}/{made}")));
        }
    }
    text
}
