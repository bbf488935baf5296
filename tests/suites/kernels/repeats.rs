//! One call of every operation, again and on more threads of the host: the same bits and the
//! same counts.

use ltm_engine::ops::{GaussianShape, LatentAttentionShape, WindowAttentionShape};
use ltm_tests::cases::*;
use ltm_tests::{Case, Kernels};

#[test]
fn every_operation_repeats() {
    let (rows, width, vocab) = (129, 72, 97);
    let shape = linear::Shape { rows, inner: 40, outer: 130 };
    let grouped = grouped_linear::Shape { count: 3, gap: 5, rows, inner: 40, outer: 130 };
    let posterior = GaussianShape { samples: 5, layers: 2, per_layer: 130 };
    let window =
        WindowAttentionShape { batch: 2, seq: 97, heads: 2, head_dim: 32, window: 40, theta: 1e4 };
    let latent = LatentAttentionShape {
        batch: 2,
        seq: 97,
        heads: 2,
        head_dim: 32,
        latents: 9,
        latent_stride: Some(7),
        first_position: 3,
        theta: 1e4,
    };
    let cases: [&dyn Case; 29] = [
        &add::Sum { len: 5000 },
        &swiglu::Forward { rows, width },
        &swiglu::Backward { rows, width },
        &rms_norm::Forward { rows, width, residual: true },
        &rms_norm::Backward { rows, width, wanted: rms_norm::Wanted::Both },
        &embedding::Forward { rows, width, vocab },
        &embedding::Backward { rows, width, vocab },
        &grouped_linear::Forward { shape: grouped },
        &grouped_linear::BackwardInput { shape: grouped },
        &linear::Forward { shape, residual: true },
        &linear::BackwardInput { shape, accumulate: true },
        &linear::BackwardWeight { shape },
        &linear_rms_norm::Forward { rows, inner: 40, outer: width, residual: true, apart: false },
        &linear_rms_norm::Backward { rows, width, outer: 40, accumulate: true, apart: false },
        &linear_swiglu::Forward { rows, inner: 40, width, apart: false },
        &linear_swiglu::Backward { rows, width, outer: 40, apart: false },
        &linear_cross_entropy::Loss {
            rows,
            width,
            vocab: 257,
            wanted: linear_cross_entropy::Wanted::Both,
            differences: false,
        },
        &window_attention::Forward { shape: window },
        &window_attention::Backward { shape: window },
        &window_attention_decode::Decode {
            shape: WindowAttentionShape { seq: 1, ..window },
            position: 50,
        },
        &latent_attention::Forward { shape: latent },
        &latent_attention::Backward {
            shape: latent,
            queries: latent_attention::Queries::Overwritten,
        },
        &latent_block::Forward { shape: latent, queries: true },
        &latent_block::Backward { shape: latent, queries: true },
        &gaussian_update::Update { shape: posterior, number: 3 },
        &trace::Record { samples: 5, seq: 300, rows: 4 },
        &adamw::Step { segments: vec![700, 33, 1001], number: 3, clip: Some(0.5) },
        &adamw::Norm { len: 40_000, limit: 0.5 },
        &normal::Noise { samples: 5, per_sample: 999, ..normal::PLAIN },
    ];
    let mut kernels = Kernels::new(0.0);
    cases.into_iter().for_each(|case| kernels.repeat(case));
    kernels.repeat(&sample::Draw { rows: 9, vocab: 257, top_p: 0.9, ..sample::PLAIN });
    kernels.finish();
}
