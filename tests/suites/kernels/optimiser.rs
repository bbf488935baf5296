//! AdamW and the global norm.

use ltm_tests::cases::adamw::{Norm, Step};
use ltm_tests::{Format, Kernels, Layout, run, virtual_gpu};

use crate::TOLERANCE;

#[test]
fn steps() {
    let mut kernels = Kernels::new(TOLERANCE);
    let segments: [&[usize]; 8] = [
        &[1],
        &[7, 96],
        &[1024, 1, 1025],
        &[0, 5, 0, 3],
        &[257, 130, 4000],
        &[64; 40],
        &[3; 129],
        // Segments that begin and end between the four elements of a thread.
        &[1, 2, 1021, 5, 1, 1, 1030],
    ];
    let ways = [(1, None), (2, Some(0.013)), (1000, Some(1.0)), (u64::MAX, None)];
    for (i, segments) in segments.into_iter().enumerate() {
        for (number, clip) in [ways[i % 4], ways[(i + 1) % 4]] {
            kernels.check_both(&Step { segments: segments.to_vec(), number, clip });
        }
    }
    kernels.check_shifted(&Step { segments: vec![64, 7, 130], number: 3, clip: Some(0.5) });
    kernels.finish();
}

#[test]
fn gradients_that_are_not_finite_change_nothing() {
    let case = Step { segments: vec![1500, 130], number: 2, clip: Some(0.5) };
    let mut gpu = virtual_gpu(1);
    for norm in [f64::NAN, f64::INFINITY] {
        for format in [Format::F32, Format::BF16] {
            let args = case.args_of_norm(norm, format);
            let contents = run(&case, &args, &mut gpu, Layout::WHOLE).unwrap();
            for (arg, bytes) in args.iter().zip(&contents) {
                assert!(*bytes == arg.data.bytes(), "{} of norm {norm} changed", arg.name);
            }
        }
    }
}

#[test]
fn norms() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (i, len) in [0, 1, 7, 64, 257, 4096, 16_385, 70_001].into_iter().enumerate() {
        for limit in [[0.0, 0.5], [1e9, 0.5]][i % 2] {
            kernels.check_both(&Norm { len, limit });
        }
    }
    kernels.check_shifted(&Norm { len: 1000, limit: 1.0 });
    kernels.finish();
}
