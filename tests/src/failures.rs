//! Runs named cases, or the one that is asked for, and tells of all that fail.

use std::fmt::Write;

/// Cases told of in a panic.
const SHOWN: usize = 12;

/// The cases of one test.
#[derive(Debug)]
pub struct Failures {
    only: Option<String>,
    failed: Vec<String>,
}

impl Default for Failures {
    /// None yet. `LTM_CASE` names the only case to run.
    fn default() -> Self {
        Self { only: std::env::var("LTM_CASE").ok(), failed: Vec::new() }
    }
}

impl Failures {
    /// Runs a case unless another one is asked for.
    pub fn run(&mut self, name: String, check: impl FnOnce() -> Result<(), String>) {
        if self.only.as_ref().is_some_and(|only| *only != name) {
            return;
        }
        if let Err(reason) = check() {
            self.failed.push(format!("  {name}: {reason}"));
        }
    }

    /// The end of the test.
    ///
    /// # Panics
    /// With the names of the cases that failed.
    pub fn finish(self) {
        let mut text = String::new();
        for failure in self.failed.iter().take(SHOWN) {
            let _ = writeln!(text, "{failure}");
        }
        assert!(self.failed.is_empty(), "{} cases fail:\n{text}", self.failed.len());
    }
}
