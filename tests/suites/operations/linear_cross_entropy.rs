//! Vocabulary projection with cross-entropy.

use ltm_engine::ops::LinearCrossEntropy;
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{gaussians, integers, normals, widen};
use ltm_tests::reference::{dot, linear_cross_entropy};
use ltm_tests::{Arg, Case, Data, Derivative, Expected, refuses, refuses_value, verify};

use crate::row_shapes;

/// Not a power of two, so that it rounds, and far from 1, so that it shows.
const SCALE: f32 = 0.37;

/// Which gradients are asked for: two algorithms serve the four combinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Hidden,
    Weight,
    Both,
}

const ALL: [Wanted; 4] = [Wanted::Nothing, Wanted::Hidden, Wanted::Weight, Wanted::Both];

#[derive(Clone, Copy, Debug)]
struct Loss {
    rows: usize,
    width: usize,
    vocab: usize,
    wanted: Wanted,
    /// Whether the reference gradient is checked too; it costs ten forward passes.
    differences: bool,
}

printed!(Loss);

impl Loss {
    fn wants_hidden(&self) -> bool {
        matches!(self.wanted, Wanted::Hidden | Wanted::Both)
    }

    fn wants_weight(&self) -> bool {
        matches!(self.wanted, Wanted::Weight | Wanted::Both)
    }

    /// Logits have a deviation of 2, so that softmax is neither flat nor one-hot.
    fn inputs(&self) -> [Vec<f32>; 2] {
        let std = 2.0 / (self.width as f32).sqrt();
        [normals(1, self.rows * self.width), gaussians(2, self.vocab * self.width, 0.0, std)]
    }

    /// Every third row is ignored, by one of two negative numbers.
    fn targets(&self) -> Vec<i32> {
        let mut targets = integers(3, self.rows, self.vocab);
        targets.iter_mut().skip(2).step_by(3).for_each(|t| *t = -1);
        targets.iter_mut().skip(5).step_by(9).for_each(|t| *t = i32::MIN);
        targets
    }

    fn before(&self) -> Vec<f32> {
        normals(4, self.vocab * self.width)
    }

    fn gradients(&self) -> (Vec<f64>, Vec<f64>) {
        let [hidden, weight] = self.inputs().map(|v| widen(&v));
        let targets = self.targets();
        linear_cross_entropy::backward(&hidden, &weight, &targets, SCALE as f64, self.width)
    }
}

impl Case for Loss {
    fn op(&self) -> &'static str {
        "linear_cross_entropy"
    }

    fn args(&self) -> Vec<Arg> {
        let [hidden, weight] = self.inputs();
        let mut args = vec![
            Arg::input("hidden", hidden),
            Arg::input("weight", weight),
            Arg::integers("targets", self.targets()),
            Arg::overwritten("token_nll", self.rows),
            Arg::overwritten("logsumexp", self.rows),
        ];
        if self.wants_hidden() {
            args.push(Arg::overwritten("d_hidden", self.rows * self.width));
        }
        if self.wants_weight() {
            args.push(Arg::updated("d_weight", self.before()));
        }
        args
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        device.linear_cross_entropy(&LinearCrossEntropy {
            hidden: &b[0],
            weight: &b[1],
            targets: &b[2],
            token_nll: &b[3],
            logsumexp: &b[4],
            d_hidden: self.wants_hidden().then(|| &b[5]),
            d_weight: self.wants_weight().then(|| &b[b.len() - 1]),
            scale: SCALE,
            rows: self.rows,
            width: self.width,
            vocab: self.vocab,
        })
    }

    fn expected(&self) -> Vec<Expected> {
        let [hidden, weight] = self.inputs().map(|v| widen(&v));
        let targets = self.targets();
        let (nll, lse) = linear_cross_entropy::forward(&hidden, &weight, &targets, self.width);
        let lse = Expected::new(lse, 8.0);
        // The loss is a difference of two numbers, each the end of a long sum.
        let nll = Expected { values: nll, ..lse.clone() };
        let mut expected = vec![nll, lse];
        if self.wants_hidden() || self.wants_weight() {
            let (d_hidden, mut d_weight) = self.gradients();
            if self.wants_hidden() {
                expected.push(Expected::new(d_hidden, 32.0));
            }
            if self.wants_weight() {
                d_weight.iter_mut().zip(self.before()).for_each(|(d, b)| *d += b as f64);
                expected.push(Expected::new(d_weight, 4.0 + (self.rows as f64).sqrt()));
            }
        }
        expected
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        if !self.differences {
            return None;
        }
        let (at, targets) = (self.inputs().map(|v| widen(&v)).to_vec(), self.targets());
        let (d_hidden, d_weight) = self.gradients();
        let value = move |at: &[Vec<f64>]| {
            let (nll, _) = linear_cross_entropy::forward(&at[0], &at[1], &targets, self.width);
            // The cotangent is the scale, and 0 in ignored rows.
            dot(&nll, &vec![SCALE as f64; nll.len()])
        };
        Some(Derivative { at, value: Box::new(value), gradients: vec![d_hidden, d_weight] })
    }
}

