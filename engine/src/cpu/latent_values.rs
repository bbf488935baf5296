//! The values of the latents, carried through the projection behind the attention: of each head
//! and latent a row `[dim]`, which tokens mix by their weights.

use super::latent_attention::latents_of;
use super::matmul::{Mat, Out, Store, matmul};
use super::parallel::Shared;
use super::pool::for_each;
use super::scratch::with_local;
use crate::ops::LatentAttentionShape;

/// Rows of a sequence.
pub fn mixed(s: &LatentAttentionShape) -> usize {
    s.heads * s.latents
}

/// Values of latents and the projection behind their mixture.
#[derive(Clone, Copy)]
pub struct Projection<'a> {
    pub shape: LatentAttentionShape,
    /// `[batch, latents, 2, heads, head_dim]`.
    pub kv: &'a [f32],
    /// `[dim, dim]`.
    pub weight: &'a [f32],
}

impl<'a> Projection<'a> {
    /// `[latents, head_dim]`.
    fn values_of(&self, sequence: usize, head: usize) -> Mat<'a> {
        let s = &self.shape;
        let place = latents_of(s, sequence, head, 1);
        Mat::strided(&self.kv[place.first..], s.latents, s.head_dim, place.stride)
    }

    /// `[dim, head_dim]`: what the projection makes of a head.
    fn weight_of(&self, head: usize) -> Mat<'a> {
        let (s, width) = (&self.shape, self.shape.width());
        Mat::new(self.weight, width, width).columns(head * s.head_dim, s.head_dim)
    }

    /// `[batch, heads * latents, dim]`.
    pub fn values(&self, out: &mut [f32]) {
        let (s, width) = (&self.shape, self.shape.width());
        for_each(out.chunks_exact_mut(s.latents * width).enumerate(), |(task, out)| {
            let (sequence, head) = (task / s.heads, task % s.heads);
            let (values, weight) = (self.values_of(sequence, head), self.weight_of(head));
            matmul(&Out::new(out, s.latents, width), values, weight.t(), Store::Overwrite);
        });
    }

    /// Gradient of one head's and latents' rows.
    fn gradient_of<'d>(&self, d_values: &'d [f32], sequence: usize, head: usize) -> Mat<'d> {
        let (s, width) = (&self.shape, self.shape.width());
        let rows = s.latents * width;
        let first = (sequence * s.heads + head) * rows;
        Mat::new(&d_values[first..first + rows], s.latents, width)
    }

    /// The gradient of the values, put into their places in `d_kv`, for that of the rows,
    /// `[batch, heads * latents, dim]`.
    pub fn values_gradient(&self, d_values: &[f32], d_kv: Shared<'_, f32>) {
        let s = &self.shape;
        for_each(0..s.batch * s.heads, |task| {
            let (sequence, head) = (task / s.heads, task % s.heads);
            with_local(s.latents * s.head_dim, |rows| {
                let d_rows = self.gradient_of(d_values, sequence, head);
                let out = Out::new(rows, s.latents, s.head_dim);
                matmul(&out, d_rows, self.weight_of(head), Store::Overwrite);
                let place = latents_of(s, sequence, head, 1);
                for (latent, row) in rows.chunks_exact(s.head_dim).enumerate() {
                    let to = place.first + latent * place.stride;
                    // SAFETY: each task writes its own head of its own sequence.
                    unsafe { d_kv.part(to..to + s.head_dim) }.copy_from_slice(row);
                }
            });
        });
    }

    /// The gradient of the projection for that of the rows, added to `d_weight`.
    pub fn weight_gradient(&self, d_values: &[f32], d_weight: &mut [f32]) {
        let (s, width) = (&self.shape, self.shape.width());
        let d_weight = Shared::new(d_weight);
        for_each(0..s.heads, |head| {
            with_local(width * s.head_dim, |sum| {
                sum.fill(0.0);
                let out = Out::new(sum, width, s.head_dim);
                for sequence in 0..s.batch {
                    let d_rows = self.gradient_of(d_values, sequence, head);
                    matmul(&out, d_rows.t(), self.values_of(sequence, head), Store::Add);
                }
                for (row, sum) in sum.chunks_exact(s.head_dim).enumerate() {
                    let to = row * width + head * s.head_dim;
                    // SAFETY: each task writes the columns of its own head.
                    let to = unsafe { d_weight.part(to..to + s.head_dim) };
                    to.iter_mut().zip(sum).for_each(|(to, sum)| *to += sum);
                }
            });
        });
    }
}
