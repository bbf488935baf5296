//! What the latents of each layer know: progressive reconstruction, as the paper probes its models.
//!
//! The posterior of each text is inferred as usual. Then the text is predicted again with the
//! inferred latents of some layers only: of the first k, for k = 0 to L, and of the last k. With
//! all of them this is the reconstruction of an evaluation; with none it is the decoder without a
//! thought.
//!
//! Every token is predicted from the true tokens before it in its window and from these latents,
//! so the accuracy with none is that of a language model with this window, and not of chance.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use ltm_engine::{Buffer, Device, DeviceExt};
use serde::Serialize;

use crate::config::Config;
use crate::evaluate::Reconstruction;
use crate::latents::{Encoder, Inferred, LatentsError, Text, Texts, in_blocks};
use crate::model::{BatchShape, Parameters};
use crate::posterior::{Draw, draw_prior};
use crate::workspace::Workspace;
use crate::{Result, sites};

/// What stands in the place of the latents of the other layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Absent {
    /// The mean of the prior, which is 0 for N(0, I): no values then reach the residual stream of
    /// these layers. The default, as no draw comes between the layers and the figures.
    Mean,
    /// A draw from the prior, one for each text: what a layer has in generation when nothing is
    /// known, and nothing that the decoder was not trained for.
    Prior,
}

/// How to probe.
#[derive(Clone, Copy)]
pub struct ProbeOptions<'a> {
    /// In the place of latents left out.
    pub absent: Absent,
    /// Texts at once; changes the figures by rounding at most.
    pub batch: usize,
    /// Gives up before the next fast step once this is set.
    pub stop: &'a AtomicBool,
    /// Told the number of finished texts now and then.
    pub progress: &'a dyn Fn(u64),
}

/// Figures with the latents of so many layers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Level {
    /// Layers whose inferred latents are there.
    pub layers: usize,
    /// Nats per token.
    pub nll: f64,
    /// Share of the tokens that are the most probable one where they stand.
    pub accuracy: f64,
}

/// Result of a probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probed {
    /// Texts.
    pub texts: u64,
    /// Tokens predicted, in all of them.
    pub tokens: u64,
    /// Fast steps of each text.
    pub fast_steps: usize,
    /// In the place of latents left out.
    pub absent: Absent,
    /// With the latents of layers 1 to k, for k = 0 to L.
    pub first_layers: Vec<Level>,
    /// With the latents of the last k layers, for k = 0 to L.
    pub last_layers: Vec<Level>,
}

/// Sums over one text with the latents of some layers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Nats.
    pub nll: f64,
    /// Tokens that were the most probable ones.
    pub correct: u64,
}

/// Probes the layers of a model on texts.
///
/// # Errors
/// No text, one that cannot be read or inferred, [`crate::Error::Interrupted`], or a device that
/// fails.
pub fn probe(
    device: &mut dyn Device,
    encoder: &mut Encoder,
    texts: &mut Texts,
    options: &ProbeOptions<'_>,
) -> Result<Probed> {
    if options.batch == 0 {
        return Err(LatentsError::TooFew { name: "--batch", found: 0, least: 1 }.into());
    }
    let at_once = encoder.at_once(options.batch);
    let (config, layers) = (encoder.config().clone(), encoder.config().model.layers);
    let present = subsets(layers);
    let mut probe = Probe::new(device, encoder, options.absent)?;
    let mut sums = vec![Score::default(); present.len()];
    let (mut count, mut tokens, done) = (0, 0, Cell::new(0));
    in_blocks(
        texts,
        (config.seq_len(), at_once),
        &mut |group| {
            let scores = probe.scores(device, group, &present, options.stop)?;
            done.set(done.get() + group.len() as u64);
            (options.progress)(done.get());
            Ok(scores)
        },
        &mut |text, scores| {
            count += 1;
            tokens += text.tokens() as u64;
            for (sum, score) in sums.iter_mut().zip(scores) {
                sum.nll += score.nll;
                sum.correct += score.correct;
            }
            Ok(())
        },
    )?;
    if count == 0 {
        return Err(texts.none().into());
    }
    let level = |layers: usize, sum: &Score| Level {
        layers,
        nll: sum.nll / tokens as f64,
        accuracy: sum.correct as f64 / tokens as f64,
    };
    let find = |range: Range<usize>| present.iter().position(|other| *other == range);
    let levels = |range: &dyn Fn(usize) -> Range<usize>| {
        (0..=layers).filter_map(|k| Some(level(k, &sums[find(range(k))?]))).collect()
    };
    Ok(Probed {
        texts: count,
        tokens,
        fast_steps: encoder.fast_steps(),
        absent: options.absent,
        first_layers: levels(&|k| 0..k),
        // No layer is the same set from either end.
        last_layers: levels(&|k| if k == 0 { 0..0 } else { layers - k..layers }),
    })
}