#[test]
fn small_vocabularies_are_correct() {
    let mut cases = Vec::new();
    for (rows, width) in row_shapes() {
        for vocab in [1, 97, 1003] {
            let wanted = if vocab < 1000 || rows < 65 { &ALL[..] } else { &ALL[3..] };
            for &wanted in wanted {
                let differences = wanted == Wanted::Both && rows * vocab < 10_000;
                cases.push(Loss { rows, width, vocab, wanted, differences });
            }
        }
    }
    verify(cases);
}

/// More tokens than one share of the vocabulary; more rows than one block of tasks.
#[test]
fn split_vocabularies_are_correct() {
    let mut cases = Vec::new();
    for (rows, width) in [(1, 6), (7, 130), (65, 6), (520, 6)] {
        for wanted in ALL {
            let differences = rows == 7 && wanted == Wanted::Both;
            cases.push(Loss { rows, width, vocab: 9000, wanted, differences });
        }
    }
    cases.retain(|case| case.rows < 520 || !case.wants_weight());
    verify(cases);
}

/// More rows than the block whose logits are kept for the gradient of the weight.
#[test]
fn blocks_of_kept_logits_are_correct() {
    let wanted = Wanted::Both;
    verify([Loss { rows: 4200, width: 6, vocab: 97, wanted, differences: false }]);
}

#[test]
fn no_rows_are_no_work() {
    verify(ALL.map(|wanted| Loss { rows: 0, width: 6, vocab: 97, wanted, differences: false }));
}

#[test]
fn malformed_calls_are_refused() {
    let case = Loss { rows: 5, width: 6, vocab: 7, wanted: Wanted::Both, differences: false };
    refuses(&case);
    for target in [7, i32::MAX] {
        let mut args = case.args();
        args[2].data = Data::I32(vec![0, 6, -1, target, 1]);
        refuses_value(&case, &args);
    }
    for wanted in ALL {
        let case = Loss { width: 0, wanted, ..case };
        refuses_value(&case, &case.degenerate());
        let case = Loss { vocab: 0, wanted, ..case };
        refuses_value(&case, &case.degenerate());
    }
}

impl Loss {
    /// Arguments of the right extents, for extents at which the reference is undefined.
    fn degenerate(&self) -> Vec<Arg> {
        let mut args = vec![
            Arg::input("hidden", vec![0.0; self.rows * self.width]),
            Arg::input("weight", vec![0.0; self.vocab * self.width]),
            Arg::integers("targets", vec![-1; self.rows]),
            Arg::overwritten("token_nll", self.rows),
            Arg::overwritten("logsumexp", self.rows),
        ];
        if self.wants_hidden() {
            args.push(Arg::overwritten("d_hidden", self.rows * self.width));
        }
        if self.wants_weight() {
            args.push(Arg::overwritten("d_weight", self.vocab * self.width));
        }
        args
    }
}
