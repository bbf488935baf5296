//! A report of the virtual GPU, the one that README.md explains: step 2 of the ladder with its
//! first barrier taken out of the PTX.

use std::error::Error;

use ltm_ptx::Arg;
use ltm_ptx::vm::{Config, VirtualGpu};

const PTX: &str = include_str!("../compiled/sm_80/ladder/linear_2_shared_tiles.ptx");
const ENTRY: &str = "linear_2_shared_tiles_bf16";
/// Rows, inner and outer extent.
const EXTENT: u32 = 64;

/// What the virtual GPU says of the kernel without the barrier.
///
/// # Errors
/// The kernel has no barrier, or runs without one unnoticed.
pub fn report() -> Result<String, Box<dyn Error>> {
    // Blanked, so that the numbers of the lines stay those of the file.
    let barrier = "bar.sync \t0;";
    let wrong = PTX.replacen(barrier, "", 1);
    if wrong == PTX {
        return Err(format!("{ENTRY} has no {barrier:?}").into());
    }
    let gpu = VirtualGpu::new(Config::default());
    let program = gpu.load(&wrong)?;
    let bytes = 2 * (EXTENT * EXTENT) as usize;
    let [x, weight, out] = [gpu.alloc(bytes)?, gpu.alloc(bytes)?, gpu.alloc(bytes)?];
    gpu.zero(x, bytes)?;
    gpu.zero(weight, bytes)?;
    let pointers = [x, weight, out].into_iter().map(Arg::Pointer);
    let args: Vec<Arg> = pointers.chain([EXTENT; 3].into_iter().map(Arg::U32)).collect();
    let tiles = EXTENT / 32;
    match gpu.launch(&program, ENTRY, [tiles, tiles, 1], [32, 8, 1], 0, &args) {
        Ok(_) => Err("the missing barrier went unnoticed".into()),
        Err(error) => Ok(error.to_string()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", report()?);
    Ok(())
}
