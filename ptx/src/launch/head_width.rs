//! The widths that the attention kernels are compiled for.

/// Instances in the order of the entry points.
const WIDTHS: [u32; 4] = [16, 32, 64, 128];

/// A head size that the attention kernels take, and the instance that serves it: the narrowest
/// that holds it. Only a head as wide as its instance moves by 16-byte vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadWidth {
    head_dim: u32,
    index: usize,
}

impl HeadWidth {
    /// Largest head size.
    pub const MAX: usize = 128;

    /// `None` unless `head_dim` is even and `2..=128`.
    pub fn new(head_dim: usize) -> Option<Self> {
        let head_dim = u32::try_from(head_dim).ok().filter(|d| *d > 0 && d % 2 == 0)?;
        let index = WIDTHS.iter().position(|&width| head_dim <= width)?;
        Some(Self { head_dim, index })
    }

    /// Numbers of a head.
    pub const fn head_dim(self) -> u32 {
        self.head_dim
    }

    /// Numbers that the instance holds: 16, 32, 64 or 128.
    pub const fn padded(self) -> u32 {
        WIDTHS[self.index]
    }

    /// `1 / sqrt(head_dim)`.
    pub fn scale(self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }

    /// Index of the instance among the entry points of one pass.
    pub(super) const fn index(self) -> usize {
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_instance_serves() {
        let padded = |d| HeadWidth::new(d).map(HeadWidth::padded);
        assert_eq!([2, 6, 16, 18, 64, 128].map(padded), [16, 16, 16, 32, 64, 128].map(Some));
        assert_eq!([0, 7, 130, usize::MAX].map(padded), [None; 4]);
    }
}
