//! What passes between the executor and the memories: who accesses, which lanes, how wide.

/// Lanes of a warp.
pub const WARP: usize = 32;

/// One value per lane of a warp.
pub type Lanes<T> = [T; WARP];

/// Widest access of one lane, as 32-bit words in memory order.
pub type Wide = [u32; 4];

/// The warp and the instruction that access memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Linear index of the block in the grid.
    pub block: u64,
    /// Warp in the block. Thread `warp * 32 + lane` of the block is a lane's linear index.
    pub warp: u32,
    /// Index of the instruction in its function's body.
    pub pc: u32,
}

/// Lanes set in a mask, ascending.
pub fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let lane = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (lane < WARP).then_some(lane)
    })
}
