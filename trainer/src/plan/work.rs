//! Arithmetic of each pass, from the shapes alone. A multiply-add counts as two.
//!
//! Counted are matrix products and attention, which do not get cheaper by any implementation of
//! the same operations; normalisation, rotation, softmax and the optimisers, which are limited by
//! memory instead, are not. Attention counts only keys inside the window, and its backward pass
//! includes the scores that it computes again, as they are never stored. The CPU, which carries the
//! latents of layer 0 through the products behind them, gets by with less than is counted here.

use serde::Serialize;

use crate::config::ModelConfig;
use crate::model::BatchShape;

/// FLOPs by kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// The projection to the vocabulary.
    pub vocabulary: f64,
    /// All other linear maps.
    pub linear: f64,
    /// Scores and weighted sums of window attention.
    pub window_attention: f64,
    /// Scores and weighted sums of latent attention.
    pub latent_attention: f64,
}

impl Parts {
    /// FLOPs in all.
    pub fn total(&self) -> f64 {
        self.vocabulary + self.linear + self.window_attention + self.latent_attention
    }
}

/// FLOPs of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pass {
    /// Up to the losses.
    pub forward: Parts,
    /// All gradients that the pass computes.
    pub backward: Parts,
}

impl Pass {
    /// FLOPs in all.
    pub fn total(&self) -> f64 {
        self.forward.total() + self.backward.total()
    }
}

/// Which gradients a pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gradients {
    /// With respect to z.
    pub(super) latents: bool,
    /// With respect to the weights, and to what the prefix hands over.
    pub(super) weights: bool,
}

impl Gradients {
    fn any(self) -> bool {
        self.latents || self.weights
    }
}

struct Counter<'a> {
    model: &'a ModelConfig,
    shape: BatchShape,
    gradients: Gradients,
    pass: Pass,
}

impl Counter<'_> {
    /// A linear map whose input has a gradient or not.
    fn linear(&mut self, rows: usize, inner: usize, outer: usize, input: bool) {
        let flops = 2.0 * rows as f64 * inner as f64 * outer as f64;
        let products = u8::from(input) + u8::from(self.gradients.weights);
        self.pass.forward.linear += flops;
        self.pass.backward.linear += f64::from(products) * flops;
    }

    /// q, k and v, attention, and its output: the first third of a layer.
    fn self_attention(&mut self) {
        let (rows, d, any) = (self.shape.rows(), self.model.dim, self.gradients.any());
        self.linear(rows, d, 3 * d, any);
        let pairs = window_pairs(self.shape.seq, self.model.window);
        // A product of width D per pair of query and key.
        let product = 2.0 * self.shape.batch as f64 * pairs * d as f64;
        // Forward: scores, weighted values. Backward: scores again, and the gradients of
        // weights, values, queries and keys.
        self.pass.forward.window_attention += 2.0 * product;
        if any {
            self.pass.backward.window_attention += 5.0 * product;
        }
        self.linear(rows, d, d, any);
    }

    /// k and v of the latents, attention to them, and its output. Queries are counted apart.
    fn latent_attention(&mut self, queries: bool) {
        if self.model.is_autoregressive() {
            return;
        }
        let (rows, d, any) = (self.shape.rows(), self.model.dim, self.gradients.any());
        let latents = self.model.latents_per_layer();
        let to_z = self.gradients.latents;
        self.linear(self.shape.batch * latents, d, 2 * d, to_z);
        let product = 2.0 * rows as f64 * latents as f64 * d as f64;
        self.pass.forward.latent_attention += 2.0 * product;
        if any {
            let products = if queries { 5.0 } else { 4.0 };
            self.pass.backward.latent_attention += products * product;
        }
        self.linear(rows, d, d, any);
    }

    fn queries(&mut self) {
        if self.model.is_autoregressive() {
            return;
        }
        let (rows, d) = (self.shape.rows(), self.model.dim);
        self.linear(rows, d, d, self.gradients.any());
    }

    fn feed_forward(&mut self) {
        let (rows, d, f) = (self.shape.rows(), self.model.dim, self.model.ffn_dim());
        let any = self.gradients.any();
        self.linear(rows, d, 2 * f, any);
        self.linear(rows, f, d, any);
    }

    fn loss(&mut self) {
        let (rows, d, v) = (self.shape.rows(), self.model.dim, self.model.vocab_size);
        let flops = 2.0 * rows as f64 * d as f64 * v as f64;
        let products = u8::from(self.gradients.any()) + u8::from(self.gradients.weights);
        self.pass.forward.vocabulary += flops;
        self.pass.backward.vocabulary += f64::from(products) * flops;
    }
}

/// Pairs of query and key of one sequence: token i sees `min(i + 1, window)` keys.
pub(crate) fn window_pairs(seq: usize, window: usize) -> f64 {
    let (seq, window) = (seq as f64, window.min(seq) as f64);
    window * (window + 1.0) / 2.0 + (seq - window) * window
}

fn count(
    model: &ModelConfig,
    shape: BatchShape,
    gradients: Gradients,
    record: impl FnOnce(&mut Counter<'_>),
) -> Pass {
    let mut counter = Counter { model, shape, gradients, pass: Pass::default() };
    record(&mut counter);
    counter.pass
}

/// The part that does not depend on z, with its backward pass as training runs it.
pub(super) fn prefix(model: &ModelConfig, shape: BatchShape) -> Pass {
    let gradients = Gradients { latents: false, weights: true };
    count(model, shape, gradients, |c| {
        c.self_attention();
        c.queries();
    })
}

/// From z to the losses and back. In layer 0 what lies below the latent attention belongs to the
/// prefix; the gradient of its queries is wanted for the prefix' weights alone.
pub(super) fn suffix(model: &ModelConfig, shape: BatchShape, gradients: Gradients) -> Pass {
    count(model, shape, gradients, |c| {
        for layer in 0..c.model.layers {
            if layer > 0 {
                c.self_attention();
                c.queries();
            }
            c.latent_attention(layer > 0 || c.gradients.weights);
            c.feed_forward();
        }
        c.loss();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_those_inside_the_window() {
        for (seq, window) in [(1, 1), (5, 8), (8, 8), (24, 8), (7, 1)] {
            let pairs: usize = (0..seq).map(|i| (i + 1).min(window)).sum();
            assert_eq!(window_pairs(seq, window), pairs as f64);
        }
    }
}
