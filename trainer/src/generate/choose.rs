//! Choosing the next token of each text from its logits: on the device where its operation knows
//! the rules, else on the host by the same rule and the same random number.

use ltm_engine::draw::{Cut, draw};
use ltm_engine::ops::Sample;
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, Device, DeviceExt};

use super::{Drawn, Generator, Request, Sampling};
use crate::{Result, sites};

/// The tokens that the repetition penalty falls on.
pub(super) struct Seen {
    /// By token; empty without a penalty.
    tokens: Vec<bool>,
}

impl Seen {
    pub(super) fn new(request: &Request<'_>) -> Self {
        let mut seen = Self { tokens: Vec::new() };
        if request.sampling.repetition_penalty != 1.0 {
            let most = request.prompt.iter().copied().max().unwrap_or(0);
            seen.tokens.resize(most as usize + 1, false);
            request.prompt.iter().for_each(|&token| seen.add(token));
        }
        seen
    }

    pub(super) fn add(&mut self, token: i32) {
        if self.tokens.is_empty() {
            return;
        }
        let token = token as usize;
        self.tokens.resize(self.tokens.len().max(token + 1), false);
        self.tokens[token] = true;
    }

    /// Divides the logits above zero of these tokens by the penalty, and multiplies the others.
    fn penalise(&self, logits: &mut [f32], penalty: f32) {
        for (logit, seen) in logits.iter_mut().zip(&self.tokens) {
            match (seen, *logit > 0.0) {
                (false, _) => {}
                (true, true) => *logit /= penalty,
                (true, false) => *logit *= penalty,
            }
        }
    }
}

/// A row of the last step: its request, what its text has seen, and how many tokens it has.
type Row<'t> = (&'t Request<'t>, &'t Seen, usize);

impl Generator {
    /// The next token of each row of the last step, with its figures if the request wants them.
    pub(super) fn choose(
        &mut self,
        device: &mut dyn Device,
        rows: &[Row<'_>],
    ) -> Result<Vec<(i32, Option<Drawn>)>> {
        let vocab_of = |request: &Request<'_>| request.sampling.vocab(&self.config.model);
        let vocab = rows.iter().map(|(request, ..)| vocab_of(request)).max().unwrap_or(0);
        let logits = self.decoder.logits(device, rows.len(), vocab)?;
        let mut chosen = Vec::with_capacity(rows.len());
        let mut on_device = Vec::new();
        for (index, &(request, seen, length)) in rows.iter().enumerate() {
            let first = index * vocab;
            let logits = logits.slice(first..first + vocab_of(request))?;
            let stream = Stream {
                seed: request.sampling.seed,
                site: sites::SAMPLE_TOKEN,
                sample: request.sample,
                iteration: 0,
            };
            if request.figures || request.sampling.needs_host() {
                let uniform = stream.uniform(length as u32);
                let logits = device.read_numbers(&logits)?;
                chosen.push(on_host(logits, request, seen, uniform)?);
            } else {
                let token = self.tokens.slice(index..index + 1)?;
                sample(device, (&logits, &token), &request.sampling, (stream, length as u32))?;
                on_device.push(index);
                chosen.push((0, None));
            }
        }
        if !on_device.is_empty() {
            let tokens: Vec<i32> = device.read(&self.tokens.slice(0..rows.len())?)?;
            for index in on_device {
                chosen[index].0 = tokens[index];
            }
        }
        Ok(chosen)
    }
}

fn sample(
    device: &mut dyn Device,
    (logits, tokens): (&Buffer, &Buffer),
    sampling: &Sampling,
    (stream, position): (Stream, u32),
) -> Result<()> {
    Ok(device.sample(&Sample {
        logits,
        tokens,
        rows: 1,
        vocab: logits.len(),
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        stream,
        position,
    })?)
}

fn on_host(
    mut logits: Vec<f32>,
    request: &Request<'_>,
    seen: &Seen,
    uniform: f32,
) -> Result<(i32, Option<Drawn>)> {
    let sampling = &request.sampling;
    if let Some(id) = logits.iter().position(|logit| !logit.is_finite()) {
        let detail = format!("logit {id} is {}", logits[id]);
        return Err(ltm_engine::Error::Value { op: "sample", detail }.into());
    }
    let plain = request.figures.then(|| (Distribution::of(&logits), logits.clone()));
    seen.penalise(&mut logits, sampling.repetition_penalty);
    let cut = Cut {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        min_p: sampling.min_p,
    };
    let token = draw(&logits, &cut, uniform);
    let drawn = plain.map(|(distribution, logits)| Drawn {
        nll: distribution.logsumexp - f64::from(logits[token]),
        entropy: distribution.entropy,
    });
    Ok((token as i32, drawn))
}

/// Figures of `softmax(logits)`.
struct Distribution {
    logsumexp: f64,
    /// Nats.
    entropy: f64,
}

impl Distribution {
    fn of(logits: &[f32]) -> Self {
        let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let (mut sum, mut weighted) = (0.0, 0.0);
        for &logit in logits {
            let below = f64::from(logit) - top;
            let weight = below.exp();
            sum += weight;
            weighted += weight * below;
        }
        // -sum p log p, with log p = below - log sum.
        let logsum = sum.ln();
        Self { logsumexp: top + logsum, entropy: (logsum - weighted / sum).max(0.0) }
    }
}
