//! Buffers of one micro-batch, shared by all passes over it.

use std::cell::{Cell, OnceCell};

use ltm_engine::ops::{ADAMW_CONSTANTS, AdamWStep, GaussianShape, KlTerm, Trace};
use ltm_engine::{Buffer, DType, Device, DeviceExt, Processor, Result};

use crate::config::{Method, ModelConfig, PriorKind};
use crate::model::{BatchShape, Parameters, Slot, gate_up_len, splits};
use crate::posterior::prior::{Learned, Prior, Standard};
use crate::posterior::{FastTrace, Start};
use crate::trainer::sort_rows;

/// What one micro-batch needs besides the weights and the arenas.
pub struct Workspace {
    /// Sequences and tokens.
    pub shape: BatchShape,
    /// Extents of the posterior.
    pub gaussian: GaussianShape,
    /// `[B, N, D]` f32: posterior means.
    pub mu: Buffer,
    /// `[B, N, D]` f32: posterior log variances.
    pub logvar: Buffer,
    /// `[B, N, D]` f32: the one noise draw of the fast loop.
    pub eps: Buffer,
    /// `[2, B, N, D]` f32: Adam moments of mu.
    pub mu_moments: Buffer,
    /// `[2, B, N, D]` f32: Adam moments of logvar.
    pub logvar_moments: Buffer,
    /// `[B]` f64 nats.
    pub kl: Buffer,
    /// `[L, B, M, D]` storage.
    pub z: Buffer,
    /// `[L, B, M, D]` storage.
    pub d_z: Buffer,
    /// `[B T]` f32 nats.
    pub token_nll: Buffer,
    /// `[B T]` f32.
    pub logsumexp: Buffer,
    /// Fast steps that the next three have room for.
    pub steps: usize,
    /// `[steps, 9]` f32: the constants of each fast step.
    pub schedule: Buffer,
    /// `[B]` i32: the fast step that each sequence is at.
    pub step: Buffer,
    /// `[steps + 1, 2, B]` f64: nll and KL of each sequence before each fast step, and at the end.
    pub trace: Buffer,
    /// How the fast loop of the loaded batch infers.
    pub method: Method,
    /// How it was started.
    pub start: Cell<Start>,
    /// A learned prior, once it is known.
    prior: OnceCell<Learned>,
    prior_kind: PriorKind,
    /// Numbers of a latent vector.
    width: usize,
    tokens: Buffer,
    targets: Buffer,
    order: Buffer,
    prefix_stream: Buffer,
    prefix_queries: Buffer,
    prefix_gate_up: Buffer,
    prefix_gradients: Option<[Buffer; 3]>,
    host_order: Vec<i32>,
    host_nll: Vec<f32>,
    host_schedule: Vec<f32>,
}

