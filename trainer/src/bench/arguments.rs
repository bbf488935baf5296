//! Sets of arguments, counted as they are made.

use ltm_engine::gpu::{Gemm, ProductChoices};
use ltm_engine::ops::AdamWStep;
use ltm_engine::philox::Stream;
use ltm_engine::{Buffer, DType, Device, DeviceExt, bf16};

use super::timing::{Call, Sampling, Times, time};
use super::{Ceilings, KernelTime};
use crate::Result;

/// Different random numbers of a buffer; longer ones repeat them.
const NUMBERS: usize = 1 << 18;
/// Sets of arguments at most.
const SETS: u64 = 64;

/// Measurements as they are made.
pub(super) struct Cases<'a> {
    device: &'a mut dyn Device,
    storage: DType,
    /// Whether there is a library beside which products are measured.
    with_library: bool,
    sampling: Sampling,
    ceilings: &'a Ceilings,
    all: Vec<KernelTime>,
}

impl<'a> Cases<'a> {
    /// None yet.
    pub fn new(
        device: &'a mut dyn Device,
        (storage, with_library): (DType, bool),
        sampling: Sampling,
        ceilings: &'a Ceilings,
    ) -> Self {
        Self { device, storage, with_library, sampling, ceilings, all: Vec::new() }
    }

    /// What was measured.
    pub fn finish(self) -> Vec<KernelTime> {
        self.all
    }

    /// Measures an operation of `flops` FLOPs whose calls `make` makes, one set of arguments each.
    pub fn measure(
        &mut self,
        operation: &'static str,
        of: &'static str,
        flops: f64,
        make: impl Fn(&mut Arguments<'_>) -> ltm_engine::Result<Call>,
    ) -> Result<()> {
        let mut set = || {
            let (device, storage) = (&mut *self.device, self.storage);
            let mut arguments = Arguments { device, storage, bytes: 0 };
            make(&mut arguments).map(|call| (call, arguments.bytes))
        };
        let (first, bytes) = set()?;
        let mut calls = vec![first];
        let sets = self.sampling.rotated_bytes.div_ceil(bytes.max(1)).clamp(2, SETS);
        for _ in 1..sets {
            calls.push(set()?.0);
        }
        let times = time(self.device, &calls, self.sampling)?;
        let is_product =
            operation.starts_with("linear_forward") || operation.starts_with("linear_backward");
        let cublas = match self.with_library && is_product {
            true => Some(by_library(self.device, &calls, self.sampling)?),
            false => None,
        };
        let (least, limited_by_arithmetic) = self.ceilings.least(bytes, flops);
        let share_of_ceiling = least / times.median;
        let sets = calls.len();
        self.all.push(KernelTime {
            operation,
            of,
            times,
            bytes,
            flops,
            cublas,
            sets,
            share_of_ceiling,
            limited_by_arithmetic,
        });
        Ok(())
    }
}

/// Seconds of the same calls by the library; our own kernels are chosen again afterwards.
fn by_library(device: &mut dyn Device, calls: &[Call], sampling: Sampling) -> Result<Times> {
    let none = ProductChoices::default();
    device.choose_products(Gemm::Cublas, &none)?;
    let times = time(device, calls, sampling);
    device.choose_products(Gemm::Own, &none)?;
    times
}

/// Makes the arguments of one call and counts the bytes that must move.
pub(super) struct Arguments<'a> {
    device: &'a mut dyn Device,
    storage: DType,
    bytes: u64,
}

impl Arguments<'_> {
    /// A tensor in storage, read or overwritten.
    pub fn stored(&mut self, len: usize) -> ltm_engine::Result<Buffer> {
        self.made(self.storage, len, 1)
    }

    /// A table in storage of which `elements` are touched.
    pub fn stored_in_part(&mut self, len: usize, elements: usize) -> ltm_engine::Result<Buffer> {
        self.bytes += (elements * self.storage.size()) as u64;
        self.made(self.storage, len, 0)
    }

    /// An f32 tensor, read or overwritten.
    pub fn floats(&mut self, len: usize) -> ltm_engine::Result<Buffer> {
        self.made(DType::F32, len, 1)
    }

    /// An f32 tensor that is read and written.
    pub fn updated(&mut self, len: usize) -> ltm_engine::Result<Buffer> {
        self.made(DType::F32, len, 2)
    }

    /// An f32 table of which `elements` are read and written.
    pub fn updated_in_part(&mut self, len: usize, elements: usize) -> ltm_engine::Result<Buffer> {
        self.bytes += (2 * elements * DType::F32.size()) as u64;
        self.made(DType::F32, len, 0)
    }

    /// Moments of an optimiser that has not begun, read and written.
    pub fn moments(&mut self, len: usize) -> ltm_engine::Result<Buffer> {
        self.bytes += (2 * len * DType::F32.size()) as u64;
        self.device.alloc(DType::F32, len)
    }

    /// Sums, overwritten.
    pub fn doubles(&mut self, len: usize) -> ltm_engine::Result<Buffer> {
        self.bytes += (len * DType::F64.size()) as u64;
        self.device.alloc(DType::F64, len)
    }

    /// Integers.
    pub fn integers(&mut self, values: &[i32]) -> ltm_engine::Result<Buffer> {
        self.bytes += size_of_val(values) as u64;
        self.device.alloc_from(values)
    }

    /// The constants of one step of AdamW.
    pub fn constants(&mut self) -> ltm_engine::Result<Buffer> {
        let (lr, beta1, beta2, eps, weight_decay, number) = (1e-3, 0.9, 0.95, 1e-8, 0.1, 1);
        let step = AdamWStep { lr, beta1, beta2, eps, weight_decay, number };
        self.device.alloc_from(&step.constants()?)
    }

    fn made(&mut self, dtype: DType, len: usize, times: u64) -> ltm_engine::Result<Buffer> {
        self.bytes += times * (len * dtype.size()) as u64;
        filled(self.device, dtype, len)
    }
}

/// A buffer of f32 or bf16 numbers in [-0.5, 0.5).
pub(super) fn filled(
    device: &mut dyn Device,
    dtype: DType,
    len: usize,
) -> ltm_engine::Result<Buffer> {
    let buffer = device.alloc(dtype, len)?;
    let mut known = len.min(NUMBERS);
    let number = |i: usize| (i as u32).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32 - 0.5;
    let (part, numbers) = (buffer.slice(0..known)?, (0..known).map(number));
    match dtype {
        DType::BF16 => device.upload(&part, &numbers.map(bf16::from_f32).collect::<Vec<_>>())?,
        _ => device.upload(&part, &numbers.collect::<Vec<f32>>())?,
    }
    while known < len {
        let more = known.min(len - known);
        device.copy(&buffer.slice(0..more)?, &buffer.slice(known..known + more)?)?;
        known += more;
    }
    Ok(buffer)
}

/// `len` tokens below `vocab`, evenly spread.
pub(super) fn tokens(len: usize, vocab: usize) -> Vec<i32> {
    let stream = Stream { seed: 1, site: u32::MAX, sample: 0, iteration: 0 };
    let words = (0..len.div_ceil(4) as u32).flat_map(|i| stream.block(i));
    words.take(len).map(|word| (word as usize % vocab) as i32).collect()
}
