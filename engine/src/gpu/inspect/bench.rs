//! Arguments for a measurement, counted as they are made.

use super::noting::Noting;
use super::{Measured, SHAPE, Shape};
use crate::gpu::Gpu;
use crate::ops::AdamWStep;
use crate::{Buffer, DType, Device, DeviceExt, Result, bf16};

/// Runs operations and notes what they did.
pub struct Bench<'a, D: Noting> {
    gpu: &'a mut Gpu<D>,
    storage: DType,
    minimum: u64,
    all: &'a mut Vec<Measured>,
}

impl<'a, D: Noting> Bench<'a, D> {
    /// Measurements in `storage` that go to the end of `all`.
    pub fn new(gpu: &'a mut Gpu<D>, storage: DType, all: &'a mut Vec<Measured>) -> Self {
        Self { gpu, storage, minimum: 0, all }
    }

    /// What everything is measured at.
    pub fn shape(&self) -> Shape {
        SHAPE
    }

    /// Storage of activations and weights.
    pub fn storage(&self) -> DType {
        self.storage
    }

    /// Whether operations that have nothing in storage are due: once is enough.
    pub fn once(&self) -> bool {
        self.storage == DType::F32
    }

    /// An input in storage.
    pub fn input(&mut self, len: usize) -> Result<Buffer> {
        let buffer = self.filled(len)?;
        self.count(&buffer, 1);
        Ok(buffer)
    }

    /// An output in storage that is overwritten.
    pub fn output(&mut self, len: usize) -> Result<Buffer> {
        self.made(self.storage, len, 1)
    }

    /// An f32 input.
    pub fn floats(&mut self, len: usize) -> Result<Buffer> {
        let buffer = self.gpu.alloc_from(&numbers(len))?;
        self.count(&buffer, 1);
        Ok(buffer)
    }

    /// An output of another type than storage that is overwritten.
    pub fn result(&mut self, dtype: DType, len: usize) -> Result<Buffer> {
        self.made(dtype, len, 1)
    }

    /// An f32 argument that is read and written.
    pub fn updated(&mut self, len: usize) -> Result<Buffer> {
        self.made(DType::F32, len, 2)
    }

    /// An argument in storage of which the operation touches another number of elements than
    /// there are.
    pub fn touched(&mut self, len: usize, elements: usize) -> Result<Buffer> {
        let buffer = self.filled(len)?;
        self.minimum += (elements * self.storage.size()) as u64;
        Ok(buffer)
    }

    /// An f32 argument of which the operation reads and writes `elements` numbers.
    pub fn updated_in_part(&mut self, len: usize, elements: usize) -> Result<Buffer> {
        self.minimum += (2 * elements * DType::F32.size()) as u64;
        self.made(DType::F32, len, 0)
    }

    /// The constants of a step of AdamW.
    pub fn constants(&mut self) -> Result<Buffer> {
        let (lr, beta1, beta2, eps, weight_decay, number) = (1e-3, 0.9, 0.95, 1e-8, 0.1, 1);
        let step = AdamWStep { lr, beta1, beta2, eps, weight_decay, number };
        let buffer = self.gpu.alloc_from(&step.constants()?)?;
        self.count(&buffer, 1);
        Ok(buffer)
    }

    /// An i32 input.
    pub fn indices(&mut self, values: &[i32]) -> Result<Buffer> {
        let buffer = self.gpu.alloc_from(values)?;
        self.count(&buffer, 1);
        Ok(buffer)
    }

    /// Runs an operation on the arguments made since the last one.
    pub fn run(
        &mut self,
        operation: &str,
        call: impl FnOnce(&mut Gpu<D>) -> Result<()>,
    ) -> Result<()> {
        self.gpu.driver().take();
        call(self.gpu)?;
        self.all.push(Measured {
            operation: operation.into(),
            storage: self.storage,
            minimum_bytes: std::mem::take(&mut self.minimum),
            launches: self.gpu.driver().take(),
        });
        Ok(())
    }

    fn filled(&mut self, len: usize) -> Result<Buffer> {
        let values = numbers(len);
        match self.storage {
            DType::BF16 => {
                let rounded: Vec<bf16> = values.into_iter().map(bf16::from_f32).collect();
                self.gpu.alloc_from(&rounded)
            }
            _ => self.gpu.alloc_from(&values),
        }
    }

    fn made(&mut self, dtype: DType, len: usize, times: u64) -> Result<Buffer> {
        let buffer = self.gpu.alloc(dtype, len)?;
        self.count(&buffer, times);
        Ok(buffer)
    }

    fn count(&mut self, buffer: &Buffer, times: u64) {
        self.minimum += times * buffer.byte_len() as u64;
    }
}

/// Numbers in [-0.5, 0.5) that repeat only after a long while.
fn numbers(len: usize) -> Vec<f32> {
    let scattered = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
    (0..len).map(|i| scattered(i) as f32 / (1 << 24) as f32 - 0.5).collect()
}
