//! Asking all questions that have no answer yet.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ltm_engine::Device;

use super::answer::is_settled;
use super::prompt::Prompt;
use super::{Answer, Gsm8kError, Prompts, Question, Results, answer_of};
use crate::config::FastConfig;
use crate::generate::{End, Generated, Generator, Latents, Request, Sampling};
use crate::{Error, Result};

/// What begins a question that nobody asked.
const NEXT: &str = "Question:";

/// Where z comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum LatentsFor {
    /// The prior, for each sample anew.
    Prior,
    /// The posterior of the prompt, inferred once for all samples of a question.
    Question(FastConfig),
    /// The posterior of the prompt, inferred for each sample from another start.
    Sample(FastConfig),
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Answers that are there.
    pub done: usize,
    /// Answers that were asked for.
    pub total: usize,
}

/// What to ask.
pub struct Ask<'a> {
    /// All questions of the file: a question's random numbers depend on how many there are.
    pub questions: &'a [Question],
    /// Questions to ask, the first ones.
    pub limit: usize,
    /// Samples of each.
    pub samples: usize,
    /// How to ask them.
    pub prompts: Prompts<'a>,
    /// Where z comes from.
    pub latents: LatentsFor,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that are written together; the answers do not depend on it.
    pub batch: usize,
    /// Ends it early, once the answers that are whole have been kept.
    pub stop: &'a AtomicBool,
    /// Told after each group of texts.
    pub progress: &'a dyn Fn(Progress),
}

/// A text to write.
struct Job {
    question: usize,
    sample: usize,
    prompt: Prompt,
    latents: Latents,
}

impl Ask<'_> {
    /// Checks settings and prompts, so that what is wrong is told before anything is written;
    /// `vocab` is the number of the model's token ids.
    ///
    /// # Errors
    /// [`Gsm8kError::TooLong`], [`Gsm8kError::Setting`], or
    /// [`crate::generate::GenerateError::Setting`].
    pub fn check(&self, vocab: usize) -> Result<()> {
        self.sampling.check(vocab)?;
        if self.samples.saturating_mul(self.questions.len()) > u32::MAX as usize {
            return Err(Gsm8kError::Setting {
                name: "samples",
                value: self.samples.to_string(),
                expected: "fewer than 2^32 answers in all".to_owned(),
            }
            .into());
        }
        for question in self.questions.iter().take(self.limit) {
            self.prompts.of(question)?;
        }
        Ok(())
    }

    /// Asks every question for every sample that `results` lacks.
    ///
    /// # Errors
    /// [`Gsm8kError`], or a device that fails. What [`Ask::check`] tells is not checked again.
    pub fn run(
        &self,
        device: &mut dyn Device,
        generator: &mut Generator,
        results: &mut Results,
    ) -> Result<()> {
        let limit = self.limit.min(self.questions.len());
        let each = (0..limit).flat_map(|q| (0..self.samples).map(move |sample| (q, sample)));
        let open: Vec<_> = each.filter(|&(q, sample)| !results.has(q, sample)).collect();
        let total = limit * self.samples;
        let mut done = total - open.len();
        (self.progress)(Progress { done, total });
        let mut thought = None;
        for group in open.chunks(self.batch.max(1)) {
            let jobs = match self.prepare(device, generator, group, &mut thought) {
                Err(Error::Interrupted) => break,
                jobs => jobs?,
            };
            done += match self.answer(device, generator, &jobs, results) {
                Err(Error::Interrupted) => break,
                answered => answered?,
            };
            (self.progress)(Progress { done, total });
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(results.sync()?)
    }

    /// The prompts of a group, with z where it is shared. `thought` is that of the last question.
    fn prepare(
        &self,
        device: &mut dyn Device,
        generator: &mut Generator,
        group: &[(usize, usize)],
        thought: &mut Option<(usize, Arc<[f32]>)>,
    ) -> Result<Vec<Job>> {
        let mut jobs = Vec::with_capacity(group.len());
        for &(question, sample) in group {
            let prompt = self.prompts.of(&self.questions[question])?;
            let latents = match &self.latents {
                LatentsFor::Prior => Latents::Prior,
                LatentsFor::Sample(fast) => Latents::Posterior(fast.clone()),
                LatentsFor::Question(fast) => {
                    let known = thought.take().filter(|(of, _)| *of == question);
                    let (_, z) = match known {
                        Some(known) => thought.insert(known),
                        None => {
                            let random = (self.sampling.seed, question as u32);
                            let (tokens, stop) = (&prompt.tokens, self.stop);
                            let (_, z) = generator.infer(device, tokens, fast, random, stop)?;
                            thought.insert((question, z.into()))
                        }
                    };
                    Latents::Given(z.clone())
                }
            };
            jobs.push(Job { question, sample, prompt, latents });
        }
        Ok(jobs)
    }

    /// Writes the texts of a group and keeps the answers of those that are whole; how many.
    fn answer(
        &self,
        device: &mut dyn Device,
        generator: &mut Generator,
        jobs: &[Job],
        results: &mut Results,
    ) -> Result<usize> {
        let requests: Vec<_> = jobs.iter().map(|job| self.request(job)).collect();
        let mut texts = vec![Vec::new(); jobs.len()];
        let mut emit = |index: usize, token: i32| {
            let bytes: &mut Vec<u8> = &mut texts[index];
            // The generator draws no id that the tokenizer lacks.
            bytes.extend(self.prompts.tokenizer.decode_bytes(&[token as u32]).unwrap_or_default());
            let text = String::from_utf8_lossy(bytes);
            match text.contains(NEXT) || is_settled(&text) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let written = generator.write(device, &requests, &mut emit)?;
        let mut kept = 0;
        for ((job, bytes), written) in jobs.iter().zip(&texts).zip(&written) {
            if written.end != End::Stopped {
                results.add(&self.record(job, &String::from_utf8_lossy(bytes), written))?;
                kept += 1;
            }
        }
        Ok(kept)
    }

    fn request<'j>(&'j self, job: &'j Job) -> Request<'j> {
        Request {
            prompt: &job.prompt.tokens,
            latents: job.latents.clone(),
            refit: None,
            sampling: self.sampling.clone(),
            sample: (job.sample * self.questions.len() + job.question) as u32,
            figures: false,
            stop: self.stop,
        }
    }

    fn record(&self, job: &Job, written: &str, text: &Generated) -> Answer {
        let (counted, next) = match written.split_once(NEXT) {
            Some((counted, _)) => (counted, true),
            None => (written, false),
        };
        let (answer, gold) = (answer_of(counted), self.questions[job.question].gold.clone());
        let end = match text.end {
            End::Enough if next => "next_question",
            End::Enough => "answered",
            End::EndOfText => "end_of_text",
            End::Length | End::Stopped => "length",
        };
        Answer {
            question: job.question,
            sample: job.sample,
            shots: job.prompt.shots,
            correct: answer.as_ref() == Some(&gold),
            answer,
            gold,
            end: end.to_owned(),
            tokens: text.tokens.len(),
            text: counted.to_owned(),
        }
    }
}
