//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! A counter-based generator: a number is a pure function of its key and counter, so a
//! resumed run, another thread count or another device draws the same numbers.

const MULTIPLIER_0: u32 = 0xD251_1F53;
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
const WEYL_0: u32 = 0x9E37_79B9;
const WEYL_1: u32 = 0xBB67_AE85;

/// The ten-round block function: 128 random bits for one counter under one key.
pub const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < 10 {
        let p0 = c0 as u64 * MULTIPLIER_0 as u64;
        let p1 = c2 as u64 * MULTIPLIER_1 as u64;
        (c0, c1, c2, c3) =
            ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
        round += 1;
    }
    [c0, c1, c2, c3]
}

/// Names one stream of numbers. Counter layout: `[block, site, sample, iteration]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Seed of the run; the key.
    pub seed: u64,
    /// What the numbers are for; the trainer keeps the list.
    pub site: u32,
    /// Sequence of the batch.
    pub sample: u32,
    /// Training iteration.
    pub iteration: u32,
}

impl Stream {
    /// Four 32-bit words of block `block`.
    pub const fn block(&self, block: u32) -> [u32; 4] {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        philox4x32_10([block, self.site, self.sample, self.iteration], key)
    }

    /// Four standard normal numbers of block `block`: Box-Muller on `(0, 1]` uniforms.
    pub fn normals(&self, block: u32) -> [f32; 4] {
        let [a, b, c, d] = self.block(block);
        let [x, y] = box_muller(a, b);
        let [z, w] = box_muller(c, d);
        [x, y, z, w]
    }

    /// A uniform number in `[0, 1)` with 24 random bits.
    pub const fn uniform(&self, block: u32) -> f32 {
        (self.block(block)[0] >> 8) as f32 * (1.0 / 16_777_216.0)
    }
}

/// Evaluated in f64, so that the rounding of `ln`, `sin` and `cos` does not show in f32.
fn box_muller(a: u32, b: u32) -> [f32; 2] {
    const STEP: f64 = 1.0 / 4_294_967_296.0;
    let radius = (-2.0 * ((a as f64 + 1.0) * STEP).ln()).sqrt();
    let angle = std::f64::consts::TAU * (b as f64 * STEP);
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream { seed: 7, site: 1, sample: 2, iteration: 3 };
        let n = 50_000;
        let (mut sum, mut square) = (0.0, 0.0);
        for block in 0..n {
            for x in stream.normals(block) {
                sum += x as f64;
                square += (x as f64).powi(2);
            }
        }
        let count = n as f64 * 4.0;
        assert!((sum / count).abs() < 0.01);
        assert!((square / count - 1.0).abs() < 0.01);
    }
}
