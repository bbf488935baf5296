//! A softmax over one key: its weight is one and its gradient zero, exactly, in f32 and in bf16.

use ltm_engine::ops::{LatentAttentionShape, WindowAttentionShape};
use ltm_tests::cases::{latent_attention, window_attention, window_attention_decode};
use ltm_tests::{Case, Data, Format, Inputs, Layout, TestGpu, run};

/// What outputs hold after a call, by name.
struct Results {
    outputs: Vec<(&'static str, Vec<f64>)>,
}

impl Results {
    fn of(case: &dyn Case, format: Format, layout: Layout) -> Self {
        let args = case.args(format);
        let contents = run(case, &args, TestGpu::open(1).device(), layout)
            .unwrap_or_else(|error| panic!("{case} in {format}: {error}"));
        let outputs = args.iter().zip(&contents);
        let outputs = outputs
            .map(|(arg, bytes)| (arg.name, Data::from_bytes(arg.data.dtype(), bytes).widened()));
        Self { outputs: outputs.collect() }
    }

    fn output(&self, name: &str) -> &[f64] {
        &self.outputs.iter().find(|(other, _)| *other == name).expect("an argument").1
    }
}

/// An argument of a case before the call.
fn input(case: &dyn Case, format: Format, name: &str) -> Vec<f64> {
    Inputs::new(&case.args(format)).numbers(name)
}

const WAYS: [(Format, Layout); 4] = [
    (Format::F32, Layout::WHOLE),
    (Format::BF16, Layout::WHOLE),
    (Format::F32, Layout::SHIFTED),
    (Format::BF16, Layout::SHIFTED),
];

/// Part `part` of `parts` of a row that holds `[parts, width]`.
fn part(row: &[f64], part: usize, parts: usize) -> &[f64] {
    let width = row.len() / parts;
    &row[part * width..][..width]
}

/// Of every token with a window of one; of the first with any window.
#[test]
fn of_a_window() {
    for (batch, seq, heads, head_dim, window) in [
        (2, 1, 3, 16, 256),
        (1, 70, 2, 32, 1),
        (1, 67, 1, 64, 1),
        (1, 33, 1, 128, 1),
        (2, 66, 2, 6, 1),
        (2, 40, 2, 16, 24),
        (1, 70, 1, 64, 200),
    ] {
        let shape = WindowAttentionShape { batch, seq, heads, head_dim, window, theta: 1e4 };
        let (forward, backward) =
            (window_attention::Forward { shape }, window_attention::Backward { shape });
        let lone = |token: &usize| window == 1 || token.is_multiple_of(seq);
        for (format, layout) in WAYS {
            let width = heads * head_dim;
            let (qkv, d_out) = (input(&forward, format, "qkv"), input(&backward, format, "d_out"));
            let results = Results::of(&forward, format, layout);
            let gradients = Results::of(&backward, format, layout);
            for token in (0..batch * seq).filter(lone) {
                let of =
                    |x: &[f64], parts: usize| x[token * parts * width..][..parts * width].to_vec();
                let (out, v) = (of(results.output("out"), 1), of(&qkv, 3));
                assert_eq!(out, part(&v, 2, 3), "{forward} in {format}, token {token}");
                let d_qkv = of(gradients.output("d_qkv"), 3);
                let context = format!("{backward} in {format}, token {token}");
                assert_eq!(part(&d_qkv, 0, 3), vec![0.0; width], "{context}");
                // Other tokens see the first one too, unless there are none.
                if window == 1 || seq == 1 {
                    assert_eq!(part(&d_qkv, 1, 3), vec![0.0; width], "{context}");
                    assert_eq!(part(&d_qkv, 2, 3), of(&d_out, 1), "{context}");
                }
            }
        }
    }
}

#[test]
fn of_a_ring() {
    for (window, position, head_dim) in [(7, 0, 16), (1, 5, 64), (256, 0, 6), (1, 0, 128)] {
        let shape =
            WindowAttentionShape { batch: 2, seq: 1, heads: 2, head_dim, window, theta: 1e4 };
        let case = window_attention_decode::Decode { shape, position };
        for (format, layout) in WAYS {
            let results = Results::of(&case, format, layout);
            let (qkv, out) = (input(&case, format, "qkv"), results.output("out"));
            for (row, out) in qkv.chunks(6 * head_dim).zip(out.chunks(2 * head_dim)) {
                assert_eq!(out, part(row, 2, 3), "{case} in {format}");
            }
        }
    }
}

/// Of a single latent, which every token sees.
#[test]
fn of_latents() {
    use latent_attention::{Backward, Forward, Queries};
    for (batch, seq, heads, head_dim) in
        [(2, 1, 3, 16), (1, 70, 2, 32), (2, 300, 1, 64), (1, 33, 1, 128), (2, 66, 2, 6)]
    {
        let shape = LatentAttentionShape {
            batch,
            seq,
            heads,
            head_dim,
            latents: 1,
            latent_stride: Some(3),
            first_position: 0,
            theta: 1e4,
        };
        let width = heads * head_dim;
        let (forward, overwritten, added) = (
            Forward { shape },
            Backward { shape, queries: Queries::Overwritten },
            Backward { shape, queries: Queries::Added },
        );
        for (format, layout) in WAYS {
            let results = Results::of(&forward, format, layout);
            let kv = input(&forward, format, "kv");
            for (token, out) in results.output("out").chunks(width).enumerate() {
                let kv = &kv[token / seq * 2 * width..][..2 * width];
                assert_eq!(out, part(kv, 1, 2), "{forward} in {format}, token {token}");
            }
            let results = Results::of(&overwritten, format, layout);
            assert!(results.output("d_q").iter().all(|&x| x == 0.0), "{overwritten} in {format}");
            for d_kv in results.output("d_kv").chunks(2 * width) {
                assert_eq!(part(d_kv, 0, 2), vec![0.0; width], "{overwritten} in {format}");
            }
            let results = Results::of(&added, format, layout);
            let before = input(&added, format, "d_q");
            assert_eq!(results.output("d_q"), before, "{added} in {format}");
        }
    }
}
