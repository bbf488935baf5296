//! Malformed calls of every operation on the GPU backend, in both storage types: typed errors,
//! and no launch.

use ltm_engine::ops::{GaussianShape, LatentAttentionShape, WindowAttentionShape};
use ltm_tests::cases::*;
use ltm_tests::{Case, Format, TestGpu, refuses_on};

#[test]
fn malformed_calls_are_refused() {
    let (rows, width, vocab) = (3, 6, 5);
    let shape = linear::Shape { rows, inner: 6, outer: 5 };
    let grouped = grouped_linear::Shape { count: 2, gap: 3, rows, inner: 6, outer: 5 };
    let posterior = GaussianShape { samples: 2, layers: 2, per_layer: 3 };
    let window =
        WindowAttentionShape { batch: 2, seq: 5, heads: 2, head_dim: 16, window: 3, theta: 1e4 };
    let latent = LatentAttentionShape {
        batch: 2,
        seq: 5,
        heads: 2,
        head_dim: 16,
        latents: 3,
        latent_stride: Some(7),
        first_position: 3,
        theta: 1e4,
    };
    let wanted = linear_cross_entropy::Wanted::Both;
    let one = WindowAttentionShape { seq: 1, ..window };
    let cases: [&dyn Case; 33] = [
        &add::Sum { len: 33 },
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
        &linear_rms_norm::Forward { rows, inner: 5, outer: width, residual: true, apart: false },
        &linear_rms_norm::Backward { rows, width, outer: 5, accumulate: true, apart: false },
        &linear_swiglu::Forward { rows, inner: 5, width, apart: false },
        &linear_swiglu::Backward { rows, width, outer: 5, apart: false },
        &linear_cross_entropy::Loss { rows, width, vocab, wanted, differences: false },
        &window_attention::Forward { shape: window },
        &window_attention::Backward { shape: window },
        &window_attention_decode::Decode { shape: one, position: 7 },
        &latent_attention::Forward { shape: latent },
        &latent_attention::Backward { shape: latent, queries: latent_attention::Queries::Added },
        &latent_block::Forward { shape: latent, queries: true },
        &latent_block::Backward { shape: latent, queries: true },
        &gaussian::Reparameterise { shape: posterior },
        &gaussian::Kl { shape: posterior },
        &gaussian::Backward { shape: posterior },
        &gaussian_update::Update { shape: posterior, number: 2 },
        &adamw::Step { segments: vec![3, 4], number: 2, clip: Some(0.5) },
        &adamw::Norm { len: 7, limit: 1.0 },
        &trace::Record { samples: 3, seq: 5, rows: 2 },
        &normal::PLAIN,
        &sample::PLAIN,
    ];
    for case in cases {
        for format in [Format::F32, Format::BF16] {
            refuses_on(&|| TestGpu::open(1).into_device(), case, format);
        }
    }
}
