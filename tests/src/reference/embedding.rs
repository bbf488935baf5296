//! Rows of a table by token.

/// `out[r] = table[tokens[r]]`.
pub fn forward(table: &[f64], tokens: &[i32], width: usize) -> Vec<f64> {
    tokens.iter().flat_map(|&t| table[t as usize * width..][..width].to_vec()).collect()
}

/// `d_table + the rows of d_out, each added to the row of its token`.
pub fn backward(d_table: &[f64], d_out: &[f64], tokens: &[i32], width: usize) -> Vec<f64> {
    let mut sum = d_table.to_vec();
    for (d, &token) in d_out.chunks_exact(width).zip(tokens) {
        super::axpy(1.0, d, &mut sum[token as usize * width..][..width]);
    }
    sum
}
