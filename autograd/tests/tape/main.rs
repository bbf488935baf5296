//! The tape on the reference backend: gradients, bindings, memory.

mod bindings;
mod decoder;
mod frozen;
mod gradients;
mod leaves;
mod memory;
mod norms;
mod parts;
mod reuse;
mod storage;

use ltm_autograd::{Program, Var};
use ltm_engine::cpu::Cpu;
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, DeviceExt};

fn device() -> Cpu {
    Cpu::new(2).expect("threads can be started")
}

/// `n` normal numbers, a function of the seed alone.
fn normals(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream { seed, site: 0, sample: 0, iteration: 0 };
    (0..n.div_ceil(4) as u32).flat_map(|block| stream.normals(block)).take(n).collect()
}

/// `n` integers from -3 to 3, whose sums of products are exact in f32.
fn integers(seed: u64, n: usize) -> Vec<f32> {
    normals(seed, n).into_iter().map(|x| x.round().clamp(-3.0, 3.0)).collect()
}

/// A new buffer with `values`, bound to `var`.
fn bind(device: &mut Cpu, program: &mut Program, var: Var, values: &[f32]) -> Buffer {
    let buffer = device.alloc_from(values).expect("memory");
    program.bind(var, &buffer).expect("an external value of this length");
    buffer
}

/// The bits of a buffer.
fn bits(device: &mut Cpu, buffer: &Buffer) -> Vec<u32> {
    device.read::<f32>(buffer).expect("f32").into_iter().map(f32::to_bits).collect()
}
