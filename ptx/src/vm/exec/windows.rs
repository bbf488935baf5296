//! Generic addresses: global ones are themselves, the other spaces lie in windows that no global
//! allocation reaches.

use crate::vm::ast::Space;

const EXTENT: u64 = 1 << 32;
const SHARED: u64 = 0x7f00_0000_0000_0000;
const LOCAL: u64 = 0x7f01_0000_0000_0000;
const CONST: u64 = 0x7f02_0000_0000_0000;
const PARAM: u64 = 0x7f03_0000_0000_0000;

/// Where the window of a space begins.
pub(super) fn base(space: Space) -> u64 {
    match space {
        Space::Global => 0,
        Space::Shared => SHARED,
        Space::Local => LOCAL,
        Space::Const => CONST,
        Space::Param => PARAM,
    }
}

/// Which space a generic address is in.
pub(super) fn space_of(address: u64) -> Space {
    for space in [Space::Shared, Space::Local, Space::Const, Space::Param] {
        if address.wrapping_sub(base(space)) < EXTENT {
            return space;
        }
    }
    Space::Global
}
