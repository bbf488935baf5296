//! Gather, and ordered scatter-add.

use ltm_engine::ops::{EmbeddingBackward, EmbeddingForward};
use ltm_engine::{Buffer, Device, Result};
use ltm_tests::numbers::{integers, normals, sorted_order, widen};
use ltm_tests::reference::{dot, embedding};
use ltm_tests::{Arg, Case, Data, Derivative, Expected, call_with, refuses, refuses_value, verify};

use crate::row_shapes;

#[derive(Clone, Copy, Debug)]
struct Forward {
    rows: usize,
    width: usize,
    vocab: usize,
}

#[derive(Clone, Copy, Debug)]
struct Backward {
    rows: usize,
    width: usize,
    vocab: usize,
}

printed!(Forward, Backward);

impl Case for Forward {
    fn op(&self) -> &'static str {
        "embedding_forward"
    }

    fn args(&self) -> Vec<Arg> {
        vec![
            Arg::input("table", normals(1, self.vocab * self.width)),
            Arg::integers("tokens", integers(2, self.rows, self.vocab)),
            Arg::overwritten("out", self.rows * self.width),
        ]
    }

    fn call(&self, device: &mut dyn Device, b: &[Buffer]) -> Result<()> {
        let Self { rows, width, vocab } = *self;
        let (table, tokens, out) = (&b[0], &b[1], &b[2]);
        device.embedding_forward(&EmbeddingForward { table, tokens, out, rows, width, vocab })
    }

    fn expected(&self) -> Vec<Expected> {
        let table = widen(&normals(1, self.vocab * self.width));
        let tokens = integers(2, self.rows, self.vocab);
        vec![Expected::exact(embedding::forward(&table, &tokens, self.width))]
    }
}

impl Backward {
    fn tokens(&self) -> Vec<i32> {
        integers(2, self.rows, self.vocab)
    }

    fn sum(&self, before: &[f64]) -> Vec<f64> {
        let d_out = widen(&normals(3, self.rows * self.width));
        embedding::backward(before, &d_out, &self.tokens(), self.width)
    }
}

impl Case for Backward {
    fn op(&self) -> &'static str {
        "embedding_backward"
    }

    fn args(&self) -> Vec<Arg> {
        vec![
            Arg::input("d_out", normals(3, self.rows * self.width)),
            Arg::integers("tokens", self.tokens()),
            Arg::integers("order", sorted_order(&self.tokens())),
            Arg::updated("d_table", normals(4, self.vocab * self.width)),
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

    fn expected(&self) -> Vec<Expected> {
        let before = widen(&normals(4, self.vocab * self.width));
        // A token sums about rows / vocab terms, one after the other.
        let terms = self.rows as f64 / self.vocab as f64;
        vec![Expected::new(self.sum(&before), 2.0 + terms.sqrt())]
    }

    fn derivative(&self) -> Option<Derivative<'_>> {
        let d_out = widen(&normals(3, self.rows * self.width));
        let value = move |at: &[Vec<f64>]| {
            dot(&embedding::forward(&at[0], &self.tokens(), self.width), &d_out)
        };
        let n = self.vocab * self.width;
        Some(Derivative {
            at: vec![widen(&normals(1, n))],
            value: Box::new(value),
            gradients: vec![self.sum(&vec![0.0; n])],
        })
    }
}

/// One token, few tokens that repeat for longer than a task, and more tokens than rows.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    row_shapes()
        .chain([(700, 6), (1025, 6)])
        .flat_map(|(rows, width)| [1, 3, 97, 1003].map(|vocab| (rows, width, vocab)))
}

#[test]
fn forward_is_correct() {
    verify(shapes().map(|(rows, width, vocab)| Forward { rows, width, vocab }));
}

#[test]
fn backward_is_correct() {
    verify(shapes().map(|(rows, width, vocab)| Backward { rows, width, vocab }));
}

#[test]
fn no_rows_are_no_work() {
    verify([Forward { rows: 0, width: 6, vocab: 9 }]);
    verify([Backward { rows: 0, width: 6, vocab: 9 }]);
}

#[test]
fn malformed_calls_are_refused() {
    refuses(&Forward { rows: 7, width: 6, vocab: 5 });
    refuses(&Backward { rows: 7, width: 6, vocab: 5 });
}

/// An empty vocabulary has no row for any token, and rows of no numbers cannot be counted.
#[test]
fn degenerate_extents_are_refused() {
    for (width, vocab) in [(0, 5), (6, 0)] {
        let case = Forward { rows: 2, width, vocab };
        let args = [
            Arg::input("table", vec![0.0; vocab * width]),
            Arg::integers("tokens", vec![0; 2]),
            Arg::overwritten("out", 2 * width),
        ];
        refuses_value(&case, &args);
    }
}

#[test]
fn tokens_out_of_range_are_refused() {
    let (forward, backward) =
        (Forward { rows: 3, width: 6, vocab: 5 }, Backward { rows: 3, width: 6, vocab: 5 });
    for token in [-1, 5, i32::MIN, i32::MAX] {
        let mut args = forward.args();
        args[1].data = Data::I32(vec![0, token, 1]);
        refuses_value(&forward, &args);
        let mut args = backward.args();
        args[1].data = Data::I32(vec![0, token, 1]);
        refuses_value(&backward, &args);
    }
}

/// The scatter relies on the order to write without conflicts and in a fixed order.
#[test]
fn an_order_that_is_not_sorted_is_refused() {
    let case = Backward { rows: 4, width: 6, vocab: 5 };
    let mut args = case.args();
    args[1].data = Data::I32(vec![2, 1, 2, 0]);
    args[2].data = Data::I32(vec![3, 1, 0, 2]);
    call_with(&case, &args).expect("sorted");
    for order in
        [[0, 1, 2, 3], [3, 1, 2, 0], [3, 1, 0, 0], [3, 1, 0, 4], [3, 1, 0, -1], [3, 3, 3, 3]]
    {
        args[2].data = Data::I32(order.to_vec());
        refuses_value(&case, &args);
    }
}
