//! Gaussian noise from Philox4x32-10.

use ltm_engine::philox::{Stream, philox4x32_10};
use ltm_engine::{DType, Device, DeviceExt};
use ltm_tests::cases::normal::{Noise, PLAIN, SEED};
use ltm_tests::numbers::integers;
use ltm_tests::{Case, device, refuses, verify};

#[test]
fn the_generator_agrees_with_another_implementation() {
    let words = integers(1, 6 * 500, i32::MAX as usize);
    for w in words.as_chunks::<6>().0 {
        let w = w.map(|w| (w as u32).wrapping_mul(0x9E37_79B1));
        let (counter, key) = ([w[0], w[1], w[2], w[3]], [w[4], w[5]]);
        assert_eq!(philox4x32_10(counter, key), rand_philox::philox4x32_10(counter, key));
    }
}

#[test]
fn noise_is_correct() {
    let mut cases = Vec::new();
    for samples in [0, 1, 3] {
        for per_sample in [0, 1, 2, 3, 6, 130, 4096, 4099, 9001] {
            cases.push(Noise { samples, per_sample, ..PLAIN });
        }
    }
    cases.push(Noise { mean: -5.0, std: 0.1, per_sample: 33, ..PLAIN });
    // The number of the sample wraps around, as the counter does.
    cases.push(Noise { first_sample: u32::MAX, iteration: u32::MAX, ..PLAIN });
    verify(cases);
}

fn draw(case: Noise) -> Vec<f32> {
    let mut device = device(2);
    let out = device.alloc(DType::F32, case.samples * case.per_sample).unwrap();
    case.call(&mut device, std::slice::from_ref(&out)).unwrap();
    device.read(&out).unwrap()
}

/// However a batch is cut, a sequence draws the same numbers.
#[test]
fn a_split_batch_draws_what_the_whole_one_draws() {
    let whole = draw(Noise { samples: 12, per_sample: 131, ..PLAIN });
    for cut in [1, 2, 3, 4, 6] {
        let parts = (0..12 / cut).flat_map(|part| {
            let first_sample = PLAIN.first_sample + (part * cut) as u32;
            draw(Noise { samples: cut, per_sample: 131, first_sample, ..PLAIN })
        });
        assert!(parts.eq(whole.iter().copied()), "in parts of {cut}");
    }
}

/// Four moments of a million numbers, each within five of its standard deviations.
#[test]
fn moments_are_those_of_the_normal_distribution() {
    let numbers = draw(Noise { samples: 8, per_sample: 125_000, ..PLAIN });
    let n = numbers.len() as f64;
    let moment = |power: i32| numbers.iter().map(|&x| (x as f64).powi(power)).sum::<f64>() / n;
    // The variance of x^k is E x^2k - (E x^k)^2, with E x^2k = 1, 3, 15, 105.
    for (power, mean, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let found = moment(power);
        let allowed = 5.0 * f64::sqrt(variance / n);
        assert!((found - mean).abs() < allowed, "moment {power} is {found}, +-{allowed}");
    }
}

/// Seed, site, iteration and sample each name another stream, which share no number in order
/// and are uncorrelated.
#[test]
fn streams_are_independent() {
    let one = Noise { samples: 1, per_sample: 20_000, ..PLAIN };
    let streams = [
        one,
        Noise { site: one.site + 1, ..one },
        Noise { iteration: one.iteration + 1, ..one },
        Noise { first_sample: one.first_sample + 1, ..one },
    ]
    .map(draw);
    for (i, a) in streams.iter().enumerate() {
        for b in &streams[..i] {
            let n = a.len() as f64;
            let product: f64 = a.iter().zip(b).map(|(a, b)| (a * b) as f64).sum();
            assert!((product / n).abs() < 5.0 / n.sqrt(), "correlation {}", product / n);
        }
    }
}

#[test]
fn uniforms_fill_the_unit_interval() {
    let stream = Stream { seed: SEED, site: 1, sample: 2, iteration: 3 };
    let mut bins = [0.0; 64];
    let n = 64_000;
    for block in 0..n {
        let uniform = stream.uniform(block);
        assert!((0.0..1.0).contains(&uniform));
        bins[(uniform * 64.0) as usize] += 1.0;
    }
    let expected = n as f64 / 64.0;
    let chi_square: f64 = bins.iter().map(|b| (b - expected).powi(2) / expected).sum();
    // 63 degrees of freedom: mean 63, deviation 11.2.
    assert!((20.0..120.0).contains(&chi_square), "chi-square {chi_square}");
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&PLAIN);
}
