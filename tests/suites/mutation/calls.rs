//! The calls that must show an error in a kernel: small ones, and of every kind that takes
//! another way through it.

use ltm_engine::ops::{GaussianShape, LatentAttentionShape, WindowAttentionShape};
use ltm_tests::cases::{
    adamw, add, embedding, gaussian, gaussian_update, latent_attention, linear,
    linear_cross_entropy, normal, rms_norm, sample, swiglu, trace, window_attention,
    window_attention_decode,
};
use ltm_tests::mutation::Recording;
use ltm_tests::{Case, Format, Layout};

/// Calls of one operation.
type Calls = Result<Vec<Recording>, String>;

/// An operation by name, and its calls.
type Operation = (&'static str, fn() -> Calls);

/// The operations to mutate.
pub const OPERATIONS: [Operation; 13] = [
    ("adamw", adamw_calls),
    ("add", add_calls),
    ("embedding", embedding_calls),
    ("gaussian", gaussian_calls),
    ("latent_attention", latent_attention_calls),
    ("linear", linear_calls),
    ("linear_cross_entropy", loss_calls),
    ("normal", normal_calls),
    ("rms_norm", rms_norm_calls),
    ("sample", sample_calls),
    ("swiglu", swiglu_calls),
    ("trace", trace_calls),
    ("window_attention", window_attention_calls),
];

const BOTH: [Format; 2] = [Format::F32, Format::BF16];
/// Aligned to what the widest access takes, and to nothing but an element.
const LAYOUTS: [Layout; 2] = [Layout::WHOLE, Layout::SHIFTED];

/// Every case in every format and layout.
fn record(cases: &[&dyn Case], formats: &[Format], layouts: &[Layout]) -> Calls {
    let mut recordings = Vec::new();
    for &case in cases {
        for &format in formats {
            for &layout in layouts {
                recordings.push(Recording::new(case, format, layout)?);
            }
        }
    }
    Ok(recordings)
}

fn adamw_calls() -> Calls {
    let step =
        |segments: &[usize], clip| adamw::Step { segments: segments.into(), number: 3, clip };
    let cases: [&dyn Case; 4] = [
        &step(&[64, 7, 130], Some(0.013)),
        &step(&[1025, 0, 3], None),
        &adamw::Norm { len: 1000, limit: 1.0 },
        &adamw::Norm { len: 70_001, limit: 1e9 },
    ];
    record(&cases, &BOTH, &LAYOUTS)
}

fn add_calls() -> Calls {
    record(&[&add::Sum { len: 1003 }, &add::Sum { len: 4096 }], &BOTH, &LAYOUTS)
}

fn embedding_calls() -> Calls {
    let cases: [&dyn Case; 4] = [
        &embedding::Forward { rows: 5, width: 64, vocab: 97 },
        &embedding::Forward { rows: 9, width: 7, vocab: 5 },
        &embedding::Backward { rows: 40, width: 64, vocab: 7 },
        &embedding::Backward { rows: 33, width: 7, vocab: 5 },
    ];
    record(&cases, &BOTH, &LAYOUTS)
}

fn gaussian_calls() -> Calls {
    let shapes = [
        GaussianShape { samples: 3, layers: 2, per_layer: 97 },
        GaussianShape { samples: 1, layers: 3, per_layer: 64 },
        GaussianShape { samples: 2, layers: 1, per_layer: 1500 },
    ];
    let mut recordings = Vec::new();
    for shape in shapes {
        let cases: [&dyn Case; 4] = [
            &gaussian::Reparameterise { shape },
            &gaussian::Kl { shape },
            &gaussian::Backward { shape },
            &gaussian_update::Update { shape, number: 3 },
        ];
        recordings.extend(record(&cases, &BOTH, &LAYOUTS)?);
    }
    Ok(recordings)
}

fn latent_attention_calls() -> Calls {
    use latent_attention::{Backward, Forward, Queries};
    let shape = |seq, latents, stride| LatentAttentionShape {
        batch: 1,
        seq,
        heads: 2,
        head_dim: 16,
        latents,
        latent_stride: stride,
        first_position: 9,
        theta: 1e4,
    };
    let cases: [&dyn Case; 6] = [
        &Forward { shape: shape(37, 5, Some(43)) },
        &Backward { shape: shape(37, 5, Some(43)), queries: Queries::Added },
        &Forward { shape: shape(65, 40, None) },
        &Backward { shape: shape(65, 40, None), queries: Queries::Overwritten },
        &Backward { shape: shape(130, 8, Some(3)), queries: Queries::Skipped },
        &Forward { shape: shape(64, 64, Some(1)) },
    ];
    record(&cases, &BOTH, &[Layout::WHOLE])
}

fn linear_calls() -> Calls {
    use linear::{BackwardInput, BackwardWeight, Forward, Shape};
    let shape = |rows, inner, outer| Shape { rows, inner, outer };
    let mut recordings = Vec::new();
    for (shape, on) in
        [(shape(70, 72, 80), true), (shape(33, 37, 35), false), (shape(64, 136, 64), false)]
    {
        let cases: [&dyn Case; 3] = [
            &Forward { shape, residual: on },
            &BackwardInput { shape, accumulate: on },
            &BackwardWeight { shape },
        ];
        recordings.extend(record(&cases, &BOTH, &[Layout::WHOLE])?);
    }
    let cases: [&dyn Case; 2] = [
        &Forward { shape: shape(3, 130, 7), residual: true },
        &Forward { shape: shape(1, 256, 9), residual: false },
    ];
    recordings.extend(record(&cases, &BOTH, &LAYOUTS)?);
    Ok(recordings)
}

fn loss_calls() -> Calls {
    use linear_cross_entropy::{ALL, Loss};
    let mut recordings = Vec::new();
    for wanted in ALL {
        for (rows, width, vocab) in [(33, 72, 130), (5, 33, 97)] {
            let case = Loss { rows, width, vocab, wanted, differences: false };
            recordings.extend(record(&[&case], &BOTH, &[Layout::WHOLE])?);
        }
    }
    Ok(recordings)
}

fn normal_calls() -> Calls {
    let noise = |samples, per_sample| normal::Noise { samples, per_sample, ..normal::PLAIN };
    record(&[&noise(3, 6), &noise(2, 67), &noise(1, 1040)], &BOTH, &LAYOUTS)
}

fn rms_norm_calls() -> Calls {
    use rms_norm::{Backward, Forward, Wanted};
    let mut recordings = Vec::new();
    for (rows, width) in [(5, 64), (3, 97), (2, 2056)] {
        let cases: [&dyn Case; 5] = [
            &Forward { rows, width, residual: false },
            &Forward { rows, width, residual: true },
            &Backward { rows, width, wanted: Wanted::Input },
            &Backward { rows, width, wanted: Wanted::AddedInput },
            &Backward { rows, width, wanted: Wanted::Both },
        ];
        recordings.extend(record(&cases, &BOTH, &LAYOUTS)?);
    }
    Ok(recordings)
}

fn sample_calls() -> Calls {
    let mut recordings = Vec::new();
    for (temperature, top_k, top_p) in
        [(0.0, 0, 1.0), (1.0, 0, 1.0), (0.3, 5, 1.0), (1.0, 97, 0.95)]
    {
        for (rows, vocab) in [(3, 97), (2, 257), (1, 1)] {
            let draw = sample::Draw { rows, vocab, temperature, top_k, top_p, ..sample::PLAIN };
            recordings.extend(record(&[&draw], &BOTH, &[Layout::WHOLE])?);
        }
    }
    Ok(recordings)
}

fn swiglu_calls() -> Calls {
    let mut recordings = Vec::new();
    for (rows, width) in [(3, 64), (5, 97), (40, 128)] {
        let cases: [&dyn Case; 2] =
            [&swiglu::Forward { rows, width }, &swiglu::Backward { rows, width }];
        recordings.extend(record(&cases, &BOTH, &LAYOUTS)?);
    }
    Ok(recordings)
}

fn trace_calls() -> Calls {
    let record = |samples, seq, rows| trace::Record { samples, seq, rows };
    self::record(&[&record(3, 37, 4), &record(2, 1030, 3)], &[Format::F32], &LAYOUTS)
}

fn window_attention_calls() -> Calls {
    use window_attention::{Backward, Forward};
    use window_attention_decode::Decode;
    let shape = |seq, window| WindowAttentionShape {
        batch: 1,
        seq,
        heads: 2,
        head_dim: 16,
        window,
        theta: 1e4,
    };
    let mut recordings = Vec::new();
    for (seq, window) in [(37, 7), (65, 64), (130, 33)] {
        let shape = shape(seq, window);
        let cases: [&dyn Case; 2] = [&Forward { shape }, &Backward { shape }];
        recordings.extend(record(&cases, &BOTH, &[Layout::WHOLE])?);
    }
    for (window, position) in [(7, 3), (64, 200), (33, 33)] {
        let case = Decode { shape: shape(1, window), position };
        recordings.extend(record(&[&case], &BOTH, &[Layout::WHOLE])?);
    }
    Ok(recordings)
}
