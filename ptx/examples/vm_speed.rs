//! Speed of the virtual GPU on one CPU core, checks included: lane instructions per second on the
//! bf16 matrix product. `cargo run --release -p ltm-ptx --example vm_speed [entry name part]`

use std::time::Instant;

use ltm_ptx::launch::linear;
use ltm_ptx::vm::{Config, VirtualGpu, VmError};
use ltm_ptx::{Arg, Launch, Storage};

/// Small integers as bf16, so that products are exact.
fn numbers(gpu: &VirtualGpu, count: usize) -> Result<u64, VmError> {
    let at = gpu.alloc(2 * count)?;
    let mut state = 1u32;
    let bytes: Vec<u8> = (0..count)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (state >> 24) as f32 / 64.0 - 2.0;
            ((value.to_bits() >> 16) as u16).to_le_bytes()
        })
        .collect();
    gpu.write(at, &bytes)?;
    Ok(at)
}

fn measure(gpu: &VirtualGpu, ptx: &str, name: &str, launch: &Launch) -> Result<(), VmError> {
    let program = gpu.load(ptx)?;
    let mut best = f64::INFINITY;
    let mut counters = None;
    for _ in 0..5 {
        let start = Instant::now();
        let counted = gpu.launch(
            &program,
            launch.entry.name,
            launch.grid,
            launch.block,
            launch.shared_bytes,
            &launch.args,
        )?;
        best = best.min(start.elapsed().as_secs_f64());
        counters = Some(counted);
    }
    let Some(counters) = counters else { return Ok(()) };
    println!(
        "{name} {}: {:.1} million lane instructions/s, {:.0} ns per warp instruction \
         ({} warp instructions, {:.3} s)",
        launch.entry.name,
        counters.lane_instructions as f64 / best / 1e6,
        best * 1e9 / counters.warp_instructions as f64,
        counters.warp_instructions,
        best
    );
    Ok(())
}

fn main() -> Result<(), VmError> {
    let gpu = VirtualGpu::new(Config { threads: 1, ..Config::default() });
    for (name, rows, inner, outer) in [("large", 2048, 256, 1024), ("small", 256, 512, 512)] {
        let x = numbers(&gpu, (rows * inner) as usize)?;
        let weight = numbers(&gpu, (outer * inner) as usize)?;
        let out = gpu.alloc(2 * (rows * outer) as usize)?;
        let forward = linear::LinearForward { x, weight, residual: 0, out, rows, inner, outer };
        if let Some(launch) = forward.launch(Storage::Bf16) {
            debug_assert!(launch.args.iter().all(|arg| !matches!(arg, Arg::F64(_))));
            measure(&gpu, linear::MODULE.ptx, name, &launch)?;
        }
    }
    Ok(())
}
