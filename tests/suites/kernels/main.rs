//! Every kernel on the virtual GPU: its mathematics in f32 and in bf16, its traffic, and what
//! the checks of the virtual GPU say of it.
//!
//! Errors are relative to an element or, where that is small, to the size of the output.

mod counters;
mod faults;
mod grouped_linear;
mod indices;
mod latent_attention;
mod latent_block;
mod linear;
mod linear_rms_norm;
mod linear_swiglu;
mod loss;
mod optimiser;
mod posterior;
mod programs;
mod recordings;
mod refusals;
mod repeats;
mod rows;
mod sample;
mod single_keys;
mod window_attention;

use ltm_tests::{Case, Format, Layout, TestGpu, run};

/// One launch does what several do, bit for bit and nothing else: pairs of calls with one and with
/// several operations, whose arguments are the same.
fn assert_fused_as_apart(pairs: impl Iterator<Item = (Box<dyn Case>, Box<dyn Case>)>) {
    let mut gpu = TestGpu::open(1);
    for (fused, apart) in pairs {
        for format in [Format::F32, Format::BF16] {
            for layout in [Layout::WHOLE, Layout::SHIFTED] {
                let args = fused.args(format);
                let mut play = |case: &dyn Case| {
                    let bytes = run(case, &args, gpu.device(), layout).unwrap();
                    (bytes, gpu.take_launches().len())
                };
                let ((bits, one), (same, several)) = (play(&*fused), play(&*apart));
                assert!(bits == same, "{fused} in {format}");
                assert!(one <= several, "{fused}: {one} launches, {several} apart");
            }
        }
    }
}

/// Relative error that f32 is allowed.
const TOLERANCE: f64 = 1e-5;
/// The same where a kernel computes exponentials with the approximate unit.
const APPROXIMATE: f64 = 1e-4;
