//! What causal scores may depend on.

use super::*;
use crate::evaluate::{Averages, Measured, Measurement, Portion, Subject, View, measure};

const CAUSAL: [View; 5] =
    [View::Prior, View::PriorAfter(5), View::Front(5), View::Blocks(4), View::Blocks(5)];
const WINDOWS: [u64; 3] = [5, 6, 7];

pub(super) fn measurement(view: View, samples: usize) -> Measurement<'static> {
    let token_bytes = &[1; VOCAB as usize];
    let (batch, stop, progress) = (2, &GO, &|_, _| {});
    Measurement { view, fast_steps: None, samples, batch, token_bytes, stop, progress }
}

fn measured(trainer: &mut Trainer, source: &Numbered, how: &Measurement<'_>) -> Result<Measured> {
    let Trainer { device, config, parameters, .. } = trainer;
    let mut subject = Subject { device: device.as_mut(), config, parameters };
    let portion = Portion { source: Box::new(source), seq: LENGTH, windows: WINDOWS.to_vec() };
    measure(&mut subject, &[portion], how)
}

/// Whatever is changed at or after place t, the scores of the tokens before it keep their bits.
#[test]
fn no_causal_score_sees_its_token_or_later_ones() {
    let mut trainer = trainer();
    for view in CAUSAL {
        let how = measurement(view, 3);
        let whole = measured(&mut trainer, &Numbered::default(), &how).unwrap();
        for changed in 1..=LENGTH {
            let source = Numbered { changed_from: Some(changed), ..Numbered::default() };
            let other = measured(&mut trainer, &source, &how).unwrap();
            for (a, b) in whole.sequences.iter().zip(&other.sequences) {
                assert_eq!(a.tokens(), LENGTH - view.skipped());
                // Target i is the token at place i + 1.
                let before = (changed - 1).saturating_sub(view.skipped());
                let place = format!("{view:?}, changed from {changed}");
                assert_eq!(a.token_nll[..before], b.token_nll[..before], "{place}");
                assert_ne!(a.token_nll[before..], b.token_nll[before..], "{place}");
            }
        }
    }
}

/// A z that had seen the very token that it scores would escape the test above, but the
/// probabilities of all tokens that could be there would no longer sum to 1.
#[test]
fn the_scores_of_all_possible_tokens_are_a_distribution() {
    let mut trainer = trainer();
    for view in CAUSAL {
        for place in view.skipped() + 1..=LENGTH {
            let mut sums = [0.0; WINDOWS.len()];
            for token in 0..VOCAB {
                let source = Numbered { replaced: Some((place, token)), ..Numbered::default() };
                let found = measured(&mut trainer, &source, &measurement(view, 2)).unwrap();
                for (sum, sequence) in sums.iter_mut().zip(&found.sequences) {
                    *sum += (-sequence.token_nll[place - 1 - view.skipped()]).exp();
                }
            }
            for sum in sums {
                assert!((sum - 1.0).abs() < 1e-4, "{view:?}, token {place}: {sum}");
            }
        }
    }
}

/// The reconstruction is no causal score: the test above can fail.
#[test]
fn a_reconstruction_sees_what_comes() {
    let mut trainer = trainer();
    let how = measurement(View::All, 1);
    let whole = measured(&mut trainer, &Numbered::default(), &how).unwrap();
    let source = Numbered { changed_from: Some(LENGTH), ..Numbered::default() };
    let other = measured(&mut trainer, &source, &how).unwrap();
    assert_ne!(whole.sequences[0].token_nll[..4], other.sequences[0].token_nll[..4]);
}

/// Where nothing comes from z, every view scores what a plain language model would.
#[test]
fn a_decoder_that_ignores_z_has_one_score() {
    let mut trainer = trainer();
    let layout = trainer.parameters.layout.clone();
    for entry in layout.entries().iter().filter(|e| e.name.ends_with("cross_attention.wo.weight")) {
        let zeros = vec![0.0; entry.range.len()];
        trainer.parameters.set(trainer.device.as_mut(), entry.range.clone(), &zeros).unwrap();
    }
    let source = Numbered::default();
    let plain = measured(&mut trainer, &source, &measurement(View::All, 2)).unwrap();
    for view in CAUSAL {
        let found = measured(&mut trainer, &source, &measurement(view, 2)).unwrap();
        for (a, b) in plain.sequences.iter().zip(&found.sequences) {
            for (a, b) in a.token_nll[view.skipped()..].iter().zip(&b.token_nll) {
                assert!((a - b).abs() < 1e-5, "{view:?}: {a} against {b}");
            }
        }
    }
}

