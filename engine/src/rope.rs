//! Rotary position angles. Pairs are neighbours `(2j, 2j+1)`, turned by
//! `position * theta^(-2j/d)` (Su et al., 2021; the released LTM code).

/// Table of cosines and sines for a list of positions.
#[derive(Clone, Debug)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// Angles for `positions` and heads of `head_dim` numbers. Evaluated in f64: an f32 angle
    /// is off by 6e-8 x position radians, which shows at position 1000.
    pub fn new(positions: impl IntoIterator<Item = i64>, head_dim: usize, theta: f64) -> Self {
        let half = head_dim / 2;
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in positions {
            for j in 0..half {
                let inverse = 1.0 / theta.powf(2.0 * j as f64 / head_dim as f64);
                let angle = position as f64 * inverse;
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        Self { half, cos, sin }
    }

    /// Cosines and sines of row `index`, `head_dim / 2` each.
    pub fn row(&self, index: usize) -> (&[f32], &[f32]) {
        let range = index * self.half..(index + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// `out = rotate(x)` for one head of one position, times `scale`.
#[inline(always)]
pub fn rotate(x: &[f32], out: &mut [f32], (cos, sin): (&[f32], &[f32]), scale: f32) {
    for (((x, out), c), s) in
        x.chunks_exact(2).zip(out.chunks_exact_mut(2)).zip(cos).zip(sin)
    {
        out[0] = (x[0] * c - x[1] * s) * scale;
        out[1] = (x[0] * s + x[1] * c) * scale;
    }
}

/// The transpose of [`rotate`]: carries a gradient back to the unrotated vector.
#[inline(always)]
pub fn rotate_back(x: &[f32], out: &mut [f32], (cos, sin): (&[f32], &[f32]), scale: f32) {
    for (((x, out), c), s) in
        x.chunks_exact(2).zip(out.chunks_exact_mut(2)).zip(cos).zip(sin)
    {
        out[0] = (x[0] * c + x[1] * s) * scale;
        out[1] = (x[1] * c - x[0] * s) * scale;
    }
}
