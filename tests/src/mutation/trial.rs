//! Tries every mutant of every kernel that some recordings launch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::mutant::Mutant;
use super::mutate::mutants;
use super::recorder::Recording;
use super::replay::{Outcome, Texts, replay};

/// A mutant and what became of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The entry point.
    pub kernel: &'static str,
    /// The error in it.
    pub mutant: Mutant,
    /// What the first recording that shows it showed.
    pub outcome: Outcome,
}

/// Tries every mutant on one recording after the other, until one shows it.
///
/// # Errors
/// Recordings that do not replay to the same results without a mutant; mutants that the virtual
/// GPU does not load.
pub fn trial(recordings: &[Recording]) -> Result<Vec<Verdict>, String> {
    let texts = Texts::new(recordings)?;
    for recording in recordings {
        // Under its own text too: a replay that differs by itself would call everything caught.
        let outcome = replay(recording, &texts, "", "")?;
        if outcome != Outcome::Survived {
            return Err(format!("{} is not what was recorded: {outcome:?}", recording.name));
        }
    }
    let mut jobs = Vec::new();
    for kernel in texts.entries() {
        let found = mutants(texts.text(kernel)).map_err(|error| error.to_string())?;
        jobs.extend(found.into_iter().map(|mutant| (kernel, mutant)));
    }
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![Ok(Outcome::Survived); jobs.len()]);
    let work = || loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some((kernel, mutant)) = jobs.get(at) else { break };
        let outcome = first_sign(recordings, &texts, kernel, mutant);
        outcomes.lock().unwrap_or_else(PoisonError::into_inner)[at] = outcome;
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let verdict = |((kernel, mutant), outcome): (_, Result<_, _>)| {
        Ok(Verdict { kernel, mutant, outcome: outcome? })
    };
    jobs.into_iter().zip(outcomes).map(verdict).collect()
}

/// What the first recording shows that shows anything.
fn first_sign(
    recordings: &[Recording],
    texts: &Texts,
    kernel: &str,
    mutant: &Mutant,
) -> Result<Outcome, String> {
    let text = mutant.text(texts.text(kernel));
    for recording in recordings {
        if recording.launches().any(|launch| launch.entry.name == kernel) {
            let outcome = replay(recording, texts, kernel, &text)
                .map_err(|error| format!("{kernel}, {mutant}, {}: {error}", recording.name))?;
            if outcome != Outcome::Survived {
                return Ok(outcome);
            }
        }
    }
    Ok(Outcome::Survived)
}
