//! The table of `ltm inspect --kernels`.

use std::collections::{BTreeSet, HashMap};

use ltm_engine::gpu::LaunchRecord;
use ltm_engine::gpu::inspect::{LaunchShape, Measured, SHAPE, Usage, launches, measure, usage};

use super::output::say;

/// What the compiler says of the kernels, by name.
type Usages = HashMap<&'static str, Option<Usage>>;

/// Prints every kernel of this build; with a number of threads, what the virtual GPU counts too.
pub fn print(threads: Option<usize>) -> anyhow::Result<()> {
    match threads {
        None => static_table(),
        Some(threads) => measured_table(threads),
    }
}

/// What is known without running anything.
fn static_table() -> anyhow::Result<()> {
    let launches = launches()?;
    let usages = usage()?;
    say!("{}     grid x block", heading())?;
    for (entry, usage) in &usages {
        let launch = launches.iter().find(|launch| launch.entry == *entry);
        let dynamic = launch.map_or(0, |launch| launch.shared_bytes);
        let shape = launch.map_or("-".into(), |LaunchShape { grid, block, .. }| {
            format!("{:>8} x {}", extents(*grid), extents(*block))
        });
        say!("{} {shape}", taken(entry.name, usage.as_ref(), dynamic))?;
    }
    say!("")?;
    say!("{} kernels, compiled for sm_80; launched for {}.", usages.len(), shape_in_words())?;
    say!("{RESOURCES}")?;
    say!("--measure runs them on the virtual GPU and adds traffic, bank conflicts and FLOPs.")
}

/// The same, operation by operation, with what the virtual GPU counts.
fn measured_table(threads: usize) -> anyhow::Result<()> {
    let all = measure(threads)?;
    let usages: Usages = usage()?.into_iter().map(|(entry, usage)| (entry.name, usage)).collect();
    say!("{}     grid x block        moved coalesced conflicts    MFLOP tensor MFLOP", heading())?;
    for measured in &all {
        operation(measured, &usages)?;
    }
    let ran: BTreeSet<&str> =
        all.iter().flat_map(|m| &m.launches).map(|launch| launch.entry.name).collect();
    let mut idle: Vec<&str> = usages.keys().copied().filter(|name| !ran.contains(name)).collect();
    idle.sort_unstable();
    if !idle.is_empty() {
        say!("not run")?;
    }
    for name in idle {
        say!("{}", taken(name, usages[name].as_ref(), 0))?;
    }
    say!("")?;
    say!("{} kernels, compiled for sm_80; run for {}.", usages.len(), shape_in_words())?;
    say!("What a call changes of that is in brackets.")?;
    say!("{RESOURCES}")?;
    say!("{COUNTS}")
}

fn heading() -> String {
    format!("{:<43} {:>4} {:>6} {:>6}", "kernel", "regs", "spills", "shared")
}

const RESOURCES: &str = "\
regs: registers of a thread. spills: bytes of a thread that do not fit them, stored and loaded.
shared: bytes of shared memory of a block, static and dynamic. grid, block: blocks and threads.";

const COUNTS: &str = "\
moved: bytes of the 32-byte sectors of global memory that warps touch, as if there were no cache.
least: bytes that every implementation of the operation moves: each input read once, each output
  written once and, where it is added to, read once. Scratch memory and angles of positions do not
  count; a repeat that a GPU's L2 cache would serve does count as moved.
coalesced: bytes that lanes ask for, as a share of those sectors; above 100 % where lanes of a
  warp ask for the same bytes.
conflicts: passes over the banks of shared memory beyond the least, per access.
MFLOP: f32 operations of lanes, a multiply-add being two. tensor MFLOP: those of tensor cores.";

fn shape_in_words() -> String {
    let s = SHAPE;
    format!(
        "{} sequences of {} tokens, window {},\nwidth {}, {} heads of {}, feed-forward {}, \
         {} layers of {} latents, vocabulary {}",
        s.batch,
        s.seq,
        s.window,
        s.dim(),
        s.heads,
        s.head_dim,
        s.ffn,
        s.layers,
        s.latents,
        s.vocab
    )
}

/// The columns of [`heading`]; a kernel that was compiled without the assembler has none of the
/// first two.
fn taken(name: &str, usage: Option<&Usage>, dynamic: u32) -> String {
    match usage {
        None => format!("{name:<43} {:>4} {:>6} {:>6}", "-", "-", "-"),
        Some(u) => {
            let (spills, shared) = (u.spill_stores + u.spill_loads, u.static_shared + dynamic);
            format!("{name:<43} {:>4} {spills:>6} {shared:>6}", u.registers)
        }
    }
}

fn operation(measured: &Measured, usages: &Usages) -> anyhow::Result<()> {
    let (moved, least) = (measured.moved_bytes(), measured.minimum_bytes);
    say!(
        "{}, {}: {} moved, {:.2} of the least {}",
        measured.operation,
        measured.storage,
        bytes(moved),
        moved as f64 / least.max(1) as f64,
        bytes(least)
    )?;
    measured.launches.iter().try_for_each(|record| launch(record, usages))
}

fn launch(record: &LaunchRecord, usages: &Usages) -> anyhow::Result<()> {
    let (c, name) = (&record.counters, record.entry.name);
    let conflicts = c.shared_bank_conflicts as f64 / c.shared_accesses.max(1) as f64;
    let usage = usages.get(name).and_then(Option::as_ref);
    say!(
        "{} {:>8} x {:<6} {:>11} {:>7.0} % {conflicts:>9.2} {:>8.2} {:>12.2}",
        taken(&format!("  {name}"), usage, record.shared_bytes),
        extents(record.grid),
        extents(record.block),
        bytes(c.moved_bytes()),
        c.coalescing_percent(),
        c.flops as f64 / 1e6,
        c.tensor_flops as f64 / 1e6
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

fn bytes(n: u64) -> String {
    match n {
        0..10_240 => format!("{n} B"),
        10_240..10_485_760 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}
