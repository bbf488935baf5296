//! The posterior of the latents, and the noise it is drawn with.

use ltm_engine::ops::GaussianShape as Shape;
use ltm_tests::Kernels;
use ltm_tests::cases::gaussian::{Backward, Kl, Reparameterise};
use ltm_tests::cases::gaussian_update::Update;
use ltm_tests::cases::normal::{Noise, PLAIN};
use ltm_tests::cases::trace::Record;

use crate::{APPROXIMATE, TOLERANCE};

/// One and several samples and layers, of one number to more than a block of threads.
const SHAPES: [Shape; 7] = [
    Shape { samples: 1, layers: 1, per_layer: 1 },
    Shape { samples: 1, layers: 3, per_layer: 64 },
    Shape { samples: 3, layers: 2, per_layer: 97 },
    Shape { samples: 129, layers: 1, per_layer: 6 },
    Shape { samples: 2, layers: 5, per_layer: 1003 },
    Shape { samples: 4, layers: 2, per_layer: 4096 },
    Shape { samples: 0, layers: 2, per_layer: 8 },
];

#[test]
fn draws_and_divergences() {
    let mut kernels = Kernels::new(TOLERANCE);
    for shape in SHAPES {
        kernels.check_both(&Reparameterise { shape });
        kernels.check_both(&Kl { shape });
        kernels.check_both(&Backward { shape });
    }
    for shape in [SHAPES[1], SHAPES[2]] {
        kernels.check_shifted(&Reparameterise { shape });
        kernels.check_shifted(&Kl { shape });
        kernels.check_shifted(&Backward { shape });
    }
    kernels.finish();
}

/// A sample without latents is the prior: its divergence is zero.
#[test]
fn no_latents() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (layers, per_layer) in [(0, 3), (2, 0)] {
        let shape = Shape { samples: 2, layers, per_layer };
        kernels.check_both(&Update { shape, number: 3 });
        kernels.check_both(&Backward { shape });
    }
    kernels.finish();
}

#[test]
fn updates() {
    let mut kernels = Kernels::new(TOLERANCE);
    for (i, shape) in SHAPES.into_iter().enumerate() {
        kernels.check_both(&Update { shape, number: [1, 2, 16, u64::MAX][i % 4] });
    }
    kernels.check_shifted(&Update { shape: SHAPES[1], number: 2 });
    kernels.check_shifted(&Update { shape: SHAPES[2], number: 2 });
    kernels.finish();
}

/// Sums of f64 in the order of the tokens: the bits of the CPU.
#[test]
fn traces() {
    let mut kernels = Kernels::new(0.0);
    for (samples, seq, rows) in
        [(1, 1, 1), (3, 7, 1), (2, 1030, 4), (65, 3, 17), (0, 5, 3), (2, 0, 2)]
    {
        kernels.check_both(&Record { samples, seq, rows });
    }
    kernels.check_shifted(&Record { samples: 3, seq: 130, rows: 5 });
    kernels.finish();
}

#[test]
fn noise() {
    let mut kernels = Kernels::new(APPROXIMATE);
    for (samples, per_sample) in
        [(0, 8), (1, 0), (1, 1), (3, 2), (1, 3), (3, 6), (2, 130), (129, 5), (1, 4099), (3, 4096)]
    {
        kernels.check_both(&Noise { samples, per_sample, ..PLAIN });
    }
    kernels.check_shifted(&Noise { per_sample: 67, ..PLAIN });
    kernels.check_both(&Noise { mean: -5.0, std: 0.1, per_sample: 33, ..PLAIN });
    // The number of the sample wraps around, as the counter does.
    kernels.check_both(&Noise { first_sample: u32::MAX, iteration: u32::MAX, ..PLAIN });
    kernels.finish();
}
