//! Calls of the matrix products.

use ltm_ptx::Launch;
use ltm_ptx::launch::{Arg, EntryPoint, linear_cross_entropy as kernels};
use ltm_tests::cases::{grouped_linear, linear, linear_cross_entropy};
use ltm_tests::mutation::Recording;
use ltm_tests::numbers::normals;
use ltm_tests::{Case, Data, Layout};

use super::{BOTH, Calls, LAYOUTS, record, record_each_shifted};
use crate::changed::Changed;

pub fn linear() -> Calls {
    use linear::{BackwardInput, BackwardWeight, Forward, Shape};
    let shape = |rows, inner, outer| Shape { rows, inner, outer };
    let mut recordings = Vec::new();
    for (shape, on) in [
        (shape(70, 72, 80), true),
        (shape(33, 37, 35), false),
        (shape(33, 37, 35), true),
        (shape(64, 136, 64), false),
        (shape(64, 64, 64), true),
        (shape(66, 40, 67), true),
        (shape(40, 66, 67), false),
        (shape(67, 67, 66), true),
        (shape(9, 8, 8), true),
        (shape(10, 100, 12), true),
    ] {
        let cases: [&dyn Case; 3] = [
            &Forward { shape, residual: on },
            &BackwardInput { shape, accumulate: on },
            &BackwardWeight { shape },
        ];
        recordings.extend(record(&cases, &LAYOUTS)?);
    }
    for on in [false, true] {
        let shape = shape(72, 80, 88);
        recordings.extend(record_each_shifted(&[
            &Forward { shape, residual: on },
            &BackwardInput { shape, accumulate: on },
            &BackwardWeight { shape },
        ])?);
    }
    // Every place of the last row and the last column in the parts of a tile that a thread or a
    // warp stores, four at a time and one by one.
    let mut sweep = Vec::new();
    for (extent, on) in (32..=64).flat_map(|extent| [(extent, false), (extent, true)]) {
        let other = 33 + extent / 8 % 4;
        let one = |rows, outer| Forward { shape: shape(rows, 8, outer), residual: on };
        let back = |rows, inner| BackwardInput { shape: shape(rows, inner, 8), accumulate: on };
        let odd = |rows, outer| Forward { shape: shape(rows, 9, outer), residual: on };
        let odd_back = |rows, inner| BackwardInput { shape: shape(rows, inner, 9), accumulate: on };
        let weight = |inner, outer| BackwardWeight { shape: shape(9, inner, outer) };
        sweep.extend(record(
            &[
                &one(extent, other),
                &back(extent, other),
                &weight(other, extent),
                &odd(extent, 36),
                &odd_back(extent, 36),
                &odd(36, extent),
                &odd_back(36, extent),
            ],
            &[Layout::WHOLE],
        )?);
        let cases: [&dyn Case; 5] = [
            &one(extent, 40),
            &back(extent, 40),
            &weight(40, extent),
            &odd(extent, 36),
            &odd_back(extent, 36),
        ];
        sweep.extend(record(&cases, &[Layout::WHOLE, Layout::shifted_at(2)])?);
    }
    recordings.extend(sweep.into_iter().map(Recording::of_comparisons));
    for extent in 33..=64 {
        let cases: [&dyn Case; 2] = [
            &Forward { shape: shape(extent, 97, extent), residual: false },
            &BackwardInput { shape: shape(extent, extent, 97), accumulate: false },
        ];
        let sweep = record(&cases, &[Layout::WHOLE])?.into_iter();
        recordings.extend(sweep.map(Recording::of_comparisons));
    }
    // Whole tiles in the third stage of the ring; a second tile of one row.
    for rows in [33, 104] {
        let case = BackwardWeight { shape: shape(rows, 64, 64) };
        recordings.extend(record(&[&case], &[Layout::WHOLE])?);
    }
    for inner in (1..=99).step_by(2) {
        let cases: [&dyn Case; 3] = [
            &Forward { shape: shape(35, inner, 33), residual: false },
            &BackwardInput { shape: shape(35, 33, inner), accumulate: false },
            &BackwardWeight { shape: shape(inner, 35, 33) },
        ];
        let sweep = record(&cases, &[Layout::WHOLE])?.into_iter();
        recordings.extend(sweep.map(Recording::of_comparisons));
    }
    for (rows, residual) in (1..=8).flat_map(|rows| [(rows, false), (rows, true)]) {
        let cases: [&dyn Case; 2] = [
            &Forward { shape: shape(rows, 130, 7), residual },
            &Forward { shape: shape(rows, 256 + 8 * rows, 9), residual },
        ];
        recordings.extend(record(&cases, &LAYOUTS)?);
    }
    recordings.extend(record(&[&Forward { shape: shape(2, 5, 3), residual: true }], &LAYOUTS)?);
    recordings.extend(record_each_shifted(&[
        &Forward { shape: shape(3, 64, 4), residual: true },
        &Forward { shape: shape(8, 600, 5), residual: false },
    ])?);
    // Products side by side, whose weights lie apart.
    for gap in [0, 8, 3] {
        let shape = grouped_linear::Shape { count: 3, gap, rows: 35, inner: 24, outer: 40 };
        let cases: [&dyn Case; 2] =
            [&grouped_linear::Forward { shape }, &grouped_linear::BackwardInput { shape }];
        recordings.extend(record(&cases, &[Layout::WHOLE])?);
    }
    // The weight gradient without its addend, as a cut of a long sum is written.
    recordings.extend(without_addend(&recordings, "linear_backward_weight_", 2)?);
    for long in [shape(520, 9, 7), shape(1300, 3, 2), shape(1030, 3, 2), shape(2100, 3, 2)] {
        recordings.extend(record(&[&BackwardWeight { shape: long }], &[Layout::WHOLE])?);
    }
    Ok(recordings)
}

