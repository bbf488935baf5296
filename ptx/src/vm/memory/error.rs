//! What can go wrong on the host side of global memory.

use std::fmt;

/// A refused request of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The request does not fit in what is left of the budget.
    Budget {
        /// Bytes asked for.
        asked: u64,
        /// Bytes in use.
        used: u64,
        /// Bytes that may be in use.
        budget: u64,
    },
    /// No allocation starts at this address.
    NotAllocated {
        /// The address.
        address: u64,
    },
    /// A range of bytes that is not inside one allocation.
    OutOfBounds {
        /// First address.
        address: u64,
        /// Extent.
        bytes: u64,
    },
    /// More blocks in a launch than can be told apart.
    Blocks {
        /// Blocks asked for.
        asked: u64,
        /// The most that can be.
        most: u64,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget { asked, used, budget } => {
                write!(f, "{asked} bytes of device memory asked for, {used} of {budget} are in use")
            }
            Self::NotAllocated { address } => write!(f, "no allocation starts at {address:#x}"),
            Self::OutOfBounds { address, bytes } => {
                write!(f, "{bytes} bytes at {address:#x} are not inside one allocation")
            }
            Self::Blocks { asked, most } => {
                write!(f, "a launch of {asked} blocks: the virtual GPU takes at most {most}")
            }
        }
    }
}

impl std::error::Error for MemoryError {}
