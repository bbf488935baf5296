//! Vocabulary projection, softmax cross-entropy and their gradients as one operation, so
//! that the logits are never stored whole.

use super::check;
use crate::{Buffer, Result};

/// With `l = hidden weight^T`: `token_nll[r] = logsumexp(l[r]) - l[r, targets[r]]` in nats.
///
/// The gradients are those of `scale * sum(token_nll)`; as `scale` is known beforehand, they
/// are computed in the same pass. Rows whose target is negative are ignored: nll 0, no gradient.
#[derive(Debug)]
pub struct LinearCrossEntropy<'a> {
    /// `[rows, width]` storage.
    pub hidden: &'a Buffer,
    /// `[vocab, width]` storage.
    pub weight: &'a Buffer,
    /// `[rows]` i32 below `vocab`; negative is ignored.
    pub targets: &'a Buffer,
    /// `[rows]` f32, overwritten.
    pub token_nll: &'a Buffer,
    /// `[rows]` f32, overwritten.
    pub logsumexp: &'a Buffer,
    /// `[rows, width]` storage, overwritten with `scale * (softmax(l) - onehot) weight`.
    pub d_hidden: Option<&'a Buffer>,
    /// `[vocab, width]` f32; `scale * (softmax(l) - onehot)^T hidden` is added.
    pub d_weight: Option<&'a Buffer>,
    /// Factor of the loss whose gradient is taken.
    pub scale: f32,
    /// Tokens.
    pub rows: usize,
    /// Numbers per hidden state.
    pub width: usize,
    /// Rows of the projection.
    pub vocab: usize,
}

impl LinearCrossEntropy<'_> {
    /// Extents, types and aliasing.
    pub fn check(&self) -> Result<()> {
        const OP: &str = "linear_cross_entropy";
        check::positive(OP, "width", self.width)?;
        check::positive(OP, "vocab", self.vocab)?;
        let t = check::storage(OP, "hidden", self.hidden)?;
        check::buffer(OP, "hidden", self.hidden, t, self.rows * self.width)?;
        check::buffer(OP, "weight", self.weight, t, self.vocab * self.width)?;
        check::integers(OP, "targets", self.targets, self.rows)?;
        check::floats(OP, "token_nll", self.token_nll, self.rows)?;
        check::floats(OP, "logsumexp", self.logsumexp, self.rows)?;
        let mut outputs = vec![self.token_nll, self.logsumexp];
        if let Some(d_hidden) = self.d_hidden {
            check::buffer(OP, "d_hidden", d_hidden, t, self.rows * self.width)?;
            outputs.push(d_hidden);
        }
        if let Some(d_weight) = self.d_weight {
            check::floats(OP, "d_weight", d_weight, self.vocab * self.width)?;
            outputs.push(d_weight);
        }
        check::distinct(OP, &outputs, &[self.hidden, self.weight, self.targets])
    }
}
