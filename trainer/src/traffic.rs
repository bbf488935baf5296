//! What the kernels of a fast step move and compute, counted on the virtual GPU, beside the least
//! that the same operations move.
//!
//! The least of an operation is its arguments once: each that it reads comes once, each that it
//! writes goes once, one that it adds to does both, and what never has to be stored (logits,
//! scores of attention, rotated queries and keys, normalised rows inside a product) counts
//! nothing. Copies and additions between operations count nothing either: the operations that
//! make the summands can add.
//!
//! Against it stand two counts. `memory` is what device memory moves where the cache holds what
//! one launch touches twice, and nothing of the launches before: each sector of 32 bytes that a
//! launch reads comes once, each that it writes goes once. At the shapes that the virtual GPU can
//! run every launch fits the cache of every GPU, so this is what a GPU would move. `cache` is what
//! moves between the cache and the processors: tiles that several blocks read count for each.

use ltm_engine::Processor;
use ltm_engine::gpu::{Gpu, LaunchRecord};
use ltm_engine::philox::Stream;
use serde::Serialize;

use crate::Result;
use crate::config::Config;
use crate::model::{BatchShape, Parameters};
use crate::passes::{PassPlan, Purpose};
use crate::posterior::{Draw, begin, draw_start, fast_step, schedule};
use crate::workspace::Workspace;

/// What all calls of one operation do in a fast step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Operation {
    /// As the engine names it.
    pub name: &'static str,
    /// How often it is called.
    pub calls: usize,
    /// Kernels launched.
    pub launches: usize,
    /// Bytes that every implementation moves.
    pub least: u64,
    /// Bytes between device memory and the cache.
    pub memory: u64,
    /// Bytes between the cache and the processors.
    pub cache: u64,
    /// f32 operations of the cores, and those of the tensor cores.
    pub flops: [u64; 2],
}

impl Operation {
    fn add(&mut self, least: u64, launches: &[LaunchRecord]) {
        self.calls += 1;
        self.launches += launches.len();
        self.least += least;
        for LaunchRecord { counters, .. } in launches {
            self.memory += counters.distinct_bytes();
            self.cache += counters.moved_bytes();
            self.flops[0] += counters.flops;
            self.flops[1] += counters.tensor_flops;
        }
    }
}

/// The counts of one fast step without the gradients of the weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FastStep {
    /// In the order of their first calls.
    pub operations: Vec<Operation>,
}

impl FastStep {
    /// Runs one fast step of a micro-batch of random tokens with initial weights on a virtual GPU
    /// of `threads` threads of the host.
    ///
    /// # Errors
    /// If the configuration is contradictory, or a kernel fails a check.
    pub fn count(config: &Config, threads: usize) -> Result<Self> {
        let shape = BatchShape { batch: config.micro_batch(), seq: config.seq_len() };
        let storage = config.storage();
        let mut gpu = Gpu::virtual_gpu(threads);
        let plan = PassPlan::record(config, shape, Purpose::Inference, Processor::Gpu)?;
        let parameters = Parameters::zeroed(&mut gpu, &config.model, (storage, false))?;
        parameters.initialise(&mut gpu, &config.model, config.train.seed)?;
        let mut workspace =
            Workspace::new(&mut gpu, &config.model, shape, (storage, false), config.fast.steps)?;
        let passes = plan.allocate(&mut gpu, &parameters, &workspace)?;
        let (tokens, targets) = random_tokens(config, shape);
        workspace.load(&mut gpu, &tokens, &targets)?;
        let draw = Draw { seed: config.train.seed, iteration: 0, first_sample: 0, site_offset: 0 };
        draw_start(&mut gpu, &workspace, &config.posterior, draw)?;
        workspace.set_schedule(&mut gpu, schedule(&config.fast, config.fast.lr))?;
        begin(&mut gpu, &passes, &workspace)?;

        let mut step = Self { operations: Vec::new() };
        gpu.driver().take_launches();
        for (index, name) in passes.fast.operations().enumerate() {
            passes.fast.run_operation(index, &mut gpu)?;
            let least = match name {
                "add" | "copy" => 0,
                _ => passes.fast.argument_bytes(index).unwrap_or(0) as u64,
            };
            step.operation(name).add(least, &gpu.driver().take_launches());
        }
        // The whole step ends with the update; what came before it was counted one by one.
        fast_step(&mut gpu, &passes, &workspace, false)?;
        let all = gpu.driver().take_launches();
        let counted: usize = step.operations.iter().map(|operation| operation.launches).sum();
        let rest = &all[counted.min(all.len())..];
        let of_update = |launch: &&LaunchRecord| launch.entry.module == "gaussian";
        let updates = rest.iter().filter(of_update).count();
        let (updates, traces) = rest.split_at(updates);
        let latent = workspace.gaussian.len() as u64;
        // Read: noise and the gradient; read and written: mu, logvar and two moments of each;
        // written: z and the KL.
        let stored = storage.size() as u64;
        let least = (4 + 6 * 8 + 2 * stored) * latent + 8 * shape.batch as u64;
        step.operation("gaussian_update").add(least, updates);
        // Read: the losses of all tokens and the KL; written: both by sequence; counted up: the step.
        let least = 4 * shape.rows() as u64 + 32 * shape.batch as u64;
        step.operation("trace").add(least, traces);
        Ok(step)
    }