/// Every set of first layers, and every set of last ones that is not one of these.
fn subsets(layers: usize) -> Vec<Range<usize>> {
    (0..=layers).map(|k| 0..k).chain((1..layers).map(|first| first..layers)).collect()
}

/// The latents of a group of texts, and what is put together from them.
struct Probe<'e> {
    encoder: &'e mut Encoder,
    absent: Absent,
    /// `[1, 1]`, for the latents of one text from the prior.
    prior: Workspace,
    parts: Option<Parts>,
}

/// Of one batch shape.
struct Parts {
    reconstruction: Reconstruction,
    /// `[L, B, M, D]` storage: what the fast loop found.
    inferred: Buffer,
    /// `[L, B, M, D]` storage: what stands for latents left out.
    absent: Buffer,
}

impl Parts {
    fn new(
        device: &mut dyn Device,
        config: &Config,
        weights: &Parameters,
        workspace: &Workspace,
    ) -> Result<Self> {
        Ok(Self {
            reconstruction: Reconstruction::new(device, config, weights, workspace)?,
            inferred: device.alloc(config.storage(), workspace.z.len())?,
            absent: device.alloc(config.storage(), workspace.z.len())?,
        })
    }

    /// Scores with the inferred latents of the layers `present`, of `layers`.
    fn score(
        &mut self,
        device: &mut dyn Device,
        workspace: &Workspace,
        (present, layers): (&Range<usize>, usize),
        texts: &[&Text],
    ) -> Result<Vec<Score>> {
        let size = workspace.z.len() / layers;
        for layer in 0..layers {
            let from = if present.contains(&layer) { &self.inferred } else { &self.absent };
            let range = layer * size..(layer + 1) * size;
            device.copy(&from.slice(range.clone())?, &workspace.z.slice(range)?)?;
        }
        let guesses = self.reconstruction.guess(device)?;
        let nll: Vec<f32> = device.read(&workspace.token_nll)?;
        let seq = workspace.shape.seq;
        let rows = nll.chunks_exact(seq).zip(guesses.chunks_exact(seq));
        let score = |(text, (nll, guesses)): (&&Text, (&[f32], &[i32]))| Score {
            nll: nll[..text.tokens()].iter().map(|&x| f64::from(x)).sum(),
            correct: text.ids[1..].iter().zip(guesses).filter(|(a, b)| a == b).count() as u64,
        };
        Ok(texts.iter().zip(rows).map(score).collect())
    }
}

impl<'e> Probe<'e> {
    fn new(device: &mut dyn Device, encoder: &'e mut Encoder, absent: Absent) -> Result<Self> {
        let one = BatchShape { batch: 1, seq: 1 };
        let kind = (encoder.config().storage(), false);
        let prior = Workspace::new(device, &encoder.config().model, one, kind, 0)?;
        prior.know_prior(encoder.weights())?;
        Ok(Self { encoder, absent, prior, parts: None })
    }

    /// Scores of each text, `[texts][present]`.
    fn scores(
        &mut self,
        device: &mut dyn Device,
        texts: &[&Text],
        present: &[Range<usize>],
        stop: &AtomicBool,
    ) -> Result<Vec<Vec<Score>>> {
        let (config, weights) = (self.encoder.config().clone(), self.encoder.weights().frozen());
        let Inferred { workspace, replaced, .. } = self.encoder.infer(device, texts, stop)?;
        let mut parts = match self.parts.take().filter(|_| !replaced) {
            Some(parts) => parts,
            None => Parts::new(device, &config, &weights, workspace)?,
        };
        device.copy(&workspace.z, &parts.inferred)?;
        for (place, text) in texts.iter().enumerate() {
            let draw = Draw {
                seed: config.train.seed,
                iteration: 0,
                first_sample: text.number as u32,
                site_offset: sites::VALIDATION_OFFSET,
            };
            match self.absent {
                Absent::Prior => draw_prior(device, &self.prior, draw)?,
                Absent::Mean => {
                    device.zero(&self.prior.eps)?;
                    self.prior.prior()?.draw(device, &self.prior)?;
                }
            }
            place_sample(device, &self.prior.z, &parts.absent, (place, texts.len()), &config)?;
        }
        let mut scores = vec![Vec::with_capacity(present.len()); texts.len()];
        for present in present {
            let found = parts.score(device, workspace, (present, config.model.layers), texts)?;
            scores.iter_mut().zip(found).for_each(|(scores, score)| scores.push(score));
        }
        self.parts = Some(parts);
        Ok(scores)
    }
}

/// Copies the z of one sample, `[L, 1, M, D]`, to its place in a batch, `[L, B, M, D]`.
fn place_sample(
    device: &mut dyn Device,
    one: &Buffer,
    all: &Buffer,
    (place, batch): (usize, usize),
    config: &Config,
) -> Result<()> {
    let size = one.len() / config.model.layers;
    for layer in 0..config.model.layers {
        let to = (layer * batch + place) * size;
        device.copy(&one.slice(layer * size..(layer + 1) * size)?, &all.slice(to..to + size)?)?;
    }
    Ok(())
}
