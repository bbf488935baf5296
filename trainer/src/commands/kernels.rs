//! The table of `ltm inspect --kernels`.

use std::collections::BTreeSet;

use ltm_engine::gpu::LaunchRecord;
use ltm_engine::gpu::inspect::{Measured, SHAPE, Usage, measure, usage};

use super::output::say;

/// Prints every kernel of this build; with a number of threads, what the virtual GPU counts too.
pub fn print(threads: Option<usize>) -> anyhow::Result<()> {
    say!("{:<44} {:>9} {:>7} {:>6}", "kernel, sm_80", "registers", "shared", "spills")?;
    let usages = usage()?;
    for (entry, usage) in &usages {
        say!("{:<44} {}", entry.name, taken(usage.as_ref()))?;
    }
    say!("{} kernels; shared: static bytes a block; spills: bytes a thread", usages.len())?;
    let Some(threads) = threads else { return Ok(()) };

    let s = SHAPE;
    say!("")?;
    say!(
        "on the virtual GPU: {} sequences of {} tokens, window {}, width {}, {} heads of {}, \
         feed-forward {}, {} latents a layer, vocabulary {}",
        s.batch,
        s.seq,
        s.window,
        s.dim(),
        s.heads,
        s.head_dim,
        s.ffn,
        s.latents,
        s.vocab
    )?;
    let all = measure(threads)?;
    for measured in &all {
        say!("")?;
        operation(measured)?;
    }
    let ran: BTreeSet<&str> =
        all.iter().flat_map(|m| &m.launches).map(|launch| launch.entry.name).collect();
    let idle: Vec<&str> =
        usages.iter().map(|(entry, _)| entry.name).filter(|name| !ran.contains(name)).collect();
    if !idle.is_empty() {
        say!("")?;
        say!("not chosen at this shape: {}", idle.join(", "))?;
    }
    say!("")?;
    say!(
        "moved: 32-byte sectors touched, as if there were no cache; least: inputs read once and \
         outputs written once; coalesced: share of those sectors that was asked for; conflicts: \
         passes over the banks of shared memory beyond the least, per access"
    )?;
    Ok(())
}

fn taken(usage: Option<&Usage>) -> String {
    match usage {
        None => format!("{:>9} {:>7} {:>6}", "-", "-", "-"),
        Some(u) => {
            let spills = u.spill_stores + u.spill_loads;
            format!("{:>9} {:>7} {:>6}", u.registers, u.static_shared, spills)
        }
    }
}

fn operation(measured: &Measured) -> anyhow::Result<()> {
    let (moved, least) = (measured.moved_bytes(), measured.minimum_bytes);
    say!(
        "{} {}: moved {}, {:.2} of the least",
        measured.operation,
        measured.storage,
        bytes(moved),
        moved as f64 / least.max(1) as f64
    )?;
    measured.launches.iter().try_for_each(launch)
}

fn launch(record: &LaunchRecord) -> anyhow::Result<()> {
    let c = &record.counters;
    let conflicts = c.shared_bank_conflicts as f64 / c.shared_accesses.max(1) as f64;
    say!(
        "  {:<44} {:>12} x {:<9} {:>9} {:>4.0}% coalesced, {conflicts:.2} conflicts, {}",
        record.entry.name,
        extents(record.grid),
        extents(record.block),
        bytes(c.moved_bytes()),
        c.coalescing_percent(),
        work(c.flops, c.tensor_flops)
    )
}

/// `4x2` for `[4, 2, 1]`.
fn extents([x, y, z]: [u32; 3]) -> String {
    match (y, z) {
        (1, 1) => x.to_string(),
        (_, 1) => format!("{x}x{y}"),
        _ => format!("{x}x{y}x{z}"),
    }
}

fn work(flops: u64, tensor: u64) -> String {
    let mega = |n: u64| format!("{:.2} MFLOP", n as f64 / 1e6);
    match tensor {
        0 => mega(flops),
        _ => format!("{} + {} on tensor cores", mega(flops), mega(tensor)),
    }
}

fn bytes(n: u64) -> String {
    match n {
        0..10_240 => format!("{n} B"),
        10_240..10_485_760 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}
