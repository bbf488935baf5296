//! Linear maps of a few rows: each output is one inner product in a fixed order, so a row has
//! the same bits whatever rows stand beside it. Blocked matrix products do not keep that.
//!
//! With few rows the weights are what takes the time: every task reads its own once, and lets
//! all rows meet them.

use super::super::lanes::{Lanes, WIDTH};
use super::super::math::{LANES, sum_lanes};
use super::super::memory::{read, write};
use super::super::parallel::Shared;
use super::super::pool::for_each;
use crate::ops::LinearForward;
use crate::{DeviceId, Result};

/// Features of one task: their weights stay in a core's cache while the rows pass.
const BLOCK: usize = 32;

pub fn decode(device: DeviceId, args: &LinearForward<'_>) -> Result<()> {
    const OP: &str = "linear_decode";
    let x = read::<f32>(device, OP, args.x)?;
    let weight = read::<f32>(device, OP, args.weight)?;
    let residual = args.residual.map(|r| read::<f32>(device, OP, r)).transpose()?;
    let out = Shared::new(write::<f32>(device, OP, args.out)?);
    let (rows, inner, outer) = (args.rows, args.inner, args.outer);
    for_each(0..outer.div_ceil(BLOCK), |block| {
        let first = block * BLOCK;
        let features = BLOCK.min(outer - first);
        let weight = &weight[first * inner..(first + features) * inner];
        let mut row = 0;
        while row < rows {
            let count = if rows - row >= 4 { 4 } else { 1 };
            let x = &x[row * inner..(row + count) * inner];
            let mut sums = [[0.0; BLOCK]; 4];
            // SAFETY: `count` rows and `features` weights of `inner` numbers each.
            unsafe { products(x, weight, inner, &mut sums) };
            for (r, sums) in sums[..count].iter().enumerate() {
                let at = (row + r) * outer + first;
                // SAFETY: these columns belong to this task alone.
                let out = unsafe { out.part(at..at + features) };
                match residual {
                    None => out.copy_from_slice(&sums[..features]),
                    Some(residual) => {
                        let terms = sums.iter().zip(&residual[at..at + features]);
                        out.iter_mut().zip(terms).for_each(|(out, (s, r))| *out = s + r);
                    }
                }
            }
            row += count;
        }
    });
    Ok(())
}

dispatch! {
    /// `sums[r][f] = x[r] . weight[f]` for the one or four rows of `x`, and all of `weight`.
    ///
    /// # Safety
    /// `x` holds one or four rows of `inner` numbers, `weight` at most `BLOCK`.
    unsafe fn products(
        x: &[f32],
        weight: &[f32],
        inner: usize,
        sums: &mut [[f32; BLOCK]; 4],
    ) => products_with
}

/// # Safety
/// As for [`products`], and the instructions of `V` exist.
#[inline(always)]
unsafe fn products_with<V: Lanes>(
    x: &[f32],
    weight: &[f32],
    inner: usize,
    sums: &mut [[f32; BLOCK]; 4],
) {
    // SAFETY: the caller's promise. A tile's sums take at most half of the registers, and a
    // single row meets eight features at a time, whose chains of additions then overlap.
    unsafe {
        match (V::REGISTERS, x.len() == inner) {
            (32.., true) => tiles::<V, 1, 8>(x, weight, inner, sums),
            (32.., false) => tiles::<V, 4, 4>(x, weight, inner, sums),
            (_, true) => tiles::<V, 1, 4>(x, weight, inner, sums),
            (_, false) => tiles::<V, 4, 1>(x, weight, inner, sums),
        }
    }
}

/// The products in tiles of `R` rows and `F` features, then of single features.
///
/// # Safety
/// As for [`products_with`], with `R` rows.
#[inline(always)]
unsafe fn tiles<V: Lanes, const R: usize, const F: usize>(
    x: &[f32],
    weight: &[f32],
    inner: usize,
    sums: &mut [[f32; BLOCK]; 4],
) {
    let features = weight.len().checked_div(inner).unwrap_or(0);
    let mut feature = 0;
    // SAFETY: the features of each tile are there.
    unsafe {
        while feature + F <= features {
            tile::<V, R, F>(x, &weight[feature * inner..], inner, feature, sums);
            feature += F;
        }
        while feature < features {
            tile::<V, R, 1>(x, &weight[feature * inner..], inner, feature, sums);
            feature += 1;
        }
    }
}

/// Each sum runs over sixteen lanes of the inner index, which are then added pairwise, and over
/// the remainder: the same additions whatever `R` and `F` are.
///
/// # Safety
/// `x` holds `R` rows and `weight` at least `F` of `inner` numbers; the instructions of `V`
/// exist.
#[inline(always)]
unsafe fn tile<V: Lanes, const R: usize, const F: usize>(
    x: &[f32],
    weight: &[f32],
    inner: usize,
    feature: usize,
    sums: &mut [[f32; BLOCK]; 4],
) {
    const { assert!(WIDTH == LANES) };
    let whole = inner / WIDTH * WIDTH;
    // SAFETY: extent: the caller's promise. Alignment: unaligned loads of f32. Aliasing: reads
    // only. Instructions: those of the caller.
    unsafe {
        let mut lanes = [[V::splat(0.0); F]; R];
        for k in (0..whole).step_by(WIDTH) {
            let mut weights = [V::splat(0.0); F];
            for (f, w) in weights.iter_mut().enumerate() {
                *w = V::load(weight.as_ptr().add(f * inner + k));
            }
            for (r, lanes) in lanes.iter_mut().enumerate() {
                let x = V::load(x.as_ptr().add(r * inner + k));
                for (lane, w) in lanes.iter_mut().zip(weights) {
                    *lane = x.mul_add(w, *lane);
                }
            }
        }
        for (r, lanes) in lanes.into_iter().enumerate() {
            for (f, lanes) in lanes.into_iter().enumerate() {
                let mut numbers = [0.0; WIDTH];
                lanes.store(numbers.as_mut_ptr());
                let mut tail = 0.0;
                for k in whole..inner {
                    tail += x[r * inner + k] * weight[f * inner + k];
                }
                sums[r][feature + f] = sum_lanes(numbers) + tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * step) % 13) as f32 - 6.0).collect()
    }

    type Products = unsafe fn(&[f32], &[f32], usize, &mut [[f32; BLOCK]; 4]);

    /// Small integers: sums are exact, so the comparison can be exact too.
    #[test]
    fn every_set_of_instructions_agrees_with_the_triple_loop() {
        let mut ways: Vec<Products> = vec![products, products_with::<crate::cpu::lanes::Plain>];
        #[cfg(target_arch = "x86_64")]
        if crate::cpu::simd::level() >= crate::cpu::simd::Level::Avx2 {
            ways.push(products_with::<crate::cpu::lanes::Pair>);
        }
        for (rows, inner, features) in [(1, 1, 1), (4, 33, 32), (1, 48, 31), (4, 16, 5), (4, 0, 3)]
        {
            let (x, weight) = (integers(rows * inner, 7), integers(features * inner, 5));
            for way in &ways {
                let mut sums = [[0.0; BLOCK]; 4];
                // SAFETY: the extents fit, and this machine has the instructions.
                unsafe { way(&x, &weight, inner, &mut sums) };
                for r in 0..rows {
                    for f in 0..features {
                        let terms = (0..inner).map(|k| x[r * inner + k] * weight[f * inner + k]);
                        assert_eq!(sums[r][f], terms.sum::<f32>(), "({r}, {f}) of {inner}");
                    }
                }
            }
        }
    }
}
