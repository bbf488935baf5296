//! Linear maps without bias.

use super::{axpy, dot};

/// `x weight^T` for rows of `inner` numbers.
pub fn forward(x: &[f64], weight: &[f64], inner: usize) -> Vec<f64> {
    let product = |row: &[f64]| -> Vec<f64> {
        weight.chunks_exact(inner).map(|column| dot(row, column)).collect()
    };
    x.chunks_exact(inner).flat_map(product).collect()
}

/// `d_out weight`.
pub fn backward_input(d_out: &[f64], weight: &[f64], inner: usize) -> Vec<f64> {
    let outer = weight.len() / inner;
    let product = |d: &[f64]| {
        let mut row = vec![0.0; inner];
        d.iter().zip(weight.chunks_exact(inner)).for_each(|(d, w)| axpy(*d, w, &mut row));
        row
    };
    d_out.chunks_exact(outer).flat_map(product).collect()
}

/// `d_out^T x`.
pub fn backward_weight(d_out: &[f64], x: &[f64], outer: usize, inner: usize) -> Vec<f64> {
    let mut sum = vec![0.0; outer * inner];
    for (d, x) in d_out.chunks_exact(outer).zip(x.chunks_exact(inner)) {
        d.iter().zip(sum.chunks_exact_mut(inner)).for_each(|(d, row)| axpy(*d, x, row));
    }
    sum
}
