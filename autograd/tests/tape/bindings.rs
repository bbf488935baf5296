//! What the tape and the program turn down.

use ltm_autograd::ops::{FeedForwardArgs, LinearArgs, LinearCrossEntropyArgs};
use ltm_autograd::{Error, GradientMode, Segment, Tape, Var};
use ltm_engine::DType;
use ltm_engine::Device;

use crate::{bind, device};

fn args(x: Var, weight: Var) -> LinearArgs {
    LinearArgs { x, weight, residual: None, inner: 4, outer: 3 }
}

/// `x` `[2, 4]` through a `[3, 4]` matrix; x and the matrix are external.
fn small() -> (Tape, Var, Var, Var) {
    let mut tape = Tape::new();
    let (x, weight) = (tape.constant(DType::F32, 8), tape.constant(DType::F32, 12));
    let y = tape.linear(args(x, weight)).unwrap();
    (tape, x, weight, y)
}

#[test]
fn a_value_without_memory_is_named() {
    let mut device = device();
    let (tape, x, weight, y) = small();
    let mut program = tape.finish().unwrap();
    assert!(matches!(program.run(Segment::All, &mut device), Err(Error::Unbound { .. })));
    bind(&mut device, &mut program, x, &[1.0; 8]);
    assert!(matches!(program.run(Segment::All, &mut device), Err(Error::Unbound { .. })));
    bind(&mut device, &mut program, weight, &[1.0; 12]);
    let result = program.run(Segment::All, &mut device);
    assert!(matches!(result, Err(Error::Unbound { .. })), "the arena is missing");
    assert!(matches!(program.buffer(y), Err(Error::Unbound { .. })));
    program.place_alone(&mut device).unwrap();
    program.run(Segment::All, &mut device).unwrap();
    assert_eq!(program.buffer(y).unwrap().len(), 6);
}

#[test]
fn buffers_must_match_their_values() {
    let mut device = device();
    let (tape, x, _, y) = small();
    let mut program = tape.finish().unwrap();
    let short = device.alloc(DType::F32, 7).unwrap();
    assert!(matches!(program.bind(x, &short), Err(Error::Binding { .. })));
    let integers = device.alloc(DType::I32, 8).unwrap();
    assert!(matches!(program.bind(x, &integers), Err(Error::Binding { .. })));
    let result = device.alloc(DType::F32, 6).unwrap();
    assert!(matches!(program.bind(y, &result), Err(Error::NotExternal { .. })));
    let arena = device.alloc(DType::F32, 5).unwrap();
    assert!(matches!(program.place(&arena), Err(Error::Extent { .. })));
}

#[test]
fn extents_are_checked_when_recorded() {
    let mut tape = Tape::new();
    let [seven, eight, twelve, sixteen] = [7, 8, 12, 16].map(|n| tape.constant(DType::F32, n));
    let extent = |result| matches!(result, Err(Error::Extent { .. }));
    assert!(extent(tape.linear(args(seven, twelve))), "x is no whole number of rows");
    assert!(extent(tape.linear(args(eight, eight))), "the matrix is too small");
    let residual = Some(seven);
    assert!(extent(tape.linear(LinearArgs { residual, ..args(eight, twelve) })));
    assert!(extent(tape.rms_norm(seven, eight, 1e-5)));
    let gated = FeedForwardArgs {
        x: eight,
        gate_up: sixteen,
        down: eight,
        residual: None,
        inner: 4,
        width: 2,
        outer: 4,
    };
    assert!(tape.feed_forward(gated).is_ok());
    assert!(extent(tape.feed_forward(FeedForwardArgs { x: seven, ..gated })));
    assert!(extent(tape.feed_forward(FeedForwardArgs { gate_up: eight, ..gated })));
    assert!(extent(tape.feed_forward(FeedForwardArgs { down: seven, ..gated })));
    assert!(extent(tape.feed_forward(FeedForwardArgs { residual, ..gated })));
    let tokens = tape.constant(DType::I32, 3);
    assert!(extent(tape.embedding(seven, tokens, tokens, 4)));
    assert!(extent(tape.embedding(eight, tokens, seven, 4)), "one entry of the order per token");
}

/// Gradients of weights are sums over rows; a mode that would drop what is there is refused.
#[test]
fn weights_must_add_their_gradients() {
    let mut tape = Tape::new();
    let x = tape.constant(DType::F32, 8);
    let (weight, _) = tape.variable(12, GradientMode::Overwrite);
    let y = tape.linear(args(x, weight)).unwrap();
    tape.seed(y);
    assert!(matches!(tape.finish(), Err(Error::Mode { .. })));
}

/// A weight that is itself a result has no buffer to add into: its gradient would be lost.
#[test]
fn a_result_with_a_gradient_is_no_weight() {
    let mut tape = Tape::new();
    let x = tape.constant(DType::F32, 8);
    let (inner, _) = tape.variable(12, GradientMode::Add);
    let matrix = tape.constant(DType::F32, 16);
    let square = LinearArgs { x: inner, weight: matrix, residual: None, inner: 4, outer: 4 };
    let weight = tape.linear(square).unwrap();
    let y = tape.linear(args(x, weight)).unwrap();
    tape.seed(y);
    assert!(matches!(tape.finish(), Err(Error::Mode { .. })));

    let mut tape = Tape::new();
    let hidden = tape.constant(DType::F32, 8);
    let (inner, _) = tape.variable(12, GradientMode::Add);
    let matrix = tape.constant(DType::F32, 16);
    let weight = tape.linear(LinearArgs { x: inner, weight: matrix, ..square }).unwrap();
    let targets = tape.constant(DType::I32, 2);
    let [token_nll, logsumexp] = [0; 2].map(|_| tape.constant(DType::F32, 2));
    let loss = LinearCrossEntropyArgs {
        hidden,
        weight,
        targets,
        token_nll,
        logsumexp,
        scale: 1.0,
        vocab: 3,
    };
    assert!(matches!(tape.linear_cross_entropy(loss), Err(Error::Mode { .. })));
}

/// The device refuses while a program runs: its error comes through.
#[test]
fn errors_of_the_device_come_through() {
    let mut device = device();
    let (tape, x, weight, _) = small();
    let mut program = tape.finish().unwrap();
    bind(&mut device, &mut program, x, &[1.0; 8]);
    bind(&mut device, &mut program, weight, &[1.0; 12]);
    let foreign = crate::device().alloc(DType::F32, program.arena_bytes() / 4).unwrap();
    program.place(&foreign).unwrap();
    let result = program.run(Segment::All, &mut device);
    assert!(matches!(result, Err(Error::Device(ltm_engine::Error::Foreign { .. }))));
}
