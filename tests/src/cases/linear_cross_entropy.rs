//! Vocabulary projection with cross-entropy.

use ltm_engine::ops::LinearCrossEntropy;
use ltm_engine::{Buffer, Device, Result};

use super::accumulated;
use crate::numbers::{gaussians, integers, normals};
use crate::reference::{dot, linear_cross_entropy};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// Not a power of two, so that it rounds, and far from 1, so that it shows.
const SCALE: f32 = 0.37;

/// Which gradients are asked for: two algorithms serve the four combinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// None.
    Nothing,
    /// That of the hidden states.
    Hidden,
    /// That of the weights.
    Weight,
    /// Those of both.
    Both,
}

/// Every choice of gradients.
pub const ALL: [Wanted; 4] = [Wanted::Nothing, Wanted::Hidden, Wanted::Weight, Wanted::Both];

/// `linear_cross_entropy`.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Tokens.
    pub rows: usize,
    /// Numbers per hidden state.
    pub width: usize,
    /// Rows of the projection.
    pub vocab: usize,
    /// Outputs.
    pub wanted: Wanted,
    /// Whether the reference gradient is checked too; it costs ten forward passes.
    pub differences: bool,
}

printed!(Loss);

impl Loss {
    fn wants_hidden(&self) -> bool {
        matches!(self.wanted, Wanted::Hidden | Wanted::Both)
    }

    /// Whether the gradient of the weights is asked for.
    pub fn wants_weight(&self) -> bool {
        matches!(self.wanted, Wanted::Weight | Wanted::Both)
    }

    /// Every third row is ignored, by one of two negative numbers.
    fn targets(&self) -> Vec<i32> {
        let mut targets = integers(3, self.rows, self.vocab);
        targets.iter_mut().skip(2).step_by(3).for_each(|t| *t = -1);
        targets.iter_mut().skip(5).step_by(9).for_each(|t| *t = i32::MIN);
        targets
    }

    fn arguments(
        &self,
        format: Format,
        [hidden, weight, before]: [Vec<f32>; 3],
        targets: Vec<i32>,
    ) -> Vec<Arg> {
        let mut args = vec![
            format.input("hidden", hidden),
            format.input("weight", weight),
            Arg::integers("targets", targets),
            Arg::overwritten("token_nll", self.rows),
            Arg::overwritten("logsumexp", self.rows),
        ];
        if self.wants_hidden() {
            args.push(format.overwritten("d_hidden", self.rows * self.width));
        }
        if self.wants_weight() {
            args.push(Arg::updated("d_weight", before));
        }
        args
    }

    /// Arguments of the right extents, for extents at which the reference is undefined.
    pub fn degenerate(&self, format: Format) -> Vec<Arg> {
        let zeros = [self.rows, self.vocab, self.vocab].map(|n| vec![0.0; n * self.width]);
        self.arguments(format, zeros, vec![-1; self.rows])
    }
}

impl Case for Loss {
    fn op(&self) -> &'static str {
        "linear_cross_entropy"
    }

    /// Logits have a deviation of 2, so that softmax is neither flat nor one-hot.
    fn args(&self, format: Format) -> Vec<Arg> {
        let std = 2.0 / (self.width as f32).sqrt();
        let n = self.vocab * self.width;
        let numbers =
            [normals(1, self.rows * self.width), gaussians(2, n, 0.0, std), normals(4, n)];
        self.arguments(format, numbers, self.targets())
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

    fn expected(&self, inputs: &Inputs<'_>, rounding: Rounding) -> Vec<Expected> {
        use linear_cross_entropy::{backward, forward};
        let (hidden, weight) = (inputs.numbers("hidden"), inputs.numbers("weight"));
        let targets = inputs.integers("targets");
        let (nll, lse) = forward(&hidden, &weight, targets, self.width, rounding);
        let lse = Expected::new(lse, 8.0);
        // The loss is a difference of two numbers, each the end of a long sum.
        let nll = Expected { values: nll, ..lse.clone() };
        let mut expected = vec![nll, lse];
        if self.wants_hidden() || self.wants_weight() {
            let scale = SCALE as f64;
            let (d_hidden, d_weight) =
                backward(&hidden, &weight, targets, scale, self.width, rounding);
            if self.wants_hidden() {
                expected.push(Expected::new(d_hidden, 32.0));
            }
            if self.wants_weight() {
                let d_weight = accumulated(d_weight, &inputs.numbers("d_weight"));
                expected.push(Expected::new(d_weight, 4.0 + (self.rows as f64).sqrt()));
            }
        }
        expected
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        use linear_cross_entropy::{backward, forward};
        if !self.differences {
            return None;
        }
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let (hidden, weight) = (inputs.numbers("hidden"), inputs.numbers("weight"));
        let targets = inputs.integers("targets").to_vec();
        let (width, scale) = (self.width, SCALE as f64);
        let (d_hidden, d_weight) =
            backward(&hidden, &weight, &targets, scale, width, Rounding::Exact);
        let value = move |at: &[Vec<f64>]| {
            let (nll, _) = forward(&at[0], &at[1], &targets, width, Rounding::Exact);
            // The cotangent is the scale, and 0 in ignored rows.
            dot(&nll, &vec![scale; nll.len()])
        };
        Some(Derivative {
            at: vec![hidden, weight],
            value: Box::new(value),
            gradients: vec![d_hidden, d_weight],
        })
    }
}