impl Workspace {
    /// Allocates for micro-batches of `shape` whose activations are stored in `storage`, and for
    /// `steps` fast steps; `trainable` adds the gradients of the prefix.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn new(
        device: &mut dyn Device,
        model: &ModelConfig,
        shape: BatchShape,
        (storage, trainable): (DType, bool),
        steps: usize,
    ) -> Result<Self> {
        let gaussian = GaussianShape {
            samples: shape.batch,
            layers: model.layers,
            per_layer: model.latents_per_layer() * model.dim,
        };
        let (rows, wide, latent) = (shape.rows(), shape.rows() * model.dim, gaussian.len());
        let queries = queries_len(model, shape);
        let gate_up = prefix_gate_up_len(model, shape, device.processor());
        let mut floats = |len: usize| device.alloc(DType::F32, len);
        Ok(Self {
            shape,
            gaussian,
            mu: floats(latent)?,
            logvar: floats(latent)?,
            eps: floats(latent)?,
            mu_moments: floats(2 * latent)?,
            logvar_moments: floats(2 * latent)?,
            token_nll: floats(rows)?,
            logsumexp: floats(rows)?,
            steps,
            schedule: floats(steps * ADAMW_CONSTANTS)?,
            step: device.alloc(DType::I32, shape.batch)?,
            trace: device.alloc(DType::F64, trace_len(steps, shape.batch))?,
            z: device.alloc(storage, latent)?,
            d_z: device.alloc(storage, latent)?,
            prefix_stream: device.alloc(storage, wide)?,
            prefix_queries: device.alloc(storage, queries)?,
            prefix_gate_up: device.alloc(storage, gate_up)?,
            prefix_gradients: match trainable {
                true => Some([
                    device.alloc(storage, wide)?,
                    device.alloc(storage, queries)?,
                    device.alloc(storage, gate_up)?,
                ]),
                false => None,
            },
            kl: device.alloc(DType::F64, shape.batch)?,
            tokens: device.alloc(DType::I32, rows)?,
            targets: device.alloc(DType::I32, rows)?,
            order: device.alloc(DType::I32, rows)?,
            method: Method::default(),
            start: Cell::default(),
            prior: OnceCell::new(),
            prior_kind: model.prior,
            width: model.dim,
            host_order: Vec::with_capacity(rows),
            host_nll: vec![0.0; rows],
            host_schedule: Vec::new(),
        })
    }

    /// Takes the prior from the model's parameters, whose memory it shares. Programs that are bound
    /// to a workspace do so; it is for one that has none.
    ///
    /// # Errors
    /// None for parameters as they are allocated.
    pub fn know_prior(&self, parameters: &Parameters) -> Result<()> {
        if let Some(prior) = Learned::of(parameters)? {
            // Bound once more to the same parameters, it stays what it was.
            let _ = self.prior.set(prior);
        }
        Ok(())
    }

    /// Which kind of prior the latents have.
    pub fn prior_kind(&self) -> PriorKind {
        self.prior_kind
    }

    /// The prior of the latents.
    ///
    /// # Errors
    /// [`crate::Error::UnknownPrior`] before [`Workspace::know_prior`], if it is learned.
    pub fn prior(&self) -> crate::Result<&dyn Prior> {
        match (self.prior.get(), self.prior_kind) {
            (Some(prior), _) => Ok(prior),
            (None, PriorKind::Standard) => Ok(&Standard),
            (None, PriorKind::Learned) => Err(crate::Error::UnknownPrior),
        }
    }

    /// What the loaded batch minimises beside its loss.
    ///
    /// # Errors
    /// As [`Workspace::prior`].
    pub fn kl_term(&self) -> crate::Result<KlTerm<'_>> {
        let start = self.start.get();
        Ok(KlTerm {
            prior: self.prior()?.gaussian(),
            weight: start.kl_weight as f32,
            free: start.free_bits,
            width: self.width,
        })
    }

    /// Bytes that [`Workspace::new`] allocates on a device of `processor`.
    pub fn bytes(
        model: &ModelConfig,
        shape: BatchShape,
        (storage, trainable): (DType, bool),
        (steps, processor): (usize, Processor),
    ) -> usize {
        let latent = shape.batch * model.latents * model.dim;
        let prefix = shape.rows() * model.dim
            + queries_len(model, shape)
            + prefix_gate_up_len(model, shape, processor);
        let gradients = if trainable { 1 } else { 0 };
        let stored = 2 * latent + (1 + gradients) * prefix;
        let floats = 7 * latent + 5 * shape.rows() + steps * ADAMW_CONSTANTS + shape.batch;
        let doubles = shape.batch + trace_len(steps, shape.batch);
        storage.size() * stored + 4 * floats + 8 * doubles
    }

    /// Makes room for `steps` fast steps; true if buffers were replaced for it.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn reserve(&mut self, device: &mut dyn Device, steps: usize) -> Result<bool> {
        if steps <= self.steps {
            return Ok(false);
        }
        self.schedule = device.alloc(DType::F32, steps * ADAMW_CONSTANTS)?;
        self.trace = device.alloc(DType::F64, trace_len(steps, self.shape.batch))?;
        self.host_schedule.clear();
        self.steps = steps;
        Ok(true)
    }

    /// Puts the constants of the fast steps on the device, unless they are there.
    ///
    /// # Errors
    /// If there are more than [`Workspace::steps`], or the device fails.
    pub fn set_schedule(
        &mut self,
        device: &mut dyn Device,
        steps: impl IntoIterator<Item = AdamWStep>,
    ) -> Result<()> {
        let mut schedule = Vec::with_capacity(self.schedule.len());
        for step in steps {
            schedule.extend(step.constants()?);
        }
        if schedule != self.host_schedule {
            device.upload(&self.schedule.slice(0..schedule.len())?, &schedule)?;
            self.host_schedule = schedule;
        }
        Ok(())
    }

    /// Writes down nll and KL of every sequence as last computed, and goes on to the next step.
    ///
    /// # Errors
    /// If the trace is full, or the device fails.
    pub fn record(&self, device: &mut dyn Device) -> Result<()> {
        device.trace(&Trace {
            token_nll: &self.token_nll,
            kl: &self.kl,
            step: &self.step,
            trace: &self.trace,
            samples: self.shape.batch,
            seq: self.shape.seq,
            rows: self.steps + 1,
        })
    }

    /// The first `rows` steps of the trace. Waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_trace(&self, device: &mut dyn Device, rows: usize) -> Result<FastTrace> {
        let batch = self.shape.batch;
        let numbers: Vec<f64> = device.read(&self.trace.slice(0..rows * 2 * batch)?)?;
        Ok(FastTrace::new(&numbers, batch))
    }

    /// Every buffer of the device that this holds.
    pub fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        let gradients = self.prefix_gradients.iter().flatten();
        [
            &self.mu,
            &self.logvar,
            &self.eps,
            &self.mu_moments,
            &self.logvar_moments,
            &self.kl,
            &self.z,
            &self.d_z,
            &self.token_nll,
            &self.logsumexp,
            &self.tokens,
            &self.targets,
            &self.order,
            &self.prefix_stream,
            &self.prefix_queries,
            &self.prefix_gate_up,
        ]
        .into_iter()
        .chain(gradients)
    }

    /// The buffer behind a slot of a recorded program.
    pub fn slot(&self, slot: Slot) -> Option<Buffer> {
        let gradients = self.prefix_gradients.as_ref();
        Some(match slot {
            Slot::Tokens => self.tokens.clone(),
            Slot::Order => self.order.clone(),
            Slot::Targets => self.targets.clone(),
            Slot::PrefixStream => self.prefix_stream.clone(),
            Slot::PrefixQueries => self.prefix_queries.clone(),
            Slot::PrefixGateUp => self.prefix_gate_up.clone(),
            Slot::PrefixStreamGradient => gradients?[0].clone(),
            Slot::PrefixQueriesGradient => gradients?[1].clone(),
            Slot::PrefixGateUpGradient => gradients?[2].clone(),
            Slot::Latents => self.z.clone(),
            Slot::LatentsGradient => self.d_z.clone(),
            Slot::TokenNll => self.token_nll.clone(),
            Slot::LogSumExp => self.logsumexp.clone(),
            Slot::Tap(_) => return None,
        })
    }

    /// As [`Workspace::load`], from memory of the device: tokens, targets, and the order of the rows
    /// by token and row.
    ///
    /// # Errors
    /// If the lengths are not `[B, T]`, or the device fails.
    pub fn take(&mut self, device: &mut dyn Device, parts: &[Buffer; 3]) -> Result<()> {
        for (from, to) in parts.iter().zip([&self.tokens, &self.targets, &self.order]) {
            device.copy(from, to)?;
        }
        self.forget_prefix(device)
    }

    /// Loads a micro-batch and forgets the gradients of the last one's prefix.
    ///
    /// # Errors
    /// If the lengths are not `[B, T]`, or the device fails.
    pub fn load(&mut self, device: &mut dyn Device, tokens: &[i32], targets: &[i32]) -> Result<()> {
        device.upload(&self.tokens, tokens)?;
        device.upload(&self.targets, targets)?;
        self.host_order.resize(tokens.len(), 0);
        sort_rows(&mut self.host_order, tokens);
        device.upload(&self.order, &self.host_order)?;
        self.forget_prefix(device)
    }

    /// Zeroes the gradients of the last batch's prefix.
    fn forget_prefix(&self, device: &mut dyn Device) -> Result<()> {
        self.prefix_gradients.iter().flatten().try_for_each(|gradient| device.zero(gradient))
    }

    /// Nats of each sequence under the last pass, `[B]`, summed in f64.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sequence_nll(&mut self, device: &mut dyn Device) -> Result<Vec<f64>> {
        device.download(&self.token_nll, &mut self.host_nll)?;
        let sum = |row: &[f32]| row.iter().map(|&x| x as f64).sum();
        Ok(self.host_nll.chunks_exact(self.shape.seq).map(sum).collect())
    }

    /// KL of each sequence as last computed, `[B]` nats.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sequence_kl(&self, device: &mut dyn Device) -> Result<Vec<f64>> {
        device.read(&self.kl)
    }
}

/// Numbers of the queries that the prefix hands over: none where there are no latents to ask.
fn queries_len(model: &ModelConfig, shape: BatchShape) -> usize {
    if model.is_autoregressive() { 0 } else { shape.rows() * model.dim }
}

/// Numbers of gate and up that the prefix hands over: none where passes do not start from them.
fn prefix_gate_up_len(model: &ModelConfig, shape: BatchShape, processor: Processor) -> usize {
    if splits(model, processor) { gate_up_len(model, shape) } else { 0 }
}

/// Numbers of a trace of `steps` fast steps and the end.
pub fn trace_len(steps: usize, batch: usize) -> usize {
    (steps + 1) * 2 * batch
}
