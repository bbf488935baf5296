//! Inference of the posteriors of texts of any length.

use std::sync::atomic::AtomicBool;

use ltm_autograd::Segment;
use ltm_engine::{Buffer, Device, DeviceExt};

use super::posterior::{Encoded, Posterior};
use super::{LatentsError, Text};
use crate::Result;
use crate::config::{Config, FastConfig, Noise};
use crate::model::{BatchShape, Parameters};
use crate::passes::{PassPlan, Passes, Purpose};
use crate::posterior::{Draw, WeightGradients, draw_start, infer, inference_settings};
use crate::sites;
use crate::workspace::Workspace;

/// Shortest sequence that programs are recorded for.
const SHORTEST: usize = 16;

/// Log variance of a point, as Langevin dynamics finds: its standard deviation of 1e-13 vanishes
/// beside any mean.
const POINT_LOGVAR: f32 = -60.0;

/// Tokens of the sequence that a text of `tokens` is padded to, where none is longer than
/// `longest`.
pub fn padded(tokens: usize, longest: usize) -> usize {
    let longest = longest.max(tokens);
    tokens.next_power_of_two().clamp(SHORTEST.min(longest), longest)
}

/// Infers posteriors.
///
/// A text is padded to the next power of two of its length, with targets that are not scored; as
/// attention looks only back, padding changes nothing before it. Every text starts from the same
/// random numbers, those of sample 0. So, inferred alone, its latents are a function of the model,
/// the settings and its own tokens, and of nothing else: not of its place in a file, nor of the
/// texts beside it. Several at once give the same up to rounding, as matrix products of other
/// shapes round differently.
pub struct Encoder {
    config: Config,
    fast: FastConfig,
    weights: Parameters,
    /// Of the shape last used: texts come sorted by length, and one at a time bounds the memory.
    apparatus: Option<(Passes, Workspace)>,
}

/// Posteriors on the device, with all that further passes need.
pub struct Inferred<'a> {
    /// Programs bound to `workspace`.
    pub passes: &'a Passes,
    /// Holds the batch, its mu, logvar, z and KL.
    pub workspace: &'a Workspace,
    /// Whether these are other buffers than those of the last call.
    pub replaced: bool,
}

impl Encoder {
    /// For the weights of `parameters`, which are left alone; `fast_steps` as in
    /// [`inference_settings`].
    ///
    /// # Errors
    /// [`LatentsError::NoLatents`].
    pub fn new(
        config: &Config,
        parameters: &Parameters,
        fast_steps: Option<usize>,
    ) -> Result<Self> {
        if config.model.latents == 0 {
            return Err(LatentsError::NoLatents.into());
        }
        let fast = inference_settings(config, fast_steps);
        let weights = parameters.frozen();
        Ok(Self { config: config.clone(), fast, weights, apparatus: None })
    }

    /// Fast steps of each text.
    pub fn fast_steps(&self) -> usize {
        self.fast.steps
    }

    /// The settings of the run.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The weights.
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// How many texts to infer at once where `batch` are asked for: one, where inference draws noise
    /// in each step, so that it is that of sample 0 for every text.
    pub fn at_once(&self, batch: usize) -> usize {
        let draws = self.fast.method.is_point() || self.config.posterior.noise == Noise::Fresh;
        if draws { 1 } else { batch }
    }

