//! AdamW and the global-norm clip.

use ltm_engine::ops::{AdamW, AdamWSegment, AdamWStep, GlobalNorm};
use ltm_engine::{DType, Device, DeviceExt, Ops};
use ltm_tests::cases::adamw::{Norm, Step};
use ltm_tests::numbers::{gaussians, normals, widen};
use ltm_tests::reference::adamw::{State, global_norm};
use ltm_tests::{Case, Format, Layout, refuses, refuses_value, run, verify};

#[test]
fn steps_are_correct() {
    let segments: [&[usize]; 5] =
        [&[1], &[7, 96], &[16_384, 1, 16_385], &[0, 5, 0, 3], &[257, 130, 40_000]];
    verify(segments.into_iter().flat_map(|segments| {
        [(1, None), (2, Some(0.013)), (1000, Some(1.0)), (u64::MAX, None)]
            .map(|(number, clip)| Step { segments: segments.to_vec(), number, clip })
    }));
}

#[test]
fn norms_and_clip_factors_are_correct() {
    let lens = [0, 1, 7, 257, 16_384, 16_385, 100_003];
    verify(lens.into_iter().flat_map(|len| [0.0, 0.5, 1e9].map(|limit| Norm { len, limit })));
}

/// Ten steps with clipping, moments carried along, against f64.
#[test]
fn ten_steps_follow_the_reference() {
    let (n, limit) = (1003, 1.0);
    let constants = |number| AdamWStep {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
        number,
    };
    let mut device = ltm_tests::device(2);
    let start = normals(1, n);
    let params = device.alloc_from(&start).unwrap();
    let [gradients, first, second] = [0; 3].map(|_| device.alloc(DType::F32, n).expect("memory"));
    let clip = device.alloc(DType::F64, 2).unwrap();
    let step = device.alloc(DType::F32, 9).unwrap();
    let zeros = vec![0.0; n];
    let mut state = State { params: widen(&start), first: zeros.clone(), second: zeros };
    for number in 1..=10 {
        let g = gaussians(20 + number, n, 0.1, number as f32);
        device.upload(&gradients, &g).unwrap();
        device.upload(&step, &constants(number).constants().unwrap()).unwrap();
        device.global_norm(&GlobalNorm { gradients: &gradients, out: &clip, limit }).unwrap();
        device
            .adamw(&AdamW {
                params: &params,
                gradients: &gradients,
                first_moment: &first,
                second_moment: &second,
                copy: None,
                clip: Some(&clip),
                segments: &[AdamWSegment { offset: 0, len: n, decay: true }],
                step: &step,
            })
            .unwrap();
        let factor = global_norm(&widen(&g), limit)[1];
        let clipped: Vec<f64> = g.iter().map(|&g| g as f64 * factor).collect();
        state.step(&clipped, &constants(number), |_| true);
    }
    for (found, expected) in device.read::<f32>(&params).unwrap().iter().zip(&state.params) {
        assert!((*found as f64 - expected).abs() < 2e-6, "{found} and {expected}");
    }
}

#[test]
fn malformed_calls_are_refused() {
    let case = Step { segments: vec![3, 4], number: 2, clip: Some(0.5) };
    refuses(&case);
    for segments in [vec![], vec![3], vec![3, 5]] {
        refuses_value(&Step { segments, ..case.clone() }, &case.args(Format::F32));
    }
    let norm = Norm { len: 7, limit: 1.0 };
    refuses(&norm);
    for limit in [-1.0, f64::NAN] {
        refuses_value(&Norm { limit, ..norm }, &norm.args(Format::F32));
    }
}

/// One bad number among the gradients must not reach the parameters.
#[test]
fn gradients_that_are_not_finite_change_nothing() {
    let case = Step { segments: vec![257, 130], number: 2, clip: Some(0.5) };
    for norm in [f64::NAN, f64::INFINITY] {
        let args = case.args_of_norm(norm, Format::F32);
        let contents = run(&case, &args, &mut ltm_tests::device(2), Layout::GUARDED).unwrap();
        for (arg, bytes) in args.iter().zip(&contents) {
            assert!(*bytes == arg.data.bytes(), "{} of a step of norm {norm} changed", arg.name);
        }
    }
}

#[test]
fn there_is_no_step_zero() {
    let step = Step { segments: vec![], number: 0, clip: None }.constants();
    assert!(matches!(step.constants(), Err(ltm_engine::Error::Value { op: "adamw", .. })));
}

/// Ranges that overlap would be stepped twice, and gaps not at all.
#[test]
fn segments_must_follow_one_another() {
    let mut device = ltm_tests::device(1);
    let [params, gradients, first, second] = [0; 4].map(|_| device.alloc(DType::F32, 6).unwrap());
    let constants = Step { segments: vec![], number: 1, clip: None }.constants();
    let step = device.alloc_from(&constants.constants().unwrap()).unwrap();
    for offsets in [[0, 2], [0, 4], [3, 0]] {
        let segments = offsets.map(|offset| AdamWSegment { offset, len: 3, decay: true });
        let result = device.adamw(&AdamW {
            params: &params,
            gradients: &gradients,
            first_moment: &first,
            second_moment: &second,
            copy: None,
            clip: None,
            segments: &segments,
            step: &step,
        });
        assert!(matches!(result, Err(ltm_engine::Error::Value { .. })), "{offsets:?}");
    }
}
