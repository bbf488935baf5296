//! The loss: vocabulary projection with cross-entropy.

use ltm_engine::Device;
use ltm_engine::ops::LinearCrossEntropy as Args;

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

/// Arguments of [`Tape::linear_cross_entropy`].
#[derive(Clone, Copy, Debug)]
pub struct LinearCrossEntropyArgs {
    /// `[rows, width]`.
    pub hidden: Var,
    /// `[vocab, width]`.
    pub weight: Var,
    /// `[rows]` i32; negative is ignored.
    pub targets: Var,
    /// External f32 value `[rows]` that receives the losses.
    pub token_nll: Var,
    /// External f32 value `[rows]` that receives the log of the softmax denominators.
    pub logsumexp: Var,
    /// The gradient is that of `scale * sum(token_nll)`.
    pub scale: f32,
    /// Rows of the projection.
    pub vocab: usize,
}

/// What a loss leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    /// `[rows]` f32, nats.
    pub token_nll: Var,
    /// `[rows]` f32.
    pub logsumexp: Var,
}

#[derive(Clone, Debug)]
struct LinearCrossEntropy {
    args: LinearCrossEntropyArgs,
    d_hidden: Option<Var>,
    d_weight: Option<Var>,
    rows: usize,
    width: usize,
}

impl Tape {
    /// The source of gradients: as the factor of the loss is known when it is recorded, the
    /// gradient with respect to `hidden` is formed in the forward pass, while the logits of a
    /// tile are at hand.
    ///
    /// # Errors
    /// If a value has another extent, or the gradient of the weight is not summed.
    pub fn linear_cross_entropy(&mut self, args: LinearCrossEntropyArgs) -> Result<Losses> {
        const OP: &str = "linear_cross_entropy";
        let rows = self.len(args.targets);
        let width = self.len(args.hidden) / rows.max(1);
        self.expect(OP, "hidden", args.hidden, rows * width)?;
        self.expect(OP, "weight", args.weight, args.vocab * width)?;
        self.expect(OP, "token_nll", args.token_nll, rows)?;
        self.expect(OP, "logsumexp", args.logsumexp, rows)?;
        let wanted = self.needs_gradient(args.hidden);
        let d_hidden = wanted.then(|| self.intermediate(rows * width, &[]));
        let d_weight = self.weight_gradient(OP, "weight", args.weight)?;
        let op = LinearCrossEntropy { args, d_hidden, d_weight, rows, width };
        self.operations.push(Box::new(op));
        Ok(Losses { token_nll: args.token_nll, logsumexp: args.logsumexp })
    }
}

impl Step for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.args.hidden, Access::Read);
        f(self.args.weight, Access::Read);
        f(self.args.targets, Access::Read);
        f(self.args.token_nll, Access::Write);
        f(self.args.logsumexp, Access::Write);
        if let Some(d_hidden) = self.d_hidden {
            f(d_hidden, Access::Write);
        }
        if let Some(d_weight) = self.d_weight {
            f(d_weight, Access::Update);
        }
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.linear_cross_entropy(&Args {
            hidden: memory.get(self.args.hidden)?,
            weight: memory.get(self.args.weight)?,
            targets: memory.get(self.args.targets)?,
            token_nll: memory.get(self.args.token_nll)?,
            logsumexp: memory.get(self.args.logsumexp)?,
            d_hidden: memory.maybe(self.d_hidden)?,
            d_weight: memory.maybe(self.d_weight)?,
            scale: self.args.scale,
            rows: self.rows,
            width: self.width,
            vocab: self.args.vocab,
        })?)
    }
}

impl Operation for LinearCrossEntropy {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        if let Some(d_hidden) = self.d_hidden {
            backward.pass(self.args.hidden, d_hidden);
        }
        Ok(())
    }
}
