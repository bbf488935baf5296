//! Rotary position angles. Pairs are neighbours `(2j, 2j+1)`, turned by
//! `position * theta^(-2j/d)` (Su et al., 2021; the released LTM code).

/// Table of cosines and sines for a list of positions.
#[derive(Clone, Debug)]
pub struct RopeTable {
    head_dim: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// Cosines and signed sines of one position, one of each per number of a head: number `i`
/// becomes `x[i] * cos[i] + x[i ^ 1] * sin[i]`.
pub type Angles<'a> = (&'a [f32], &'a [f32]);

impl RopeTable {
    /// Angles for `positions` and heads of `head_dim` numbers. Evaluated in f64: an f32 angle
    /// is off by 6e-8 x position radians, which shows at position 1000.
    pub fn new(positions: impl IntoIterator<Item = i64>, head_dim: usize, theta: f64) -> Self {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in positions {
            for j in 0..head_dim / 2 {
                let inverse = 1.0 / theta.powf(2.0 * j as f64 / head_dim as f64);
                let angle = position as f64 * inverse;
                cos.extend([angle.cos() as f32; 2]);
                sin.extend([-angle.sin() as f32, angle.sin() as f32]);
            }
        }
        Self { head_dim, cos, sin }
    }

    /// Angles of row `index`.
    pub fn row(&self, index: usize) -> Angles<'_> {
        let range = index * self.head_dim..(index + 1) * self.head_dim;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// `out = rotate(x)` for one head of one position, times `scale`.
#[inline(always)]
pub fn rotate(x: &[f32], out: &mut [f32], (cos, sin): Angles<'_>, scale: f32) {
    for i in 0..x.len() {
        out[i] = (x[i] * cos[i] + x[i ^ 1] * sin[i]) * scale;
    }
}

/// The transpose of [`rotate`]: carries a gradient back to the unrotated vector.
#[inline(always)]
pub fn rotate_back(x: &[f32], out: &mut [f32], (cos, sin): Angles<'_>, scale: f32) {
    for i in 0..x.len() {
        out[i] = (x[i] * cos[i] - x[i ^ 1] * sin[i]) * scale;
    }
}
