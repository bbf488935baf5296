//! What a command answered.

use std::process::{Command, Output};

/// Exit code and streams of a finished command.
pub struct Outcome {
    /// The command, for messages.
    pub command: String,
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output; what is no UTF-8 is replaced.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self::new(format!("{command:?}"), output)
    }

    /// From a command that was run by other means.
    pub fn new(command: String, output: Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It succeeded. Returns the standard output.
    #[track_caller]
    pub fn succeeds(self) -> String {
        self.ends_with_code(0);
        self.stdout
    }

    /// It failed with exit code 1 and an error that contains every one of these words.
    #[track_caller]
    pub fn fails(self, words: &[&str]) {
        self.ends_with_code(1);
        self.says(words);
    }

    /// It was called wrongly: exit code 2, and these words.
    #[track_caller]
    pub fn is_misused(self, words: &[&str]) {
        self.ends_with_code(2);
        self.says(words);
    }

    #[track_caller]
    fn ends_with_code(&self, code: i32) {
        let Self { command, stdout, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{command}\n{stdout}\n{stderr}");
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        let Self { command, stderr, .. } = self;
        for word in words {
            assert!(stderr.contains(word), "{command}\ndoes not say {word:?}:\n{stderr}");
        }
    }
}
