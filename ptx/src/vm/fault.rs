//! What a check of the virtual GPU found.

use super::access::Site;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Access outside every allocation, or across the end of one.
    OutOfBounds,
    /// Address not a multiple of the access width.
    Misaligned,
    /// Read of memory that nothing wrote.
    Uninitialised,
    /// Two accesses of shared memory by one block, one a write, with no barrier between; or of
    /// global memory by two of its warps, the first a write.
    Race,
    /// Two blocks wrote the same global byte, or one read what another wrote, in one launch.
    GlobalRace,
    /// Access to bytes whose asynchronous copy has not been waited for.
    PendingCopy,
    /// A barrier that not all threads reach, or that a part of a warp reaches.
    Barrier,
    /// A shuffle, vote or matrix instruction with lanes missing.
    InactiveLane,
    /// An address whose 32-bit index arithmetic wrapped around.
    IndexOverflow,
    /// No warp can go on.
    Deadlock,
    /// The instruction budget was used up.
    Budget,
    /// `trap`, an assertion, or an operation without a defined result.
    Trap,
}

/// A finding, located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Who and at which instruction.
    pub site: Site,
    /// Lane of the warp.
    pub lane: u32,
    /// Addresses, values, extents: everything known beyond the place.
    pub detail: String,
    /// The other access of a race: who, which lane, whether it wrote.
    pub other: Option<(Site, u32, bool)>,
}