    fn operation(&mut self, name: &'static str) -> &mut Operation {
        let at = self.operations.iter().position(|operation| operation.name == name);
        let at = at.unwrap_or_else(|| {
            self.operations.push(Operation { name, ..Operation::default() });
            self.operations.len() - 1
        });
        &mut self.operations[at]
    }

    /// All operations together.
    pub fn sum(&self) -> Operation {
        let mut sum = Operation { name: "in all", ..Operation::default() };
        for operation in &self.operations {
            sum.calls += operation.calls;
            sum.launches += operation.launches;
            sum.least += operation.least;
            sum.memory += operation.memory;
            sum.cache += operation.cache;
            sum.flops[0] += operation.flops[0];
            sum.flops[1] += operation.flops[1];
        }
        sum
    }

    /// The counts as lines of text, none of them ended.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<28} {:>5} {:>8} {:>10} {:>10} {:>6} {:>10} {:>6} {:>9} {:>9}",
            "operation",
            "calls",
            "launches",
            "least, B",
            "memory, B",
            "ratio",
            "cache, B",
            "ratio",
            "MFLOP",
            "tensor"
        )];
        for o in self.operations.iter().chain([&self.sum()]) {
            let ratio = |bytes: u64| bytes as f64 / o.least.max(1) as f64;
            lines.push(format!(
                "{:<28} {:>5} {:>8} {:>10} {:>10} {:>6.2} {:>10} {:>6.2} {:>9.2} {:>9.2}",
                o.name,
                o.calls,
                o.launches,
                o.least,
                o.memory,
                ratio(o.memory),
                o.cache,
                ratio(o.cache),
                o.flops[0] as f64 / 1e6,
                o.flops[1] as f64 / 1e6
            ));
        }
        lines
    }
}

/// `[B, T]` tokens and those after them.
fn random_tokens(config: &Config, shape: BatchShape) -> (Vec<i32>, Vec<i32>) {
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    for sample in 0..shape.batch as u32 {
        let stream = Stream { seed: config.train.seed, site: u32::MAX, sample, iteration: 0 };
        let token = |i: u32| (stream.block(i)[0] as usize % config.model.vocab_size) as i32;
        let row: Vec<i32> = (0..=shape.seq as u32).map(token).collect();
        tokens.extend(&row[..shape.seq]);
        targets.extend(&row[1..]);
    }
    (tokens, targets)
}

#[cfg(test)]
mod tests;
