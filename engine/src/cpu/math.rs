//! Elementary functions and reductions that compile to vector code.

/// Lanes of a reduction. Fixed, so that the order of additions does not depend on the machine.
pub const LANES: usize = 16;

/// `e^x` within 2 ulp; 0 below -87.3 and infinity above 88.72.
///
/// Cody-Waite reduction to `|r| <= ln(2)/2` and a degree-6 minimax polynomial; free of
/// branches, so that a loop over it becomes vector code.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts; the product of the first with |n| < 2^8 is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    // Inside these limits the result is a normal number.
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.72;
    let clamped = x.clamp(LOWEST, HIGHEST);
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // Times 2^n: the integer stands in the low bits of the shifted number, and is added to the
    // exponent. (`n as i32` would saturate, which no vector instruction does: the loop around
    // it would fall apart into scalars.)
    let y = f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23));
    let y = if x < LOWEST { 0.0 } else { y };
    // Fails for NaN too, whose bits the addition above may have spoilt.
    if x <= HIGHEST { y } else { x + f32::INFINITY }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Adds lanes pairwise, in a fixed order.
#[inline(always)]
pub fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `sum of f(a, b)` over two slices of one length.
#[inline(always)]
pub fn sum_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 =
        a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += f(a[i], b[i]);
        }
    }
    sum_lanes(lanes) + tail
}

/// Inner product.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_pairs(a, b, |a, b| a * b)
}

/// `y += a * x`.
#[inline(always)]
pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// Largest element; negative infinity for none.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut top = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, larger);
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], chunk[i]);
        }
    }
    for lane in lanes {
        top = larger(top, lane);
    }
    top
}

/// Replaces `x` by `e^(x - shift)` and returns the sum.
#[inline(always)]
pub fn exp_sum(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for chunk in chunks.by_ref() {
        for i in 0..LANES {
            chunk[i] = exp(chunk[i] - shift);
            lanes[i] += chunk[i];
        }
    }
    let mut tail = 0.0;
    for x in chunks.into_remainder() {
        *x = exp(*x - shift);
        tail += *x;
    }
    sum_lanes(lanes) + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut x = -87.0f32;
        while x < 88.7 {
            let exact = (x as f64).exp();
            let ulp = (f32::from_bits((exact as f32).to_bits() + 1) - exact as f32) as f64;
            assert!((exp(x) as f64 - exact).abs() <= 2.0 * ulp, "exp({x})");
            x += 0.0137;
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(200.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_agree_with_plain_sums() {
        let a: Vec<f32> = (0..77).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), (0..77).map(|i| (i * i) as f32).sum::<f32>());
        assert_eq!(max(&a), 76.0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }
}
