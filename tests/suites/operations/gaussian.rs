//! The posterior: its draw, its KL and its gradients.

use ltm_engine::ops::{GaussianKl, GaussianShape as Shape};
use ltm_tests::cases::gaussian::{Backward, Kl, Reparameterise};
use ltm_tests::{refuses, verify};

/// One and several samples and layers, of one number to more than a thousand.
pub fn shapes() -> impl Iterator<Item = Shape> {
    [(1, 1), (1, 3), (4, 1), (7, 2), (3, 5)].into_iter().flat_map(|(samples, layers)| {
        [1, 6, 130, 1003].map(|per_layer| Shape { samples, layers, per_layer })
    })
}

#[test]
fn draws_are_correct() {
    verify(shapes().map(|shape| Reparameterise { shape }));
}

#[test]
fn kl_is_correct() {
    verify(shapes().map(|shape| Kl { shape }));
}

#[test]
fn gradients_are_correct() {
    verify(shapes().map(|shape| Backward { shape }));
}

/// At the prior itself the KL is zero, and near it its terms cancel.
#[test]
fn kl_near_the_prior_keeps_its_digits() {
    use ltm_engine::{DType, Device, DeviceExt, Ops};
    let mut device = ltm_tests::device(1);
    let shape = Shape { samples: 2, layers: 1, per_layer: 2 };
    let mu = device.alloc_from(&[0.0f32, 0.0, 1e-4, 0.0]).unwrap();
    let logvar = device.alloc_from(&[0.0f32, 0.0, 0.0, 1e-3]).unwrap();
    let kl = device.alloc(DType::F64, 2).unwrap();
    device.gaussian_kl(&GaussianKl { mu: &mu, logvar: &logvar, kl: &kl, shape }).unwrap();
    let kl = device.read::<f64>(&kl).unwrap();
    // e^x - x - 1 = x^2 / 2 + x^3 / 6 + ...
    let exact = 0.5 * (1e-8 + 5e-7 + 1e-9 / 6.0);
    assert_eq!(kl[0], 0.0);
    assert!((kl[1] - exact).abs() < 1e-6 * exact, "{} and {exact}", kl[1]);
}

/// A sample without latents is the prior: its KL is zero.
#[test]
fn no_latents_have_no_kl() {
    for shape in [
        Shape { samples: 0, layers: 2, per_layer: 3 },
        Shape { samples: 2, layers: 0, per_layer: 3 },
        Shape { samples: 2, layers: 2, per_layer: 0 },
    ] {
        use ltm_engine::{DeviceExt, Ops};
        let mut device = ltm_tests::device(1);
        let none = device.alloc_from::<f32>(&[]).unwrap();
        let kl = device.alloc_from(&vec![f64::NAN; shape.samples]).unwrap();
        device.gaussian_kl(&GaussianKl { mu: &none, logvar: &none, kl: &kl, shape }).unwrap();
        assert_eq!(device.read::<f64>(&kl).unwrap(), vec![0.0; shape.samples]);
    }
}

#[test]
fn malformed_calls_are_refused() {
    let shape = Shape { samples: 2, layers: 2, per_layer: 3 };
    refuses(&Reparameterise { shape });
    refuses(&Kl { shape });
    refuses(&Backward { shape });
}