    /// Infers the posteriors of at least one text, all at once and padded to the longest.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`], or a failing device.
    pub fn infer(
        &mut self,
        device: &mut dyn Device,
        texts: &[&Text],
        stop: &AtomicBool,
    ) -> Result<Inferred<'_>> {
        let longest = texts.iter().map(|text| text.tokens()).max().unwrap_or(0);
        let shape = BatchShape { batch: texts.len(), seq: padded(longest, self.config.seq_len()) };
        let kept = self.apparatus.take().filter(|(_, workspace)| workspace.shape == shape);
        let replaced = kept.is_none();
        let (passes, mut workspace) = match kept {
            Some(kept) => kept,
            None => self.allocate(device, shape)?,
        };
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        for text in texts {
            let padding = shape.seq - text.tokens();
            tokens.extend(&text.ids[..text.tokens()]);
            tokens.extend(std::iter::repeat_n(text.ids[0], padding));
            targets.extend(&text.ids[1..]);
            targets.extend(std::iter::repeat_n(-1, padding));
        }
        workspace.load(device, &tokens, &targets)?;
        let draw = Draw {
            seed: self.config.train.seed,
            iteration: 0,
            first_sample: 0,
            site_offset: sites::VALIDATION_OFFSET,
        };
        draw_start(device, &workspace, &self.config.posterior, draw)?;
        for buffer in [&workspace.mu, &workspace.logvar, &workspace.eps] {
            share_first(device, buffer, shape.batch)?;
        }
        let (none, peak) = (WeightGradients::None, self.fast.lr);
        infer(device, &passes, &mut workspace, &self.fast, peak, none, stop)?;
        let (passes, workspace) = self.apparatus.insert((passes, workspace));
        Ok(Inferred { passes, workspace, replaced })
    }

    /// Infers the posteriors of texts, and scores each at the z of its posterior that the fast
    /// loop ends with.
    ///
    /// # Errors
    /// As [`Encoder::infer`], and [`LatentsError::Diverged`].
    pub fn encode(
        &mut self,
        device: &mut dyn Device,
        texts: &[&Text],
        stop: &AtomicBool,
    ) -> Result<Vec<Encoded>> {
        let Inferred { passes, workspace, .. } = self.infer(device, texts, stop)?;
        passes.score.run(Segment::All, device)?;
        let nll: Vec<f32> = device.read(&workspace.token_nll)?;
        let kl = workspace.sequence_kl(device)?;
        let mu: Vec<f32> = device.read(&workspace.mu)?;
        let logvar: Vec<f32> = device.read(&workspace.logvar)?;
        let logvar = match workspace.method.is_point() {
            true => vec![POINT_LOGVAR; logvar.len()],
            false => logvar,
        };
        let size = workspace.gaussian.per_sample();
        let rows = nll.chunks_exact(workspace.shape.seq).zip(kl);
        let posteriors = mu.chunks_exact(size).zip(logvar.chunks_exact(size));
        texts
            .iter()
            .zip(rows.zip(posteriors))
            .map(|(text, ((nll, kl), (mu, logvar)))| {
                let nll = nll[..text.tokens()].iter().map(|&x| f64::from(x)).sum();
                let posterior = Posterior { mu: mu.to_vec(), logvar: logvar.to_vec() };
                checked(text, Encoded { posterior, nll, kl })
            })
            .collect()
    }

    fn allocate(&self, device: &mut dyn Device, shape: BatchShape) -> Result<(Passes, Workspace)> {
        let plan = PassPlan::record(&self.config, shape, Purpose::Inference, device.processor())?;
        let kind = (self.config.storage(), false);
        let workspace = Workspace::new(device, &self.config.model, shape, kind, self.fast.steps)?;
        let passes = plan.allocate(device, &self.weights, &workspace)?;
        Ok((passes, workspace))
    }
}

/// Copies the first of `batch` equal parts over the others.
fn share_first(device: &mut dyn Device, buffer: &Buffer, batch: usize) -> Result<()> {
    let size = buffer.len() / batch;
    let first = buffer.slice(0..size)?;
    for part in 1..batch {
        device.copy(&first, &buffer.slice(part * size..(part + 1) * size)?)?;
    }
    Ok(())
}

/// The result, if all of it is finite.
fn checked(text: &Text, encoded: Encoded) -> Result<Encoded> {
    let bad = |values: &[f32]| values.iter().find(|x| !x.is_finite()).map(|&x| f64::from(x));
    let scalar = |value: f64| (!value.is_finite()).then_some(value);
    let Posterior { mu, logvar } = &encoded.posterior;
    let parts = [
        ("nll", scalar(encoded.nll)),
        ("KL", scalar(encoded.kl)),
        ("posterior mean", bad(mu)),
        ("posterior log variance", bad(logvar)),
    ];
    match parts.into_iter().find_map(|(what, value)| Some((what, value?))) {
        None => Ok(encoded),
        Some((what, value)) => {
            let source_name = text.source.clone();
            Err(LatentsError::Diverged { source_name, what, value }.into())
        }
    }
}