/// Recordings that launch a kernel of a name that begins with `kernel`, with the partial sums,
/// which the kernel gets behind argument `at`, where that argument is.
fn without_addend(
    recordings: &[Recording],
    kernel: &str,
    at: usize,
) -> Result<Vec<Recording>, String> {
    let is = |launch: &Launch| launch.entry.name.starts_with(kernel);
    let change = |launch: &mut Launch| {
        if is(launch) {
            launch.args[at + 1] = launch.args[at];
        }
    };
    let recordings = recordings.iter().filter(|recording| recording.launches().any(is));
    recordings.map(|recording| recording.altered(&change)).collect()
}

pub fn loss() -> Calls {
    use linear_cross_entropy::{ALL, Loss, Wanted};
    let mut recordings = Vec::new();
    for wanted in ALL {
        let loss = |rows, width, vocab| Loss { rows, width, vocab, wanted, differences: false };
        recordings.extend(record_each_shifted(&[&loss(33, 72, 130)])?);
        recordings.extend(record(&[&loss(5, 33, 97), &loss(65, 128, 48)], &LAYOUTS)?);
        recordings.extend(record(
            &[&loss(32, 64, 64), &loss(3, 7, 16), &loss(18, 100, 33), &loss(64, 96, 65)],
            &[Layout::WHOLE],
        )?);
        let beyond = Changed {
            case: &loss(6, 20, 19),
            argument: "targets",
            elements: &[(0, 19.0), (1, 18.0), (3, 1000.0), (4, 0.0)],
        };
        let first: Vec<(usize, f64)> = (0..12).map(|row| (row, 0.0)).collect();
        let first = Changed { case: &loss(12, 24, 9), argument: "targets", elements: &first };
        recordings.extend(record(&[&first], &[Layout::WHOLE])?);
        for format in BOTH {
            recordings.push(Recording::refused(&beyond, format)?);
        }
    }
    // Every place of the last row and the last column in the parts of a tile that a thread or a
    // warp stores, as pairs or fours and one by one.
    for (extent, widths) in [
        (7, [5, 6, 125, 126]),
        (12, [9, 14, 127, 128]),
        (17, [17, 20, 113, 116]),
        (26, [27, 28, 97, 100]),
        (35, [35, 36, 89, 92]),
        (43, [43, 44, 79, 84]),
        (52, [51, 52, 75, 76]),
        (57, [57, 60, 67, 68]),
        (64, [7, 11, 13, 70]),
    ] {
        for width in widths {
            let case =
                |wanted| Loss { rows: extent, width, vocab: extent, wanted, differences: false };
            let (both, weight) = (case(Wanted::Both), case(Wanted::Weight));
            recordings.extend(record(&[&both], &[Layout::WHOLE])?);
            recordings.extend(record(&[&weight], &[Layout::shifted_at(5)])?);
        }
    }
    for (wanted, (rows, width, vocab)) in [
        (Wanted::Nothing, (3, 130, 40)),
        (Wanted::Hidden, (33, 264, 33)),
        (Wanted::Both, (20, 131, 70)),
        (Wanted::Both, (17, 257, 18)),
        (Wanted::Both, (64, 256, 64)),
    ] {
        let case = Loss { rows, width, vocab, wanted, differences: false };
        for recording in record(&[&case], &LAYOUTS)? {
            recordings.push(recording.altered(&in_slices(width))?);
        }
    }
    recordings.extend(without_addend(&recordings, "linear_cross_entropy_weight_", 4)?);
    for entry in kernels::ENTRY_POINTS.iter().filter(|entry| entry.name.contains("combine")) {
        for cuts in [0, 1, 2, 3, 4, 5, 8, 11] {
            for peak in 0..cuts.max(1) {
                recordings.push(combine(entry, cuts, peak)?);
            }
        }
    }
    Ok(recordings)
}