#[test]
fn neither_the_batch_nor_ignored_targets_matter() {
    let mut trainer = trainer();
    for view in CAUSAL.into_iter().chain([View::All]) {
        let how = measurement(view, 2);
        let whole = measured(&mut trainer, &Numbered::default(), &how).unwrap();
        let one = Measurement { batch: 1, ..how };
        let alone = measured(&mut trainer, &Numbered::default(), &one).unwrap();
        let (a, b) = (Averages::of(&whole.sequences), Averages::of(&alone.sequences));
        assert_eq!((a.sequences, a.tokens, a.bytes), (b.sequences, b.tokens, b.bytes));
        assert!((a.bound - b.bound).abs() < 1e-4, "{view:?}: {a:?} against {b:?}");
        assert_eq!(whole.flops, alone.flops);

        let short = Numbered { ignored: 4, ..Numbered::default() };
        let short = measured(&mut trainer, &short, &how).unwrap();
        assert!(short.sequences.iter().all(|s| s.tokens() == LENGTH - 4 - view.skipped()));
    }
}

/// Tokens that are not scored still tell which draws of z explain the text.
#[test]
fn a_later_start_changes_no_score() {
    let mut trainer = trainer();
    let mut scores = |view| {
        let how = measurement(view, 3);
        measured(&mut trainer, &Numbered::default(), &how).unwrap().sequences
    };
    let (whole, rest) = (scores(View::Prior), scores(View::PriorAfter(5)));
    for (whole, rest) in whole.iter().zip(&rest) {
        assert_eq!(whole.token_nll[5..], rest.token_nll);
    }
}

/// More draws make the mixture, whose token scores sum to that of the text under each draw.
#[test]
fn draws_are_averaged_as_probabilities() {
    let mut trainer = trainer();
    let mut sums = |samples| -> Vec<f64> {
        let how = measurement(View::Prior, samples);
        let found = measured(&mut trainer, &Numbered::default(), &how).unwrap();
        found.sequences.iter().map(|s| s.nll()).collect()
    };
    let (one, two) = (sums(1), sums(2));
    for (one, two) in one.iter().zip(&two) {
        // Of the mean of two probabilities each is at most twice it.
        assert!(two - one <= 2.0_f64.ln() + 1e-9 && two != one, "{two} against {one}");
    }
}

#[test]
fn progress_counts_stretches_and_measuring_can_be_stopped() {
    let mut trainer = trainer();
    let seen = Cell::new((0, 0));
    let note = |done, total| seen.set((done, total));
    let how = Measurement { progress: &note, ..measurement(View::Blocks(4), 1) };
    measured(&mut trainer, &Numbered::default(), &how).unwrap();
    assert_eq!(seen.get(), (9, 9));

    let stop = AtomicBool::new(false);
    let note = |done, _| {
        assert_eq!(done, 2, "nothing is scored after the stop");
        stop.store(true, Ordering::Relaxed);
    };
    for view in CAUSAL.into_iter().chain([View::All]) {
        stop.store(false, Ordering::Relaxed);
        let how = Measurement { stop: &stop, progress: &note, ..measurement(view, 1) };
        let result = measured(&mut trainer, &Numbered::default(), &how);
        assert!(matches!(result, Err(Error::Interrupted)), "{view:?}");
    }
}

#[test]
fn bad_measurements_are_refused() {
    let mut trainer = trainer();
    let mut refused = |source: &Numbered, how: Measurement<'_>, words: &str| {
        let error = measured(&mut trainer, source, &how).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    let whole = Numbered::default();
    refused(&whole, measurement(View::Prior, 0), "0 draws of z");
    refused(&whole, measurement(View::Front(LENGTH), 1), "expected 1 to 11");
    refused(&whole, measurement(View::Front(0), 1), "expected 1 to 11");
    refused(&whole, measurement(View::Blocks(0), 1), "blocks of 0 tokens");
    refused(&whole, Measurement { batch: 0, ..measurement(View::Prior, 1) }, "at least one window");
    let short = Numbered { ignored: 8, ..Numbered::default() };
    refused(&short, measurement(View::Front(5), 1), "no sequence has a token left");
    let values = vec![f32::NAN; trainer.parameters.values.len()];
    trainer.device.upload(&trainer.parameters.values, &values).unwrap();
    let error = measured(&mut trainer, &whole, &measurement(View::Prior, 1)).unwrap_err();
    assert!(error.to_string().contains("window 5: the nll is NaN"), "{error}");
}
