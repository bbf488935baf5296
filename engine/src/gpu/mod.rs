//! The backend of GPUs: every operation as launches of compiled kernels, generic over the
//! driver that allocates, copies and launches. One file per operation turns its arguments into
//! launches; there is no other copy of that code.

mod adamw;
mod add;
pub mod cuda;
mod device;
mod driver;
mod embedding;
mod fault;
mod gaussian;
mod grouped_linear;
pub mod inspect;
mod latent_attention;
mod latent_block;
mod ledger;
mod linear;
mod linear_cross_entropy;
mod linear_rms_norm;
mod linear_swiglu;
mod memory;
mod normal;
mod ops;
mod product;
mod recorder;
mod rms_norm;
mod ropes;
mod sample;
mod scratch;
mod swiglu;
#[cfg(test)]
mod tests;
mod trace;
mod vm;
mod window_attention;

use std::sync::atomic::{AtomicU64, Ordering};

use ltm_ptx::{Launch, Storage};

use crate::{Buffer, DType, DeviceId, Error, Result};

pub use driver::{Driver, Recording, Release};
pub use ledger::Ledger;
pub use product::{By, Gemm, Product, ProductChoices, ProductKind, ProductShape};
pub use ropes::Rope;
pub use vm::{LaunchRecord, Vm};

/// A GPU as a device, through its driver.
pub struct Gpu<D: Driver> {
    id: DeviceId,
    driver: recorder::Recorder<D>,
    ropes: ropes::Ropes,
    scratch: scratch::Scratch,
    ends: adamw::Ends,
    faults: fault::Faults,
    /// Operations take what they need and launch nothing.
    rehearsing: bool,
    /// Bytes that may be used, where not all are.
    limit: Option<u64>,
}

impl<D: Driver> Gpu<D> {
    /// A device on `driver`.
    pub fn new(driver: D) -> Self {
        // Counted apart from the CPU's devices by the upper half.
        static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
        Self {
            id: DeviceId(NEXT.fetch_add(1, Ordering::Relaxed)),
            driver: recorder::Recorder::new(driver),
            ropes: ropes::Ropes::default(),
            scratch: scratch::Scratch::default(),
            ends: adamw::Ends::default(),
            faults: fault::Faults::default(),
            rehearsing: false,
            limit: None,
        }
    }

    /// The same device with at most `limit` bytes of its memory to use.
    #[must_use]
    pub fn within(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// The driver, for what it offers beyond [`crate::Device`].
    pub fn driver(&mut self) -> &mut D {
        self.driver.inner()
    }

    /// Runs a kernel after all earlier ones.
    fn launch(&mut self, launch: &Launch) -> Result<()> {
        match self.rehearsing {
            true => self.driver.prepare(launch.entry),
            false => self.driver.launch(launch),
        }
    }

    /// Address of at least `bytes` of device memory that is kept between calls, one block per
    /// `slot` (small numbers), aligned to 256 bytes. Its contents are undefined: the operation
    /// that asks for a slot writes before it reads. A larger request moves the slot.
    fn scratch(&mut self, slot: usize, bytes: usize) -> Result<u64> {
        self.scratch.get(&mut self.driver, self.id, slot, bytes)
    }

    /// Tables of the angles of the positions `first, first + stride, ...`, `count` of them, for
    /// heads of `head_dim` numbers; kept between calls.
    fn rope(
        &mut self,
        first: i64,
        stride: i64,
        count: usize,
        head_dim: usize,
        theta: f64,
    ) -> Result<Rope> {
        let request = ropes::Request { first, stride, count, head_dim, theta };
        self.ropes.get(&mut self.driver, self.id, request)
    }
}

/// Device address of an argument.
///
/// # Errors
/// [`Error::Foreign`] for a buffer of another device.
fn pointer(id: DeviceId, op: &'static str, buffer: &Buffer) -> Result<u64> {
    if buffer.device() == id { Ok(buffer.address() as u64) } else { Err(Error::Foreign { op }) }
}

/// Device address of an argument that may be absent: 0 where it is.
///
/// # Errors
/// [`Error::Foreign`] for a buffer of another device.
fn optional(id: DeviceId, op: &'static str, buffer: Option<&Buffer>) -> Result<u64> {
    buffer.map_or(Ok(0), |buffer| pointer(id, op, buffer))
}

/// The storage type that a call works in, by its argument `what`.
///
/// # Errors
/// [`Error::Type`] for anything but f32 and bf16.
fn storage(op: &'static str, what: &'static str, buffer: &Buffer) -> Result<Storage> {
    match buffer.dtype() {
        DType::F32 => Ok(Storage::F32),
        DType::BF16 => Ok(Storage::Bf16),
        found => Err(Error::Type { op, what, found, expected: DType::F32 }),
    }
}

/// An extent as kernels take it.
///
/// # Errors
/// [`Error::Value`] where it does not fit 31 bits.
fn extent(op: &'static str, what: &'static str, extent: usize) -> Result<u32> {
    match u32::try_from(extent) {
        Ok(small) if small <= i32::MAX as u32 => Ok(small),
        _ => Err(Error::Value {
            op,
            detail: format!("{what} is {extent}; the kernels take extents below 2^31"),
        }),
    }
}
