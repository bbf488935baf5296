//! Bytes on a GPU: what the trainer asks of a device that keeps books instead of memory.

use ltm_engine::gpu::Gpu;
use ltm_engine::{Buffer, Device, GPU_GRANULE};

use super::Memory;
use crate::config::Config;
use crate::run::rehearse_texts;
use crate::{Result, Trainer};

/// Bytes of a block of its own.
fn block(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(GPU_GRANULE)
}

fn blocks<'a>(buffers: impl IntoIterator<Item = &'a Buffer>) -> usize {
    buffers.into_iter().map(|buffer| block(buffer.byte_len())).sum()
}

fn peak(device: &dyn Device) -> usize {
    device.usage().map_or(0, |usage| usage.peak as usize)
}

/// Bytes of training on micro-batches of `batch` sequences: the trainer's own allocations and
/// those of the operations that it runs, counted.
pub(super) fn memory(config: &Config, batch: usize) -> Result<Memory> {
    let mut config = config.clone();
    config.train.micro_batch = batch;
    let mut trainer = Trainer::new(Box::new(Gpu::ledger()), config)?;
    let Trainer { device, parameters, workspace, passes, .. } = &trainer;
    let kept = device.kept();
    let used = kept.scratch.iter().filter(|&&bytes| bytes > 0);
    let training = parameters.training.as_ref();
    let moments = training.map(|t| [&t.first_moment, &t.second_moment]);
    let [prefix, suffix] = passes.arenas();
    let mut memory = Memory {
        weights: blocks([&parameters.values]),
        weights_copy: blocks(&parameters.copy),
        gradients: blocks(training.map(|t| &t.gradients)),
        moments: blocks(moments.into_iter().flatten()),
        workspace: blocks(workspace.buffers()) + blocks(trainer.batches()),
        prefix_arena: blocks([prefix]),
        suffix_arena: blocks([suffix]),
        scratch: used.map(|&bytes| block(bytes)).sum(),
        tables: kept.tables,
        allocated: peak(device.as_ref()),
        scratch_blocks: kept.scratch,
        ..Memory::default()
    };
    let known = memory.weights
        + memory.weights_copy
        + memory.gradients
        + memory.moments
        + memory.workspace
        + memory.prefix_arena
        + memory.suffix_arena
        + memory.scratch
        + memory.tables;
    memory.words = memory.allocated.saturating_sub(known);
    if trainer.config.train.sample_every > 0 {
        rehearse_texts(&mut trainer)?;
        memory.samples = peak(trainer.device.as_ref()) - memory.allocated;
    }
    memory.total = memory.allocated + memory.samples;
    Ok(memory)
}
