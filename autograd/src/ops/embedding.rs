//! Rows of a table by token.

use ltm_engine::Device;
use ltm_engine::ops::{EmbeddingBackward, EmbeddingForward};

use crate::backward::Backward;
use crate::step::{Access, Memory, Step};
use crate::tape::{Operation, Tape};
use crate::{Result, Var};

#[derive(Clone, Debug)]
struct Embedding {
    table: Var,
    tokens: Var,
    order: Var,
    out: Var,
    rows: usize,
    width: usize,
    vocab: usize,
}

impl Tape {
    /// `out[r] = table[tokens[r]]`, `[rows, width]`. `order` (`[rows]` i32) lists the rows sorted
    /// by token; it is read by the backward pass only.
    ///
    /// # Errors
    /// If a value has another extent, or the gradient of the table is not summed.
    pub fn embedding(&mut self, table: Var, tokens: Var, order: Var, width: usize) -> Result<Var> {
        const OP: &str = "embedding";
        let (rows, vocab) = (self.len(tokens), self.len(table) / width.max(1));
        self.expect(OP, "table", table, vocab * width)?;
        self.expect(OP, "order", order, rows)?;
        let out = self.intermediate(rows * width, &[table]);
        let op = Embedding { table, tokens, order, out, rows, width, vocab };
        self.operations.push(Box::new(op));
        Ok(out)
    }
}

impl Step for Embedding {
    fn name(&self) -> &'static str {
        "embedding_forward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.table, Access::Read);
        f(self.tokens, Access::Read);
        f(self.out, Access::Write);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.embedding_forward(&EmbeddingForward {
            table: memory.get(self.table)?,
            tokens: memory.get(self.tokens)?,
            out: memory.get(self.out)?,
            rows: self.rows,
            width: self.width,
            vocab: self.vocab,
        })?)
    }
}

impl Operation for Embedding {
    fn forward(&self) -> Box<dyn Step> {
        Box::new(self.clone())
    }

    fn backward(&self, backward: &mut Backward<'_>) -> Result<()> {
        let d_table = backward.weight("embedding", "table", self.table)?;
        if let (Some(d_out), Some(d_table)) = (backward.of(self.out), d_table) {
            backward.push(Scatter { op: self.clone(), d_out, d_table });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Scatter {
    op: Embedding,
    d_out: Var,
    d_table: Var,
}

impl Step for Scatter {
    fn name(&self) -> &'static str {
        "embedding_backward"
    }

    fn visit(&self, f: &mut dyn FnMut(Var, Access)) {
        f(self.d_out, Access::Read);
        f(self.op.tokens, Access::Read);
        f(self.op.order, Access::Read);
        f(self.d_table, Access::Update);
    }

    fn run(&self, memory: &Memory, device: &mut dyn Device) -> Result<()> {
        Ok(device.embedding_backward(&EmbeddingBackward {
            d_out: memory.get(self.d_out)?,
            tokens: memory.get(self.op.tokens)?,
            order: memory.get(self.op.order)?,
            d_table: memory.get(self.d_table)?,
            rows: self.op.rows,
            width: self.op.width,
            vocab: self.op.vocab,
        })?)
    }
}
