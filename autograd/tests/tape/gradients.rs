//! Gradients of whole programs against central differences.

use ltm_autograd::Segment;

use crate::decoder::Decoder;
use crate::device;
use crate::leaves::assert_slopes;

#[test]
fn every_gradient_of_a_decoder_is_the_slope_of_its_loss() {
    let mut device = device();
    let mut decoder = Decoder::new(&mut device, true);
    decoder.program.place_alone(&mut device).unwrap();
    decoder.program.run(Segment::All, &mut device).unwrap();
    assert!(decoder.leaves.iter().all(|leaf| leaf.gradient.is_some()));
    assert_slopes(&mut device, &decoder.leaves, |device| decoder.loss(device));
}
