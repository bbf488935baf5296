//! Host memory behind [`Buffer`]s.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::sync::Arc;

use crate::{Allocation, Buffer, DType, DeviceId, Element, Error, Result};

/// A cache line, and the width of the widest vector register.
const ALIGNMENT: usize = 64;

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), ALIGNMENT).ok()
}

/// A zeroed buffer.
pub fn alloc(device: DeviceId, dtype: DType, len: usize) -> Result<Buffer> {
    let refused = |bytes| Error::OutOfMemory { bytes, device: "cpu".into() };
    let bytes = len.checked_mul(dtype.size()).ok_or_else(|| refused(usize::MAX))?;
    let layout = layout(bytes).ok_or_else(|| refused(bytes))?;
    // SAFETY: the layout has a size of at least one byte and a valid power-of-two alignment.
    let address = unsafe { alloc_zeroed(layout) };
    if address.is_null() {
        return Err(refused(bytes));
    }
    let release = move |address: usize, _| {
        // SAFETY: `address` came from `alloc_zeroed` with this layout and is released once,
        // when the last handle is gone.
        unsafe { dealloc(address as *mut u8, layout) }
    };
    let allocation =
        Allocation { address: address as usize, bytes, device, release: Some(Box::new(release)) };
    Ok(Buffer::new(Arc::new(allocation), dtype, len))
}

fn own(device: DeviceId, op: &'static str, buffer: &Buffer) -> Result<()> {
    if buffer.device() == device { Ok(()) } else { Err(Error::Foreign { op }) }
}

/// The bytes of a buffer of this device.
pub fn bytes<'a>(device: DeviceId, op: &'static str, buffer: &'a Buffer) -> Result<&'a [u8]> {
    own(device, op, buffer)?;
    // SAFETY: extent: the buffer lies within its allocation, which its handle keeps alive for
    // 'a. Alignment: bytes. Stream: host. Aliasing: the device runs one operation at a time
    // (`&mut self`), and operations refuse outputs that overlap another argument.
    Ok(unsafe { std::slice::from_raw_parts(buffer.address() as *const u8, buffer.byte_len()) })
}

/// The bytes of a buffer of this device, for writing.
#[allow(clippy::mut_from_ref)]
pub fn bytes_mut<'a>(
    device: DeviceId,
    op: &'static str,
    buffer: &'a Buffer,
) -> Result<&'a mut [u8]> {
    own(device, op, buffer)?;
    // SAFETY: extent and alignment as in `bytes`. Stream: host. Aliasing: callers hold
    // `&mut` of the device and have checked that outputs overlap nothing else, so this is the
    // only reference into the range while the operation runs.
    Ok(unsafe { std::slice::from_raw_parts_mut(buffer.address() as *mut u8, buffer.byte_len()) })
}

/// The elements of an argument that is read.
pub fn read<'a, T: Element>(
    device: DeviceId,
    op: &'static str,
    buffer: &'a Buffer,
) -> Result<&'a [T]> {
    expect::<T>(op, buffer)?;
    Ok(bytemuck::cast_slice(bytes(device, op, buffer)?))
}

/// The elements of an argument that is written.
#[allow(clippy::mut_from_ref)]
pub fn write<'a, T: Element>(
    device: DeviceId,
    op: &'static str,
    buffer: &'a Buffer,
) -> Result<&'a mut [T]> {
    expect::<T>(op, buffer)?;
    Ok(bytemuck::cast_slice_mut(bytes_mut(device, op, buffer)?))
}

/// bf16 is storage of a GPU; the CPU keeps and copies it, and computes in f32.
pub fn refused(op: &'static str) -> Error {
    Error::Storage { device: format!("{op}: the CPU"), found: DType::BF16 }
}

fn expect<T: Element>(op: &'static str, buffer: &Buffer) -> Result<()> {
    if buffer.dtype() == T::DTYPE {
        return Ok(());
    }
    if buffer.dtype() == DType::BF16 {
        return Err(refused(op));
    }
    Err(Error::Type { op, what: "argument", found: buffer.dtype(), expected: T::DTYPE })
}
