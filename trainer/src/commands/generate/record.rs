//! Texts as lines of JSON, ready for scorers, and the figures of all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ltm::atomic_file;
use ltm::generate::{End, Generated, Latents, Request, TextFigures, Thought, decimal};
use ltm_tools::tokenizer::Tokenizer;
use serde_json::{Value, json};

use super::Args;
use crate::commands::model::Model;
use crate::commands::output::{say, tell};

/// What is written down of the texts.
pub struct Records {
    lines: Option<(PathBuf, Vec<u8>)>,
    summary: Option<PathBuf>,
    settings: Value,
    tokenizer: Tokenizer,
}

impl Records {
    /// Of texts that share the settings of `request`.
    pub fn new(args: &Args, model: &Model, request: &Request<'_>) -> Self {
        let (sampling, refit) = (&request.sampling, &request.refit);
        let fast_steps = match (&request.latents, refit) {
            (Latents::Posterior(fast), _) => Some(fast.steps),
            (_, Some(refit)) => Some(refit.fast.steps),
            _ => None,
        };
        let settings = json!({
            "model": args.run.display().to_string(),
            "iteration": model.iteration,
            "tokenizer": model.tokenizer.kind().name(),
            "latents": match request.latents {
                Latents::Prior => "prior",
                Latents::Posterior(_) => "posterior of the prompt",
                Latents::Given(_) => "given",
            },
            "fast_steps": fast_steps,
            "refit": refit.as_ref().map(|refit| json!({
                "every": refit.every, "last": refit.last,
            })),
            "max_tokens": sampling.max_tokens,
            "temperature": decimal(sampling.temperature),
            "top_k": sampling.top_k,
            "top_p": decimal(sampling.top_p),
            "min_p": decimal(sampling.min_p),
            "repetition_penalty": decimal(sampling.repetition_penalty),
            "ignore_end": sampling.end.is_none(),
        });
        Self {
            lines: args.jsonl.clone().map(|path| (path, Vec::new())),
            summary: args.summary.clone(),
            settings,
            tokenizer: model.tokenizer,
        }
    }

    /// Adds a text, with what its z is of where that is given.
    pub fn add(
        &mut self,
        (prompt, latents_of): (&str, Option<&str>),
        request: &Request<'_>,
        text: &Generated,
    ) -> anyhow::Result<()> {
        let Some((path, lines)) = &mut self.lines else {
            return Ok(());
        };
        let ids: Vec<u32> = text.tokens.iter().map(|&token| token as u32).collect();
        let line = json!({
            "prompt": prompt,
            "latents_of": latents_of,
            "text": self.tokenizer.decode(&ids)?,
            "prompt_tokens": request.prompt,
            "tokens": text.tokens,
            "end": end(text.end),
            "seed": request.sampling.seed,
            "sample": request.sample,
            "draws": text.drawn.len(),
            "nll": text.drawn.iter().map(|drawn| drawn.nll).sum::<f64>(),
            "figures": TextFigures::of(text),
            "thought": text.thought.as_ref().map(thought),
            "refits": text.refits.iter().map(thought).collect::<Vec<_>>(),
            "settings": self.settings,
        });
        if path.as_os_str() == "-" {
            return say!("{line}");
        }
        serde_json::to_writer(&mut *lines, &line)?;
        lines.push(b'\n');
        Ok(())
    }

    /// Writes the files, each whole or not at all, and shows the figures.
    pub fn publish(&self, texts: &[Generated], took: Duration) -> anyhow::Result<()> {
        if let Some((path, lines)) = &self.lines
            && path.as_os_str() != "-"
        {
            write(path, lines)?;
        }
        if self.lines.is_none() && self.summary.is_none() {
            return Ok(());
        }
        let figures = TextFigures::over(texts);
        let tokens: usize = texts.iter().map(|text| text.tokens.len()).sum();
        let seconds = took.as_secs_f64();
        if let Some(path) = &self.summary {
            let summary = json!({
                "texts": texts.len(),
                "tokens": tokens,
                "seconds": seconds,
                "figures": figures,
                "settings": self.settings,
            });
            write(path, format!("{summary:#}\n").as_bytes())?;
        }
        let rate = tokens as f64 / seconds.max(1e-9);
        tell!("{} texts, {tokens} tokens in {seconds:.1} s, {rate:.1} tokens/s", texts.len());
        show(&figures);
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    atomic_file::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn end(end: End) -> &'static str {
    match end {
        End::Length => "length",
        End::EndOfText => "end_of_text",
        End::Enough => "enough",
        End::Stopped => "stopped",
    }
}

/// nll and KL before the first and the last fast step, nats in all.
fn thought(thought: &Thought) -> Value {
    json!({
        "tokens": thought.tokens,
        "fast_steps": thought.nll.len(),
        "nll": [thought.nll.first(), thought.nll.last()],
        "kl": [thought.kl.first(), thought.kl.last()],
    })
}

fn show(figures: &TextFigures) {
    let number = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
    let row =
        |numbers: &[Option<f64>]| numbers.iter().map(|&x| number(x)).collect::<Vec<_>>().join(" ");
    tell!(
        "  nll {} nats a draw, entropy of the model {}, of the tokens {}",
        number(figures.nll),
        number(figures.entropy),
        number(figures.token_entropy)
    );
    tell!("  distinct-1 to 4 {}", row(&figures.distinct));
    tell!("  rep-1 to 4 {}, diversity {}", row(&figures.rep), number(figures.diversity));
}
