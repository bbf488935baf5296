//! Answers as lines of a file that grows by whole lines, so that an interrupted evaluation goes
//! on where it was.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Gsm8kError, Settings, Tally};

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Number of the question in its file, from 0.
    pub question: usize,
    /// Number of the sample, from 0.
    pub sample: usize,
    /// Examples in the prompt.
    pub shots: usize,
    /// The answer found in the text, see [`super::answer_of`].
    pub answer: Option<String>,
    /// The reference's.
    pub gold: String,
    /// Whether they are the same.
    pub correct: bool,
    /// Why the text ended: `answered`, `next_question`, `end_of_text`, `length`.
    pub end: String,
    /// Tokens that were written.
    pub tokens: usize,
    /// What was written, up to a next question.
    pub text: String,
}

/// The file: a line with the settings, then a line for each answer, in the order in which they
/// were found.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// By question and sample.
    found: HashMap<(usize, usize), Brief>,
}

/// What is kept of an answer.
#[derive(Clone, Copy, Debug)]
struct Brief {
    answered: bool,
    correct: bool,
    shots: usize,
}

impl Results {
    /// Opens or begins the file of an evaluation of `questions` questions. A last line that was
    /// cut short is removed. No second process may have it open.
    ///
    /// # Errors
    /// [`Gsm8kError::Changed`] if it was begun with other settings, [`Gsm8kError::Results`] if it
    /// is damaged or no such file, [`Gsm8kError::Locked`], or an I/O error; the file is then as it
    /// was.
    pub fn open(path: &Path, settings: &Settings, questions: usize) -> Result<Self, Gsm8kError> {
        let io = |action| Gsm8kError::io(action, path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Gsm8kError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        let header = line_of(settings).map_err(io("write"))?;
        let mut results = Self { path: path.to_owned(), file, len: 0, found: HashMap::new() };
        // The beginning of this very line is what a crash may have left of it.
        if header.starts_with(&bytes) {
            results.cut()?;
            results.append(&header)?;
            results.sync()?;
            return Ok(results);
        }
        results.read(&bytes, settings, questions)?;
        results.cut()?;
        Ok(results)
    }

    fn read(
        &mut self,
        bytes: &[u8],
        settings: &Settings,
        questions: usize,
    ) -> Result<(), Gsm8kError> {
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let bad = |reason: String| Gsm8kError::Results {
                path: self.path.clone(),
                line: index + 1,
                reason,
            };
            if index == 0 {
                let was: Settings = serde_json::from_slice(line).map_err(|error| {
                    bad(format!("expected the settings of an ltm gsm8k, but {error}"))
                })?;
                if was != *settings {
                    let changes = was.changes(settings);
                    return Err(Gsm8kError::Changed { path: self.path.clone(), changes });
                }
            } else if line.last() == Some(&b'\n') {
                let answer: Answer = serde_json::from_slice(line)
                    .map_err(|error| bad(format!("expected an answer, but {error}")))?;
                if answer.question >= questions {
                    let number = answer.question;
                    let reason = format!("question {number}; the data has {questions}");
                    return Err(bad(reason));
                }
                self.note(&answer);
            } else {
                break;
            }
            self.len += line.len() as u64;
        }
        Ok(())
    }

    fn note(&mut self, answer: &Answer) {
        let (answered, correct) = (answer.answer.is_some(), answer.correct);
        let brief = Brief { answered, correct, shots: answer.shots };
        self.found.insert((answer.question, answer.sample), brief);
    }

    /// Removes what stands behind the last whole line.
    fn cut(&mut self) -> Result<(), Gsm8kError> {
        let cut = self.file.set_len(self.len).and_then(|()| self.file.seek(SeekFrom::End(0)));
        cut.map(drop).map_err(Gsm8kError::io("shorten", &self.path))
    }

    fn append(&mut self, line: &[u8]) -> Result<(), Gsm8kError> {
        match self.file.write_all(line) {
            Ok(()) => {
                self.len += line.len() as u64;
                Ok(())
            }
            Err(source) => {
                // On a full disk part of the line may be there; the next start would cut it too.
                let _ = self.cut();
                Err(Gsm8kError::io("write", &self.path)(source))
            }
        }
    }

    /// Adds an answer; it is with the operating system when this returns.
    ///
    /// # Errors
    /// An I/O error; the file then still ends with a whole line.
    pub fn add(&mut self, answer: &Answer) -> Result<(), Gsm8kError> {
        let line = line_of(answer).map_err(Gsm8kError::io("write", &self.path))?;
        self.append(&line)?;
        self.note(answer);
        Ok(())
    }

    /// Makes every line durable.
    ///
    /// # Errors
    /// An I/O error.
    pub fn sync(&self) -> Result<(), Gsm8kError> {
        self.file.sync_data().map_err(Gsm8kError::io("sync", &self.path))
    }

    /// Whether there is an answer.
    pub fn has(&self, question: usize, sample: usize) -> bool {
        self.found.contains_key(&(question, sample))
    }

    /// What came of the first `samples` samples of a question; `None` if not all are there.
    pub fn tally(&self, question: usize, samples: usize) -> Option<Tally> {
        let mut tally = Tally::default();
        for sample in 0..samples {
            let brief = self.found.get(&(question, sample))?;
            tally.samples += 1;
            tally.answered += usize::from(brief.answered);
            tally.correct += usize::from(brief.correct);
        }
        Some(tally)
    }

    /// Examples in the prompts, mean over the answers.
    pub fn mean_shots(&self) -> Option<f64> {
        let sum: usize = self.found.values().map(|brief| brief.shots).sum();
        (!self.found.is_empty()).then(|| sum as f64 / self.found.len() as f64)
    }
}

fn line_of(record: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}
