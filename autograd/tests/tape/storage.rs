//! Types of values on a tape whose storage is bf16. The reference backend refuses to compute on
//! them, so they are looked at before anything runs.

use ltm_autograd::ops::{LinearArgs, LinearCrossEntropyArgs};
use ltm_autograd::{Error, Program, Segment, Tape, Var};
use ltm_engine::{DType, Device};

use crate::device;

const ROWS: usize = 4;
const WIDTH: usize = 32;

struct Recorded {
    program: Program,
    /// Externals with the type that each must have.
    external: Vec<(Var, usize, DType)>,
}

/// A norm, a linear map and a loss.
fn record(storage: DType) -> Recorded {
    let mut tape = Tape::with_storage(storage);
    assert_eq!(tape.storage(), storage);
    let x = tape.constant(storage, ROWS * WIDTH);
    let (gain, d_gain) = tape.parameter(WIDTH);
    let (weight, d_weight) = tape.parameter(WIDTH * WIDTH);
    let n = tape.rms_norm(x, gain, 1e-5).unwrap();
    let args = LinearArgs { x: n, weight, residual: Some(x), inner: WIDTH, outer: WIDTH };
    let hidden = tape.linear(args).unwrap();
    let targets = tape.constant(DType::I32, ROWS);
    let [token_nll, logsumexp] = [0; 2].map(|_| tape.constant(DType::F32, ROWS));
    tape.linear_cross_entropy(LinearCrossEntropyArgs {
        hidden,
        weight,
        targets,
        token_nll,
        logsumexp,
        scale: 1.0,
        vocab: WIDTH,
    })
    .unwrap();
    let external = vec![
        (x, ROWS * WIDTH, storage),
        (gain, WIDTH, storage),
        (weight, WIDTH * WIDTH, storage),
        (d_gain, WIDTH, DType::F32),
        (d_weight, WIDTH * WIDTH, DType::F32),
        (targets, ROWS, DType::I32),
        (token_nll, ROWS, DType::F32),
        (logsumexp, ROWS, DType::F32),
    ];
    Recorded { program: tape.finish().unwrap(), external }
}

#[test]
fn weights_are_stored_and_their_gradients_are_f32() {
    let mut device = device();
    for storage in [DType::F32, DType::BF16] {
        let Recorded { mut program, external } = record(storage);
        for (var, len, dtype) in external {
            let other = if dtype == DType::F32 { DType::BF16 } else { DType::F32 };
            let wrong = device.alloc(other, len).unwrap();
            assert!(matches!(program.bind(var, &wrong), Err(Error::Binding { .. })));
            program.bind(var, &device.alloc(dtype, len).unwrap()).unwrap();
        }
        program.place_alone(&mut device).unwrap();
        match storage {
            DType::F32 => program.run(Segment::All, &mut device).unwrap(),
            _ => {
                let refusal = program.run(Segment::All, &mut device);
                assert!(matches!(refusal, Err(Error::Device(ltm_engine::Error::Storage { .. }))));
            }
        }
    }
}

/// Results halve; the inverse roots of the norm stay as they are.
#[test]
fn the_arena_knows_the_bytes_of_a_number() {
    let [wide, narrow] = [DType::F32, DType::BF16].map(|t| record(t).program.arena_bytes());
    let results = wide - 64;
    assert_eq!(narrow, results / 2 + 64);
}
