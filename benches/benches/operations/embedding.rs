//! Gather and scatter-add.

use criterion::Criterion;
use ltm_benches::{MODELS, Rig, Work};
use ltm_engine::DType::F32;
use ltm_engine::Ops;
use ltm_engine::ops::{EmbeddingBackward, EmbeddingForward};

use crate::measure;

pub fn benches(c: &mut Criterion) {
    for model in &MODELS {
        let mut rig = Rig::default();
        let (rows, width, vocab) = (model.rows(), model.width, model.vocab);
        let n = rows * width;
        let (table, d_out) = (rig.normals(vocab * width, 1.0), rig.normals(n, 1.0));
        let (tokens, order) = rig.tokens(rows, vocab);
        let (out, d_table) = (rig.result(F32, n), rig.result(F32, vocab * width));
        measure(c, "embedding_forward", model, Work::Elements(2 * n), &mut rig, |device| {
            device.embedding_forward(&EmbeddingForward {
                table: &table,
                tokens: &tokens,
                out: &out,
                rows,
                width,
                vocab,
            })
        });
        // Reads d_out, and reads and writes a row of the table per distinct token: at most one
        // per token of the batch.
        let touched = rows.min(vocab) * width;
        let work = Work::Elements(n + 2 * touched);
        measure(c, "embedding_backward", model, work, &mut rig, |device| {
            device.embedding_backward(&EmbeddingBackward {
                d_out: &d_out,
                tokens: &tokens,
                order: &order,
                d_table: &d_table,
                rows,
                width,
                vocab,
            })
        });
    }
}
