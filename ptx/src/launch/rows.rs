//! Block shapes of kernels that walk over rows.

use super::Storage;

/// Threads in x (along a row) and y (rows) of a block for rows of `width` numbers, of which a
/// thread takes `per_thread` at a time. x is a multiple of a warp and at most `most`; rows that
/// need less than `most` share a block.
pub(super) fn block(width: u32, per_thread: u32, most: u32) -> [u32; 3] {
    let x = width.div_ceil(per_thread).next_multiple_of(32).clamp(32, most);
    let y = (256 / x).max(1);
    // A power of two, so that it divides the rows of a block.
    [x, 1 << y.ilog2(), 1]
}

/// Numbers in 16 bytes where every row starts on a multiple of 16 bytes, else 1.
pub(super) fn vector(storage: Storage, width: u32) -> u32 {
    let numbers = 16 / storage.size() as u32;
    if width.is_multiple_of(numbers) { numbers } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_warps_and_no_larger_than_allowed() {
        assert_eq!(block(6, 1, 512), [32, 8, 1]);
        assert_eq!(block(1376, 4, 512), [352, 1, 1]);
        assert_eq!(block(96, 1, 512), [96, 2, 1]);
        assert_eq!(block(1 << 20, 1, 512), [512, 1, 1]);
        for width in 1..3000 {
            let [x, y, _] = block(width, 4, 512);
            assert!(x.is_multiple_of(32) && x <= 512 && y.is_power_of_two() && x * y <= 512);
        }
    }
}
