//! Blocks of device memory with an owner.

use std::sync::Arc;

use super::{Driver, Release};
use crate::{Allocation, Buffer, DType, DeviceId, Error, Result};

/// A buffer with undefined contents.
pub fn alloc<D: Driver>(
    driver: &mut D,
    device: DeviceId,
    dtype: DType,
    len: usize,
) -> Result<Buffer> {
    take(driver, device, dtype, len, D::alloc)
}

/// A buffer of zeros.
pub fn alloc_zeroed<D: Driver>(
    driver: &mut D,
    device: DeviceId,
    dtype: DType,
    len: usize,
) -> Result<Buffer> {
    take(driver, device, dtype, len, D::alloc_zeroed)
}

fn take<D: Driver>(
    driver: &mut D,
    device: DeviceId,
    dtype: DType,
    len: usize,
    alloc: impl FnOnce(&mut D, usize) -> Result<(u64, Release)>,
) -> Result<Buffer> {
    let Some(bytes) = len.checked_mul(dtype.size()) else {
        return Err(Error::OutOfMemory { bytes: usize::MAX, device: driver.name() });
    };
    let (address, release) = alloc(driver, bytes)?;
    let address = address as usize;
    let allocation = Allocation { address, bytes, device, release: Some(release) };
    Ok(Buffer::new(Arc::new(allocation), dtype, len))
}
