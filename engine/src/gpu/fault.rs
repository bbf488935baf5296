//! The word in which a kernel leaves the first index that it could not use.

use super::{Driver, Gpu};
use crate::Result;

/// Scratch slot of the word.
const SLOT: usize = 1;

/// A word that says "none yet", for a launch.
pub fn clear<D: Driver>(gpu: &mut Gpu<D>) -> Result<u64> {
    let word = gpu.scratch(SLOT, 8)?;
    gpu.driver.zero(word, 8)?;
    Ok(word)
}

/// The index that the launches since [`clear`] left. Waits for them: an argument that is out of
/// range is an error of the call that has it.
pub fn read<D: Driver>(gpu: &mut Gpu<D>, word: u64) -> Result<Option<usize>> {
    let mut bytes = [0; 8];
    gpu.driver.download(word, &mut bytes)?;
    Ok(match u64::from_ne_bytes(bytes) {
        0 => None,
        complement => Some(!complement as usize),
    })
}

/// Element `index` of an array of i32 at `address`.
pub fn integer<D: Driver>(gpu: &mut Gpu<D>, address: u64, index: usize) -> Result<i32> {
    let mut bytes = [0; 4];
    gpu.driver.download(address + 4 * index as u64, &mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}
