//! Tries every mutant of every kernel of a module that some recordings launch.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::mutant::{Kind, Mutant};
use super::mutate::mutants;
use super::programs::{Programs, load};
use super::recorder::Recording;
use super::replay::{Issued, Outcome, replay, trace};

/// A mutant and what became of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The entry point.
    pub kernel: &'static str,
    /// The error in it.
    pub mutant: Mutant,
    /// What the first recording that shows it showed.
    pub outcome: Outcome,
    /// How the recordings met it.
    pub reach: Reach,
}

/// How recordings met a mutant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// One came to the instruction.
    pub came: bool,
    /// How many were played: those for which it makes a difference what the instruction does.
    pub calls: usize,
}

/// Tries every mutant of the kernels of a module on one recording after the other, until one shows it.
///
/// # Errors
/// Recordings that do not replay to the same results without a mutant; mutants that the virtual
/// GPU does not load.
pub fn trial(module: &str, recordings: &[Recording]) -> Result<Vec<Verdict>, String> {
    let programs = Programs::new(recordings, false)?;
    let tracing = Programs::new(recordings, true)?;
    let of_module: BTreeSet<&str> = recordings
        .iter()
        .flat_map(|recording| recording.launches())
        .filter(|launch| launch.entry.module == module)
        .map(|launch| launch.entry.name)
        .collect();
    // The short ones first: most mutants show in any.
    let mut recordings: Vec<&Recording> = recordings.iter().collect();
    recordings.sort_by_key(|recording| recording.instructions);
    let traced = |recording| Ok((recording, trace(recording, &tracing)?));
    let traced: Vec<(&Recording, Issued)> =
        recordings.into_iter().map(traced).collect::<Result<_, String>>()?;
    let mut jobs = Vec::new();
    for kernel in programs.entries().into_iter().filter(|name| of_module.contains(name)) {
        let found = mutants(programs.text(kernel)).map_err(|error| error.to_string())?;
        jobs.extend(found.into_iter().map(|mutant| (kernel, mutant)));
    }
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Ok((Outcome::Survived, Reach::default())); jobs.len()]);
    let work = || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some((kernel, mutant)) = jobs.get(at) else { break };
        let outcome = first_sign(&traced, &programs, kernel, mutant);
        outcomes.lock().unwrap_or_else(PoisonError::into_inner)[at] = outcome;
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let verdict = |((kernel, mutant), outcome): (_, Result<_, _>)| {
        let (outcome, reach) = outcome?;
        Ok(Verdict { kernel, mutant, outcome, reach })
    };
    jobs.into_iter().zip(outcomes).map(verdict).collect()
}

/// What the first recording shows that shows anything. Those that never come to the instruction,
/// or never to the equal case of a comparison, run as they were, and are not played.
fn first_sign(
    traced: &[(&Recording, Issued)],
    programs: &Programs,
    kernel: &'static str,
    mutant: &Mutant,
) -> Result<(Outcome, Reach), String> {
    // Loaded whether or not a recording comes to it: a mutant must be a program.
    let program = load(&mutant.text(programs.text(kernel)), false)
        .map_err(|error| format!("{kernel}, {mutant}: {error}"))?;
    let (mut came, mut calls) = (false, 0);
    for (recording, issued) in traced {
        let equal = issued.get(kernel).and_then(|lines| lines.get(&mutant.line));
        came |= equal.is_some();
        let differs = |&equal: &bool| match mutant.kind {
            Kind::Compare => equal,
            _ => !recording.of_comparisons,
        };
        if equal.is_some_and(differs) {
            calls += 1;
            let outcome = replay(recording, programs, kernel, &program)
                .map_err(|error| format!("{kernel}, {mutant}, {}: {error}", recording.name))?;
            if outcome != Outcome::Survived {
                return Ok((outcome, Reach { came, calls }));
            }
        }
    }
    Ok((Outcome::Survived, Reach { came, calls }))
}
