//! Hand-written PTX against the same arithmetic in Rust.

mod kernels;
mod smoke;

use crate::Arg;
use crate::vm::{Config, Counters, VirtualGpu, VmError};

/// A kernel around a body: parameters `p0`, `p1`... are 64-bit addresses, and registers of every
/// type are declared. `%rd31` holds the address of the thread's word of `p0`, `%r31` its index.
pub(super) fn kernel(parameters: usize, body: &str) -> String {
    let list: Vec<String> = (0..parameters).map(|at| format!(".param .u64 p{at}")).collect();
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k({})\n{{\n\
         .reg .pred %p<32>;\n.reg .b16 %rs<32>;\n.reg .b32 %r<32>;\n.reg .b64 %rd<32>;\n\
         .reg .f32 %f<64>;\n.reg .f64 %fd<32>;\n\
         mov.u32 %r31, %tid.x;\nld.param.u64 %rd30, [p0];\n\
         mul.wide.u32 %rd31, %r31, 4;\nadd.s64 %rd31, %rd30, %rd31;\n{body}\nret;\n}}\n",
        list.join(",\n")
    )
}

/// A device that runs on one CPU thread.
pub(super) fn device() -> VirtualGpu {
    VirtualGpu::new(Config { threads: 1, budget: 1 << 20, ..Config::default() })
}

/// Runs a body in one block of `threads` with one word of output and the given words of input
/// per thread: `p0` is the output, `p1`... the inputs.
pub(super) fn run(threads: u32, body: &str, inputs: &[&[u32]]) -> Result<Vec<u32>, VmError> {
    let gpu = device();
    let words = |words: &[u32]| -> Result<u64, VmError> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = gpu.alloc(bytes.len())?;
        gpu.write(at, &bytes)?;
        Ok(at)
    };
    let out = words(&vec![0; threads as usize])?;
    let mut args = vec![Arg::Pointer(out)];
    for input in inputs {
        args.push(Arg::Pointer(words(input)?));
    }
    launch(&gpu, &kernel(args.len(), body), threads, &args)?;
    let mut bytes = vec![0; 4 * threads as usize];
    gpu.read(out, &mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// Runs entry `k` of a text in one block.
pub(super) fn launch(
    gpu: &VirtualGpu,
    ptx: &str,
    threads: u32,
    args: &[Arg],
) -> Result<Counters, VmError> {
    let program = gpu.load(ptx)?;
    gpu.launch(&program, "k", [1, 1, 1], [threads, 1, 1], 0, args)
}
