//! A value of which nobody wants a gradient costs nothing.

use ltm_autograd::Segment;

use crate::decoder::Decoder;
use crate::{bits, device};

/// With frozen weights the backward pass is the shortest path from the loss to the latents:
/// no weight gradient, and nothing below the latents' attention.
#[test]
fn frozen_weights_emit_no_gradient_steps() {
    let decoder = Decoder::new(&mut device(), false);
    let operations: Vec<_> = decoder.program.operations().collect();
    let loss = operations.iter().position(|name| *name == "linear_cross_entropy").unwrap();
    assert_eq!(
        operations[loss + 1..],
        [
            "rms_norm_backward",
            "linear_swiglu_backward",
            "linear_rms_norm_backward",
            "latent_block_backward",
            "linear_backward_input",
        ]
    );
}

#[test]
fn trained_weights_emit_one_gradient_step_each() {
    let decoder = Decoder::new(&mut device(), true);
    let count = |name| decoder.program.operations().filter(|n| *n == name).count();
    assert_eq!(count("linear_backward_weight"), 7);
    assert_eq!(count("rms_norm_backward"), 4);
    assert_eq!(count("embedding_backward"), 1);
}

/// Freezing the weights changes which gradients there are, not what they are.
#[test]
fn the_latents_get_the_same_gradient_from_frozen_weights() {
    let mut device = device();
    let gradients = [false, true].map(|trained| {
        let mut decoder = Decoder::new(&mut device, trained);
        decoder.program.place_alone(&mut device).unwrap();
        decoder.program.run(Segment::All, &mut device).unwrap();
        let gradient = decoder.leaves.last().unwrap().gradient.clone().unwrap();
        bits(&mut device, &gradient).into_iter().map(f32::from_bits).collect::<Vec<_>>()
    });
    // Two algorithms serve the loss with and without the weight gradient.
    for (a, b) in gradients[0].iter().zip(&gradients[1]) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
}
