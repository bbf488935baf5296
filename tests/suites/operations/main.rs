//! Every operation of the engine, forward and backward, one module each.

mod adamw;
mod add;
mod copy;
mod embedding;
mod gaussian;
mod gaussian_descent;
mod gaussian_update;
mod grouped_linear;
mod latent_attention;
mod latent_attention_linear;
mod latent_attention_swiglu;
mod latent_block;
mod latent_prior;
mod linear;
mod linear_cross_entropy;
mod linear_rms_norm;
mod linear_swiglu;
mod normal;
mod rms_norm;
mod sample;
mod swiglu;
mod trace;
mod window_attention;
mod window_attention_decode;

use ltm_tests::{Case, Format, Layout, device, run};

/// Two calls with the arguments of the first leave the same bits in all of them.
fn assert_same_bits(one: &dyn Case, two: &dyn Case) {
    let (args, mut device) = (one.args(Format::F32), device(2));
    let mut bytes = |case: &dyn Case| run(case, &args, &mut device, Layout::GUARDED).unwrap();
    assert!(bytes(one) == bytes(two), "{one}");
}

/// Row counts of the sweeps: one, fewer than a vector, and one more than a block of tasks.
const ROWS: [usize; 4] = [1, 7, 65, 257];
/// Row widths of the sweeps: none is a multiple of a vector register.
const WIDTHS: [usize; 3] = [6, 96, 130];

/// Rows x widths.
fn row_shapes() -> impl Iterator<Item = (usize, usize)> {
    ROWS.into_iter().flat_map(|rows| WIDTHS.into_iter().map(move |width| (rows, width)))
}
