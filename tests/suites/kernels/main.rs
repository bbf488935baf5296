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

/// Relative error that f32 is allowed.
const TOLERANCE: f64 = 1e-5;
/// The same where a kernel computes exponentials with the approximate unit.
const APPROXIMATE: f64 = 1e-4;
