//! Attention of tokens to latents.

use ltm_engine::ops::{LatentAttentionReduce, LatentAttentionShape as Shape, MAX_LATENTS, Ops};
use ltm_engine::{DType, Device};
use ltm_tests::cases::latent_attention::{
    Backward, Forward, Queries, Reduce, elements, kv, kv_elements, q,
};
use ltm_tests::{Arg, Case, device, refuses, refuses_value, verify};

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (i, head_dim) in [2, 16, 32, 64, 128].into_iter().enumerate() {
        for latents in [1, 5, MAX_LATENTS] {
            for (j, seq) in [1, 2, 63, 64, 65, 130].into_iter().enumerate() {
                let (batch, heads) = [(2, 3), (1, 2), (2, 1), (1, 1), (1, 1)][i];
                // Between them the lengths see rotated and plain keys, and late positions.
                let latent_stride = [None, Some(43), Some(0)][j % 3];
                let first_position = [0, 9][j % 2];
                let theta = 10_000.0;
                shapes.push(Shape {
                    batch,
                    seq,
                    heads,
                    head_dim,
                    latents,
                    latent_stride,
                    first_position,
                    theta,
                });
            }
        }
    }
    shapes
}

const SMALL: Shape = Shape {
    batch: 2,
    seq: 5,
    heads: 2,
    head_dim: 4,
    latents: 3,
    latent_stride: Some(7),
    first_position: 1000,
    theta: 500_000.0,
};

#[test]
fn forward_is_correct() {
    verify(shapes().into_iter().chain([SMALL]).map(|shape| Forward { shape }));
}

#[test]
fn backward_is_correct() {
    let ways = [Queries::Added, Queries::Overwritten, Queries::Skipped];
    let shapes = shapes().into_iter().enumerate();
    let cases = shapes.map(|(i, shape)| Backward { shape, queries: ways[i / 6 % 3] });
    verify(cases.chain(ways.map(|queries| Backward { shape: SMALL, queries })));
}

#[test]
fn sums_are_reduced_correctly() {
    let shapes = shapes().into_iter().step_by(4).chain([SMALL]);
    let long = Shape { seq: 520, ..SMALL };
    let none = Shape { seq: 0, ..SMALL };
    let cases =
        shapes.chain([long, none]).flat_map(|shape| [1, 3].map(|groups| Reduce { shape, groups }));
    verify(cases);
}

#[test]
fn malformed_reductions_are_refused() {
    let (groups, shape, mut device) = (2, SMALL, device(1));
    let mut reduce = |sums: usize, d_kv: usize| {
        let [sums, d_kv] = [sums, d_kv].map(|n| device.alloc(DType::F32, n).unwrap());
        let args = LatentAttentionReduce { sums: &sums, d_kv: &d_kv, groups, shape };
        device.latent_attention_reduce(&args)
    };
    let (sums, d_kv) = (groups * shape.sums_len(), groups * shape.kv_len());
    assert!(reduce(sums, d_kv).is_ok());
    for (sums, d_kv, what) in [(sums - 1, d_kv, "sums"), (sums, d_kv + 1, "d_kv")] {
        let refused = reduce(sums, d_kv).unwrap_err().to_string();
        assert!(refused.contains("latent_attention_reduce") && refused.contains(what), "{refused}");
    }
}

/// Without tokens the latents get a gradient of zero.
#[test]
fn empty_sequences_are_no_work() {
    for (batch, seq) in [(0, 5), (2, 0)] {
        let shape = Shape { batch, seq, ..SMALL };
        verify([Forward { shape }]);
        verify([Backward { shape, queries: Queries::Overwritten }]);
    }
}

/// One latent takes all the weight: its value is the result, and q and k have no gradient.
#[test]
fn a_single_latent_is_copied() {
    use ltm_engine::DeviceExt;
    let shape = Shape { latents: 1, ..SMALL };
    let mut device = ltm_tests::device(1);
    let (q, kv) = (q(&shape), kv(&shape));
    let buffers = [q, kv.clone(), vec![f32::NAN; elements(&shape)]]
        .map(|values| device.alloc_from(&values).unwrap());
    Forward { shape }.call(&mut device, &buffers).unwrap();
    let out = device.read::<f32>(&buffers[2]).unwrap();
    let width = shape.width();
    for (b, out) in out.chunks_exact(shape.seq * width).enumerate() {
        let value = &kv[(2 * b + 1) * width..][..width];
        assert!(out.chunks_exact(width).all(|row| row == value));
    }
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { shape: SMALL });
    refuses(&Backward { shape: SMALL, queries: Queries::Added });
    for shape in [
        Shape { head_dim: 3, ..SMALL },
        Shape { head_dim: 0, ..SMALL },
        Shape { heads: 0, ..SMALL },
        Shape { latents: 0, ..SMALL },
        Shape { latents: MAX_LATENTS + 1, ..SMALL },
    ] {
        let forward = Forward { shape };
        let floats = |name, n| Arg::input(name, vec![0.0; n]);
        let (q, kv) = (floats("q", elements(&shape)), floats("kv", kv_elements(&shape)));
        refuses_value(&forward, &[q.clone(), kv.clone(), q.clone()]);
        let backward = Backward { shape, queries: Queries::Overwritten };
        refuses_value(&backward, &[q.clone(), kv.clone(), q.clone(), kv, q]);
    }
}
