//! Gradients of whole programs against central differences.

use ltm_autograd::Segment;
use ltm_engine::DeviceExt;

use crate::decoder::Decoder;
use crate::{device, normals};

/// Step along a direction of unit deviation. The loss is summed in f64 from f32 terms good to
/// 1e-6, so the slope is good to 1e-6 / STEP; the third derivative adds STEP^2.
const STEP: f32 = 2e-3;
const TOLERANCE: f64 = 5e-3;

#[test]
fn every_gradient_of_a_decoder_is_the_slope_of_its_loss() {
    let mut device = device();
    let mut decoder = Decoder::new(&mut device, true);
    decoder.program.place_alone(&mut device).unwrap();
    decoder.program.run(Segment::All, &mut device).unwrap();
    for (i, leaf) in decoder.leaves.iter().enumerate() {
        let gradient = device.read::<f32>(leaf.gradient.as_ref().unwrap()).unwrap();
        let size = gradient.iter().map(|&g| (g as f64).powi(2)).sum::<f64>().sqrt();
        assert!(size > 1e-3, "leaf {i} has a gradient");
        let direction = normals(31 + i as u64, gradient.len());
        let mut slope = 0.0;
        for step in [STEP, -STEP] {
            let moved: Vec<f32> =
                leaf.numbers.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            device.upload(&leaf.value, &moved).unwrap();
            slope += decoder.loss(&mut device) / (2.0 * step as f64);
        }
        device.upload(&leaf.value, &leaf.numbers).unwrap();
        let claimed: f64 = gradient.iter().zip(&direction).map(|(g, d)| (g * d) as f64).sum();
        let error = (slope - claimed).abs() / size;
        assert!(error < TOLERANCE, "leaf {i}: slope {slope}, claimed {claimed}, norm {size}");
    }
}
