//! Drawing tokens.

use ltm_engine::philox::Stream;
use ltm_engine::{DeviceExt, Error};
use ltm_tests::cases::sample::{Draw, PLAIN, STREAM};
use ltm_tests::numbers::widen;
use ltm_tests::reference::sample::distribution;
use ltm_tests::{Arg, Case, Data, Format, call_with, device, refuses, refuses_value, verify};

#[test]
fn draws_are_correct() {
    let mut cases = Vec::new();
    for (rows, vocab) in [(0, 97), (1, 1), (7, 97), (3, 1003), (2, 9000)] {
        for temperature in [0.0, 0.3, 1.0, 5.0] {
            for top_k in [0, 1, 5, 97, 100_000] {
                for top_p in [1e-9, 0.5, 0.95, 1.0] {
                    for position in [0, 1] {
                        let stream = STREAM;
                        let plain = Draw { rows, vocab, position, stream, ..PLAIN };
                        cases.push(Draw { temperature, top_k, top_p, ..plain });
                    }
                }
            }
        }
    }
    verify(cases);
}

/// The number of the sample wraps around, as for noise.
#[test]
fn the_last_sample_is_followed_by_the_first() {
    verify([Draw { stream: Stream { sample: u32::MAX, ..STREAM }, ..PLAIN }]);
}

/// Draws of many rows with the same logits.
fn many(logits: &[f32], case: Draw) -> Vec<i32> {
    let mut device = device(1);
    let case = Draw { vocab: logits.len(), ..case };
    let repeated = device.alloc_from(&logits.repeat(case.rows)).unwrap();
    let tokens = device.alloc_from(&vec![-1; case.rows]).unwrap();
    case.call(&mut device, &[repeated, tokens.clone()]).unwrap();
    device.read(&tokens).unwrap()
}

/// 40,000 draws against the distribution, cut in every way.
#[test]
fn frequencies_are_the_probabilities() {
    let logits = [0.5, -1.0, 2.0, 2.0, 0.0, 1.5, -3.0, 0.5, 1.0, -0.5];
    let plain = Draw { rows: 40_000, ..PLAIN };
    for case in [
        plain,
        Draw { temperature: 0.5, ..plain },
        Draw { temperature: 3.0, ..plain },
        Draw { top_k: 4, ..plain },
        Draw { top_p: 0.8, ..plain },
        Draw { temperature: 1.5, top_k: 7, top_p: 0.9, ..plain },
    ] {
        let mut counts = [0.0; 10];
        many(&logits, case).iter().for_each(|&token| counts[token as usize] += 1.0);
        let kept = distribution(&widen(&logits), case.cut());
        let mut chi_square = 0.0;
        for &(token, probability) in &kept {
            let expected = probability * case.rows as f64;
            chi_square += (counts[token] - expected).powi(2) / expected;
            counts[token] = 0.0;
        }
        assert_eq!(counts, [0.0; 10], "tokens that were cut are never drawn: {case}");
        // Mean and five deviations of chi-square with n - 1 degrees of freedom.
        let freedom = kept.len() as f64 - 1.0;
        let limit = freedom + 5.0 * (2.0 * freedom).sqrt();
        assert!(chi_square < limit, "chi-square {chi_square}, at most {limit}: {case}");
    }
}

#[test]
fn equal_logits_rank_by_token() {
    let greedy = Draw { temperature: 0.0, ..PLAIN };
    assert_eq!(many(&[1.0, 3.0, 3.0, 3.0], greedy), [1; 3]);
    assert_eq!(many(&[0.0, 0.0], greedy), [0; 3]);
    assert_eq!(many(&[-0.0, 0.0], greedy), [0; 3], "the zeros are equal");
    let first_two = Draw { rows: 200, top_k: 2, ..PLAIN };
    let tokens = many(&[2.0, 7.0, 7.0, 7.0, 7.0], first_two);
    assert!(tokens.contains(&1) && tokens.contains(&2));
    assert!(tokens.iter().all(|token| [1, 2].contains(token)));
}

/// Other positions and other rows draw other numbers; the same ones draw the same.
#[test]
fn draws_depend_on_position_and_row() {
    let flat = [0.0; 50];
    let case = Draw { rows: 20, ..PLAIN };
    let tokens = many(&flat, case);
    assert_eq!(tokens, many(&flat, case));
    assert_ne!(tokens, many(&flat, Draw { position: 12, ..case }));
    assert!(tokens.iter().any(|token| *token != tokens[0]));
    // Row 3 of one call is row 0 of a call that starts three samples later.
    let sample = STREAM.sample + 3;
    let later = many(&flat, Draw { rows: 17, stream: Stream { sample, ..STREAM }, ..case });
    assert_eq!(tokens[3..], later);
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&PLAIN);
    for case in [
        Draw { temperature: -1.0, ..PLAIN },
        Draw { temperature: f32::NAN, ..PLAIN },
        Draw { temperature: f32::INFINITY, ..PLAIN },
        Draw { top_p: 0.0, ..PLAIN },
        Draw { top_p: 1.1, ..PLAIN },
        Draw { top_p: f32::NAN, ..PLAIN },
    ] {
        refuses_value(&case, &case.args(Format::F32));
    }
    let case = Draw { vocab: 0, ..PLAIN };
    let empty = [Arg::input("logits", vec![]), Arg::overwritten_i32("tokens", case.rows)];
    refuses_value(&case, &empty);
}

/// A model that has diverged is reported, not sampled from.
#[test]
fn logits_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut args = PLAIN.args(Format::F32);
        let mut logits = PLAIN.logits();
        logits[100] = bad;
        args[0].data = Data::F32(logits);
        match call_with(&PLAIN, &args) {
            Err(Error::Value { detail, .. }) => assert!(detail.contains("row 1"), "{detail}"),
            result => panic!("{bad}: {result:?}"),
        }
    }
}
