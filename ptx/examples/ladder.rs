//! The teaching ladder of README.md: one product, five kernels, each with its counters. Prints a
//! table in Markdown.

use std::error::Error;
use std::fmt::Write;

use ltm_ptx::launch::linear;
use ltm_ptx::vm::{Config, VirtualGpu};
use ltm_ptx::{Arg, Storage};

/// Rows, inner and outer extent of `y = x W^T`.
const EXTENT: u32 = 256;

/// One kernel: its text, its entry point, its tile and its threads.
struct Step {
    ptx: &'static str,
    entry: &'static str,
    grid: [u32; 3],
    block: [u32; 3],
    /// Whether it takes a residual, and how far apart the weights of several products are.
    shipped: bool,
}

const fn step(ptx: &'static str, entry: &'static str, tile: [u32; 2], block: [u32; 3]) -> Step {
    let grid = [EXTENT / tile[0], EXTENT / tile[1], 1];
    Step { ptx, entry, grid, block, shipped: false }
}

const fn shipped(entry: &'static str, tile: u32, threads: u32) -> Step {
    let tiles = EXTENT / tile * (EXTENT / tile);
    let block = [threads, 1, 1];
    Step { ptx: linear::MODULE.ptx, entry, grid: [tiles, 1, 1], block, shipped: true }
}

const STEPS: [Step; 5] = [
    step(
        include_str!("../compiled/sm_80/ladder/linear_1_naive.ptx"),
        "linear_1_naive_bf16",
        [32, 8],
        [32, 8, 1],
    ),
    step(
        include_str!("../compiled/sm_80/ladder/linear_2_shared_tiles.ptx"),
        "linear_2_shared_tiles_bf16",
        [32, 32],
        [32, 8, 1],
    ),
    step(
        include_str!("../compiled/sm_80/ladder/linear_3_tensor_cores.ptx"),
        "linear_3_tensor_cores_bf16",
        [64, 64],
        [128, 1, 1],
    ),
    shipped("linear_forward_small_bf16", 64, 128),
    shipped("linear_forward_bf16", 128, 256),
];

const HEADING: &str = "\
| kernel | warp instructions | bytes asked for | sectors | coalesced | shared accesses | bank conflicts | barriers | MFLOP | tensor MFLOP |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// The table, a row a kernel.
///
/// # Errors
/// What a check of the virtual GPU finds, or results that differ from the first kernel's.
pub fn table() -> Result<String, Box<dyn Error>> {
    let gpu = VirtualGpu::new(Config::default());
    let numbers = (EXTENT * EXTENT) as usize;
    let bytes = numbers * Storage::Bf16.size();
    // Small integers in bf16, so that every kernel must give the same sums exactly.
    let fill = |seed: usize| -> Result<u64, Box<dyn Error>> {
        let number = |i: usize| ((i * seed / 7 + i) % 3) as f32 - 1.0;
        let half = |i: usize| ((number(i).to_bits() >> 16) as u16).to_le_bytes();
        let address = gpu.alloc(bytes)?;
        gpu.write(address, &(0..numbers).flat_map(half).collect::<Vec<u8>>())?;
        Ok(address)
    };
    let (x, weight, out) = (fill(5)?, fill(11)?, gpu.alloc(bytes)?);
    let mut table = HEADING.to_owned();
    let mut first: Option<Vec<u8>> = None;
    for step in STEPS {
        let residual = step.shipped.then_some(0);
        let pointers = [Some(x), Some(weight), residual, Some(out)].into_iter().flatten();
        let extents = [EXTENT; 3].into_iter().map(Arg::U32);
        let stride = step.shipped.then_some(Arg::U64(0));
        let args: Vec<Arg> = pointers.map(Arg::Pointer).chain(extents).chain(stride).collect();
        let program = gpu.load(step.ptx)?;
        let c = gpu.launch(&program, step.entry, step.grid, step.block, 0, &args)?;
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {:.0} % | {} | {} | {} | {:.1} | {:.1} |",
            step.entry,
            c.warp_instructions,
            c.global_read_bytes + c.global_written_bytes,
            c.global_read_sectors + c.global_written_sectors,
            c.coalescing_percent(),
            c.shared_accesses,
            c.shared_bank_conflicts,
            c.barriers,
            c.flops as f64 / 1e6,
            c.tensor_flops as f64 / 1e6,
        )?;
        let mut result = vec![0; bytes];
        gpu.read(out, &mut result)?;
        if *first.get_or_insert_with(|| result.clone()) != result {
            return Err(format!("{} differs from the first step", step.entry).into());
        }
    }
    Ok(table)
}

fn main() -> Result<(), Box<dyn Error>> {
    print!("{}", table()?);
    Ok(())
}
