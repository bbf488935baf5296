//! Calls of the matrix products.

use ltm_ptx::launch::{Arg, linear_cross_entropy as kernels};
use ltm_tests::cases::{linear, linear_cross_entropy};
use ltm_tests::mutation::Recording;
use ltm_tests::numbers::normals;
use ltm_tests::{Case, Data, Layout};

use super::{Calls, LAYOUTS, record, record_each_shifted};
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
    for extent in 33..=64 {
        let other = 33 + extent / 8 % 4;
        let one = |rows, outer| Forward { shape: shape(rows, 8, outer), residual: true };
        let back = |rows, inner| BackwardInput { shape: shape(rows, inner, 8), accumulate: true };
        let weight = |inner, outer| BackwardWeight { shape: shape(9, inner, outer) };
        recordings.extend(record(
            &[&one(extent, other), &back(extent, other), &weight(other, extent)],
            &[Layout::WHOLE],
        )?);
        let cases: [&dyn Case; 3] = [&one(extent, 40), &back(extent, 40), &weight(40, extent)];
        for (case, output) in cases.into_iter().zip([3, 2, 2]) {
            recordings.extend(record(&[case], &[Layout::WHOLE, Layout::shifted_at(output)])?);
        }
    }
    for rows in 1..=8 {
        let cases: [&dyn Case; 2] = [
            &Forward { shape: shape(rows, 130, 7), residual: true },
            &Forward { shape: shape(rows, 256 + 8 * rows, 9), residual: rows % 2 == 0 },
        ];
        recordings.extend(record(&cases, &LAYOUTS)?);
    }
    recordings.extend(record_each_shifted(&[
        &Forward { shape: shape(3, 64, 4), residual: true },
        &Forward { shape: shape(8, 600, 5), residual: false },
    ])?);
    Ok(recordings)
}

pub fn loss() -> Calls {
    use linear_cross_entropy::{ALL, Loss};
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
        recordings.extend(record(&[&beyond], &[Layout::WHOLE])?);
    }
    for entry in kernels::ENTRY_POINTS.iter().filter(|entry| entry.name.contains("combine")) {
        for cuts in [1, 2, 3, 4, 5, 8, 11] {
            recordings.push(combine(entry, cuts)?);
        }
    }
    Ok(recordings)
}

/// The pass that adds the cuts up alone: vocabularies that are cut so often take long.
fn combine(entry: &'static ltm_ptx::launch::EntryPoint, cuts: usize) -> Result<Recording, String> {
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
    let statistics = normals(1, cuts * rows * 3).iter().map(|x| x.abs()).collect();
    let buffers = [
        Data::F32(statistics),
        Data::F32(normals(2, cuts * rows * width)),
        weight.clone(),
        Data::I32(vec![0, 6, -1, 7, 3]),
        Data::F32(vec![f32::NAN; rows]),
        Data::F32(vec![f32::NAN; rows]),
        output(rows * width),
    ];
    let arguments = |at: &[u64]| {
        let mut arguments: Vec<Arg> = at.iter().map(|&at| Arg::Pointer(at)).collect();
        arguments.push(Arg::F32(0.37));
        arguments.extend([rows, width, vocab, cuts].map(|n| Arg::U32(n as u32)));
        arguments
    };
    Recording::launch(entry, [2, 1, 1], [128, 1, 1], &buffers, &arguments)
}
