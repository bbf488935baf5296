//! Inputs: a pure function of a seed, so that a case always meets the same numbers.

use ltm_engine::philox::Stream;

fn stream(seed: u64) -> Stream {
    Stream { seed, site: 0, sample: 0, iteration: 0 }
}

/// `n` standard normal numbers.
pub fn normals(seed: u64, n: usize) -> Vec<f32> {
    let stream = stream(seed);
    (0..n.div_ceil(4) as u32).flat_map(|block| stream.normals(block)).take(n).collect()
}

/// `n` normal numbers with mean `mean` and deviation `std`.
pub fn gaussians(seed: u64, n: usize, mean: f32, std: f32) -> Vec<f32> {
    normals(seed, n).into_iter().map(|x| mean + std * x).collect()
}

/// `n` integers below `end`.
pub fn integers(seed: u64, n: usize, end: usize) -> Vec<i32> {
    let stream = stream(seed);
    let words = (0..n.div_ceil(4) as u32).flat_map(|block| stream.block(block));
    words.take(n).map(|word| (word as usize % end) as i32).collect()
}

/// The positions of `tokens`, sorted by token and then by position.
pub fn sorted_order(tokens: &[i32]) -> Vec<i32> {
    let mut order: Vec<i32> = (0..tokens.len() as i32).collect();
    order.sort_by_key(|&row| tokens[row as usize]);
    order
}

/// The same numbers in f64.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x as f64).collect()
}

/// The same numbers, rounded to f32.
pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}
