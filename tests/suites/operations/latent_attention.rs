//! Attention of tokens to latents.

use ltm_engine::ops::{
    LatentAttentionBackward, LatentAttentionForward, LatentAttentionShape as Shape, MAX_LATENTS,
};
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{normals, widen};
use ltm_tests::reference::{dot, latent_attention};
use ltm_tests::{Arg, Case, Derivative, Expected, refuses, refuses_value, verify};

/// As for window attention.
const FORWARD_ROUNDINGS: f64 = 32.0;
/// As for window attention.
const BACKWARD_ROUNDINGS: f64 = 128.0;

#[derive(Clone, Copy, Debug)]
struct Forward {
    shape: Shape,
}

/// What happens to the gradient of the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queries {
    Skipped,
    Overwritten,
    Added,
}

#[derive(Clone, Copy, Debug)]
struct Backward {
    shape: Shape,
    queries: Queries,
}

printed!(Forward, Backward);

fn elements(s: &Shape) -> usize {
    s.rows() * s.width()
}

fn kv_elements(s: &Shape) -> usize {
    2 * s.batch * s.latents * s.width()
}

fn q(s: &Shape) -> Vec<f32> {
    normals(1, elements(s))
}

fn kv(s: &Shape) -> Vec<f32> {
    normals(2, kv_elements(s))
}

impl Case for Forward {
    fn op(&self) -> &'static str {
        "latent_attention_forward"
    }

    fn args(&self) -> Vec<Arg> {
        let s = &self.shape;
        vec![Arg::input("q", q(s)), Arg::input("kv", kv(s)), Arg::overwritten("out", elements(s))]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let (q, kv, out, shape) = (&b[0], &b[1], &b[2], self.shape);
        device.latent_attention_forward(&LatentAttentionForward { q, kv, out, shape })
    }

    fn expected(&self) -> Vec<Expected> {
        let s = &self.shape;
        let out = latent_attention::forward(&widen(&q(s)), &widen(&kv(s)), s);
        vec![Expected::new(out, FORWARD_ROUNDINGS)]
    }
}

impl Backward {
    fn d_out(&self) -> Vec<f32> {
        normals(3, elements(&self.shape))
    }

    fn gradients(&self) -> (Vec<f64>, Vec<f64>) {
        let s = &self.shape;
        latent_attention::backward(&widen(&q(s)), &widen(&kv(s)), &widen(&self.d_out()), s)
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "latent_attention_backward"
    }

    fn args(&self) -> Vec<Arg> {
        let s = &self.shape;
        let mut args = vec![
            Arg::input("q", q(s)),
            Arg::input("kv", kv(s)),
            Arg::input("d_out", self.d_out()),
            Arg::overwritten("d_kv", kv_elements(s)),
        ];
        match self.queries {
            Queries::Skipped => {}
            Queries::Overwritten => args.push(Arg::overwritten("d_q", elements(s))),
            Queries::Added => args.push(Arg::updated("d_q", normals(4, elements(s)))),
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.latent_attention_backward(&LatentAttentionBackward {
            q: &b[0],
            kv: &b[1],
            d_out: &b[2],
            d_kv: &b[3],
            d_q: (self.queries != Queries::Skipped).then(|| &b[4]),
            accumulate_q: self.queries == Queries::Added,
            shape: self.shape,
        })
    }

    fn expected(&self) -> Vec<Expected> {
        let s = &self.shape;
        let (mut d_q, d_kv) = self.gradients();
        let mut expected = vec![Expected::new(d_kv, BACKWARD_ROUNDINGS)];
        if self.queries == Queries::Added {
            d_q.iter_mut().zip(normals(4, elements(s))).for_each(|(d, b)| *d += b as f64);
        }
        if self.queries != Queries::Skipped {
            expected.push(Expected::new(d_q, BACKWARD_ROUNDINGS));
        }
        expected
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let s = &self.shape;
        let (d_q, d_kv) = self.gradients();
        let d_out = widen(&self.d_out());
        let value =
            move |at: &[Vec<f64>]| dot(&latent_attention::forward(&at[0], &at[1], s), &d_out);
        Some(Derivative {
            at: vec![widen(&q(s)), widen(&kv(s))],
            value: Box::new(value),
            gradients: vec![d_q, d_kv],
        })
    }
}

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