/// The pass that adds the cuts up alone: vocabularies that are cut so often take long.
fn combine(entry: &'static EntryPoint, cuts: usize, peak: usize) -> Result<Recording, String> {
    let (rows, width, vocab) = (5, 40, 7);
    let weight = normals(3, vocab * width);
    let weight = match entry.name.ends_with("bf16") {
        true => Data::BF16(weight.iter().map(|&x| ltm_engine::bf16::from_f32(x)).collect()),
        false => Data::F32(weight),
    };
    let output = |len| match weight {
        Data::BF16(_) => Data::BF16(vec![ltm_engine::bf16::NAN; len]),
        _ => Data::F32(vec![f32::NAN; len]),
    };
    let mut statistics: Vec<f32> = normals(1, cuts * rows * 3).iter().map(|x| x.abs()).collect();
    // The largest logit of every row is in the cut `peak`.
    statistics.iter_mut().skip(peak * rows * 3).take(rows * 3).step_by(3).for_each(|x| *x += 9.0);
    let buffers = [
        Data::F32(statistics),
        Data::F32(normals(2, cuts * rows * width)),
        weight.clone(),
        Data::I32(vec![0, 6, -1, 7, 3]),
        Data::F32(vec![f32::NAN; rows]),
        Data::F32(vec![f32::NAN; rows]),
        output(rows * width),
        // Where a target beyond the vocabulary is reported: none yet.
        Data::F64(vec![0.0]),
    ];
    let arguments = |at: &[u64]| {
        let mut arguments: Vec<Arg> = at.iter().map(|&at| Arg::Pointer(at)).collect();
        arguments.push(Arg::F32(0.37));
        arguments.extend([rows, width, vocab, cuts].map(|n| Arg::U32(n as u32)));
        arguments
    };
    Recording::launch(entry, [2, 1, 1], [128, 1, 1], &buffers, &arguments)
}

/// The two passes by the kernels that hold 128 columns at a time, at any width.
fn in_slices(width: usize) -> impl Fn(&mut Launch) {
    move |launch| {
        let passes = ["hidden", "weight"].map(|pass| format!("linear_cross_entropy_{pass}_"));
        let Some(pass) = passes.iter().find(|pass| launch.entry.name.starts_with(*pass)) else {
            return;
        };
        let storage = if launch.entry.name.ends_with("f32") { "f32" } else { "bf16" };
        let name = format!("{pass}128_{storage}");
        if let Some(entry) = kernels::ENTRY_POINTS.iter().find(|entry| entry.name == name) {
            launch.entry = entry;
        }
        launch.grid[1] = width.div_ceil(128) as u32;
    }
}
