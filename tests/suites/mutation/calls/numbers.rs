//! Calls of the operations that treat every number by itself, or add numbers up.

use ltm_engine::ops::GaussianShape;
use ltm_ptx::launch::{Arg, adamw as kernels};
use ltm_tests::cases::{adamw, add, gaussian, gaussian_update, normal, trace};
use ltm_tests::mutation::Recording;
use ltm_tests::numbers::{normals, widen};
use ltm_tests::{Case, Data, Format, Layout};

use super::{BOTH, Calls, LAYOUTS, record, record_each_shifted};
use crate::changed::Changed;

pub fn adamw() -> Calls {
    let step =
        |segments: &[usize], clip| adamw::Step { segments: segments.into(), number: 3, clip };
    // Segments that end at every place of a group of four.
    let mut recordings = record_each_shifted(&[
        &step(&[64, 7, 130], Some(0.013)),
        &step(&[1, 2, 3, 1, 1, 1016, 0, 4, 1022, 3, 1], None),
        &adamw::Norm { len: 1000, limit: 1.0 },
    ])?;
    recordings.extend(record(
        &[
            &step(&[700, 1000], None),
            &step(&[1024], Some(0.5)),
            &step(&[1023], None),
            &step(&[1, 2, 1021, 5, 1, 1, 1030], None),
            &step(&[3, 1, 2, 1, 1019, 2, 2, 1], None),
            &step(&[300], None),
            &step(&[600], None),
            &step(&[900], None),
            &step(&[200, 100], None),
            &step(&[500, 100], None),
            &step(&[800, 100], None),
            &step(&[100], None),
            &step(&[256], None),
            &step(&[512], None),
            &step(&[768], None),
            &step(&[1, 1023, 1, 1], Some(2.0)),
            &adamw::Norm { len: 1001, limit: 1.0 },
            &adamw::Norm { len: 1002, limit: 1.0 },
            &adamw::Norm { len: 1003, limit: 1.0 },
            &adamw::Norm { len: 16_384, limit: 0.0 },
            &adamw::Norm { len: 16_385, limit: 1e9 },
            &adamw::Norm { len: 40_002, limit: 1e9 },
        ],
        &LAYOUTS,
    )?);
    // Gradients whose norm is none change nothing.
    for norm in [f64::INFINITY, f64::NAN] {
        let case = step(&[64, 7, 130], Some(0.013));
        let case = Changed { case: &case, argument: "clip", elements: &[(0, norm)] };
        recordings.extend(record(&[&case], &LAYOUTS)?);
    }
    // More sums than the threads that add them, without the gradients that make so many.
    for count in [1, 255, 256, 257, 700] {
        let buffers = [
            Data::F64(widen(&normals(1, count)).iter().map(|x| x * x).collect()),
            Data::F64(vec![f64::NAN; 2]),
        ];
        let arguments = |at: &[u64]| {
            let [sums, out] = [at[0], at[1]].map(Arg::Pointer);
            vec![sums, out, Arg::U32(count as u32), Arg::F64(1.0)]
        };
        let entry = kernels::ENTRY_POINTS.iter().find(|entry| entry.name == "global_norm_f32");
        let entry = entry.ok_or("no global_norm_f32")?;
        recordings.push(Recording::launch(entry, [1; 3], [256, 1, 1], &buffers, &arguments)?);
    }
    Ok(recordings)
}

pub fn add() -> Calls {
    let mut recordings = record_each_shifted(&[
        &add::Sum { len: 1 },
        &add::Sum { len: 1003 },
        &add::Sum { len: 1024 },
        &add::Sum { len: 2048 },
        &add::Sum { len: 4096 },
    ])?;
    for len in 1..=9 {
        recordings.extend(record(&[&add::Sum { len }, &add::Sum { len: 250 * len }], &LAYOUTS)?);
    }
    Ok(recordings)
}

pub fn gaussian() -> Calls {
    let shapes = [
        GaussianShape { samples: 3, layers: 2, per_layer: 97 },
        GaussianShape { samples: 1, layers: 3, per_layer: 64 },
        GaussianShape { samples: 2, layers: 1, per_layer: 1500 },
    ];
    let mut recordings = Vec::new();
    for per_layer in [1, 4, 128, 256, 508, 511, 512, 516, 1024, 2048] {
        let shape = GaussianShape { samples: 1, layers: 1, per_layer };
        let cases: [&dyn Case; 4] = [
            &gaussian::Reparameterise { shape },
            &gaussian::Kl { shape },
            &gaussian::Backward { shape },
            &gaussian_update::Update { shape, number: 3 },
        ];
        let sweep = record(&cases, &LAYOUTS)?.into_iter();
        recordings.extend(sweep.map(Recording::of_comparisons));
    }
    for shape in shapes {
        let cases: [&dyn Case; 4] = [
            &gaussian::Reparameterise { shape },
            &gaussian::Kl { shape },
            &gaussian::Backward { shape },
            &gaussian_update::Update { shape, number: 3 },
        ];
        recordings.extend(record_each_shifted(&cases)?);
    }
    for (at, step) in [(0, 99.0), (2, -1.0), (1, 5.0)] {
        let case = gaussian_update::Update { shape: shapes[0], number: 3 };
        let case = Changed { case: &case, argument: "step", elements: &[(at, step)] };
        for format in BOTH {
            recordings.push(Recording::refused(&case, format)?);
        }
    }
    // Exponentials at both ends of what f64 holds, one in a sample, whose sum would hide others.
    let shape = GaussianShape { samples: 4, layers: 1, per_layer: 32 };
    for value in
        [705.0, 709.5, 720.0, 1500.0, -705.0, -709.5, -740.0, -1500.0, f64::INFINITY, f64::NAN]
    {
        let elements: Vec<(usize, f64)> = (0..4).map(|i| (33 * i, value)).collect();
        let (kl, update) = (gaussian::Kl { shape }, gaussian_update::Update { shape, number: 3 });
        let cases: [&dyn Case; 2] = [&kl, &update];
        for case in cases {
            let case = Changed { case, argument: "logvar", elements: &elements };
            recordings.extend(record(&[&case], &[Layout::WHOLE, Layout::SHIFTED])?);
        }
    }
    Ok(recordings)
}

pub fn normal() -> Calls {
    let noise = |samples, per_sample| normal::Noise { samples, per_sample, ..normal::PLAIN };
    record(&[&noise(3, 6), &noise(2, 67), &noise(1, 1040), &noise(1, 1024), &noise(2, 1)], &LAYOUTS)
}

pub fn trace() -> Calls {
    let record = |samples, seq, rows| trace::Record { samples, seq, rows };
    let mut recordings = record_each_shifted(&[&record(3, 37, 4), &record(2, 1030, 3)])?;
    let mut exact = vec![record(1, 256, 2), record(1, 1024, 1), record(2, 2048, 2)];
    exact.extend((1..=16).map(|seq| record(1, seq, 1)));
    let exact: Vec<&dyn Case> = exact.iter().map(|case| case as &dyn Case).collect();
    recordings.extend(super::record(&exact, &LAYOUTS)?);
    for (at, step) in [(0, 4.0), (2, -1.0)] {
        let case = record(3, 37, 4);
        let case = Changed { case: &case, argument: "step", elements: &[(at, step)] };
        recordings.push(Recording::refused(&case, Format::F32)?);
    }
    Ok(recordings)
}
