//! Progress: a bar on a terminal, lines now and then elsewhere.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{say, tell};

/// Time between plain lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows how far something has come.
pub struct Meter {
    bar: Option<ProgressBar>,
    last: Cell<Option<Instant>>,
    unit: &'static str,
}

impl Meter {
    fn new(template: &str, unit: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last: Cell::new(None), unit }
    }

    /// For bytes of input.
    pub fn bytes() -> Self {
        Self::new("{bar:30} {bytes}/{total_bytes} {msg} ETA {eta}", "bytes")
    }

    /// For sequences of an evaluation.
    pub fn sequences() -> Self {
        Self::new("{bar:30} {pos}/{len} sequences {msg}, ETA {eta}", "sequences")
    }

    /// For texts, where it is known how many there are or not.
    pub fn texts(total: Option<u64>) -> Self {
        Self::new(
            match total {
                Some(_) => "{bar:30} {pos}/{len} texts, ETA {eta}",
                None => "{spinner} {pos} texts",
            },
            "texts",
        )
    }

    /// For answers to questions.
    pub fn answers() -> Self {
        Self::new("{bar:30} {pos}/{len} answers, ETA {eta}", "answers")
    }

    /// For iterations of training; the message brings the time left.
    pub fn iterations() -> Self {
        Self::new("{bar:30} {pos}/{len} {msg}", "iterations")
    }

    /// Shows a state.
    pub fn set(&self, position: u64, total: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(position);
            bar.set_message(message.to_owned());
            return;
        }
        let due = self.last.get().is_none_or(|last| last.elapsed() >= INTERVAL);
        if due || position == total {
            self.last.set(Some(Instant::now()));
            tell!("{position}/{total} {}: {message}", self.unit);
        }
    }

    /// Shows a count, of so many or of nobody knows how many.
    pub fn count(&self, position: u64, total: Option<u64>) {
        match (total, &self.bar) {
            (Some(total), _) => self.set(position, total, ""),
            (None, Some(bar)) => bar.set_position(position),
            (None, None) => {
                if self.last.get().is_none_or(|last| last.elapsed() >= INTERVAL) {
                    self.last.set(Some(Instant::now()));
                    tell!("{position} {}", self.unit);
                }
            }
        }
    }

    /// Prints a line above the bar. Work goes on if nobody reads it any more.
    pub fn line(&self, text: &str) {
        let _ = match &self.bar {
            Some(bar) => bar.suspend(|| say!("{text}")),
            None => say!("{text}"),
        };
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
