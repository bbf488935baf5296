//! Gather, and ordered scatter-add.

use ltm_engine::ops::{EmbeddingBackward, EmbeddingForward};
use ltm_engine::{Buffer, Device, Result};

use crate::numbers::{integers, normals, sorted_order};
use crate::reference::{dot, embedding};
use crate::{Arg, Case, Derivative, Expected, Format, Inputs, Rounding};

/// `embedding_forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Tokens.
    pub rows: usize,
    /// Numbers per token.
    pub width: usize,
    /// Rows of the table.
    pub vocab: usize,
}

/// `embedding_backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    /// Tokens.
    pub rows: usize,
    /// Numbers per token.
    pub width: usize,
    /// Rows of the table.
    pub vocab: usize,
}

printed!(Forward, Backward);

impl Case for Forward {
    fn op(&self) -> &'static str {
        "embedding_forward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        vec![
            format.input("table", normals(1, self.vocab * self.width)),
            Arg::integers("tokens", integers(2, self.rows, self.vocab)),
            format.overwritten("out", self.rows * self.width),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width, vocab } = *self;
        let (table, tokens, out) = (&b[0], &b[1], &b[2]);
        device.embedding_forward(&EmbeddingForward { table, tokens, out, rows, width, vocab })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let (table, tokens) = (inputs.numbers("table"), inputs.integers("tokens"));
        vec![Expected::exact(embedding::forward(&table, tokens, self.width))]
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "embedding_backward"
    }

    fn args(&self, format: Format) -> Vec<Arg> {
        let tokens = integers(2, self.rows, self.vocab);
        let order = sorted_order(&tokens);
        vec![
            format.input("d_out", normals(3, self.rows * self.width)),
            Arg::integers("tokens", tokens),
            Arg::integers("order", order),
            Arg::updated("d_table", format.single(normals(4, self.vocab * self.width))),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width, vocab } = *self;
        device.embedding_backward(&EmbeddingBackward {
            d_out: &b[0],
            tokens: &b[1],
            order: &b[2],
            d_table: &b[3],
            rows,
            width,
            vocab,
        })
    }

    fn expected(&self, inputs: &Inputs<'_>, _: Rounding) -> Vec<Expected> {
        let (before, d_out) = (inputs.numbers("d_table"), inputs.numbers("d_out"));
        let sum = embedding::backward(&before, &d_out, inputs.integers("tokens"), self.width);
        // A token sums about rows / vocab terms, one after the other.
        let terms = self.rows as f64 / self.vocab as f64;
        vec![Expected::new(sum, 2.0 + terms.sqrt())]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let args = self.args(Format::F32);
        let inputs = Inputs::new(&args);
        let (d_out, tokens) = (inputs.numbers("d_out"), inputs.integers("tokens").to_vec());
        let (n, width) = (self.vocab * self.width, self.width);
        let gradient = embedding::backward(&vec![0.0; n], &d_out, &tokens, width);
        let value = move |at: &[Vec<f64>]| dot(&embedding::forward(&at[0], &tokens, width), &d_out);
        Some(Derivative {
            at: vec![crate::numbers::widen(&normals(1, n))],
            value: Box::new(value),
            gradients: vec![gradient],
        })
    }
}
