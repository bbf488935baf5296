//! What a device can do at most, as far as that can be measured.

use ltm_engine::gpu::{Gemm, ProductChoices};
use ltm_engine::ops::LinearForward;
use ltm_engine::{DType, Device};
use serde::Serialize;

use super::arguments::filled;
use super::timing::{Call, Sampling, Times, time};
use crate::Result;

/// Speeds that nothing is expected to pass by much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes per second that a large copy inside the device reads and writes together.
    pub copy_bytes_per_second: f64,
    /// Bytes of that copy.
    pub copied_bytes: usize,
    /// FLOPs per second of a large square product in the storage type.
    pub product_flops_per_second: f64,
    /// Edge of that product.
    pub product_edge: usize,
    /// Whose product it is.
    pub product_by: String,
}

impl Ceilings {
    /// Measures both; the product with the library of this version, if there is one.
    pub(super) fn measure(
        device: &mut dyn Device,
        storage: DType,
        sampling: Sampling,
        library: Option<&str>,
    ) -> Result<Self> {
        let n = sampling.product_edge;
        let none = ProductChoices::default();
        if library.is_some() {
            device.choose_products(Gemm::Cublas, &none)?;
        }
        let product = Self::product(device, storage, sampling)?;
        device.choose_products(Gemm::Own, &none)?;
        let copy = Self::copy(device, sampling)?;
        Ok(Self {
            copy_bytes_per_second: 2.0 * sampling.copied_bytes as f64 / copy.median,
            copied_bytes: sampling.copied_bytes,
            product_flops_per_second: 2.0 * (n as f64).powi(3) / product.median,
            product_edge: n,
            product_by: library
                .map_or("own kernel".into(), |version| format!("cuBLASLt {version}")),
        })
    }

    fn copy(device: &mut dyn Device, sampling: Sampling) -> Result<Times> {
        let len = sampling.copied_bytes / size_of::<f32>();
        let from = filled(device, DType::F32, len)?;
        let to = device.alloc(DType::F32, len)?;
        let call: Call = Box::new(move |device| device.copy(&from, &to));
        time(device, &[call], sampling)
    }

    fn product(device: &mut dyn Device, storage: DType, sampling: Sampling) -> Result<Times> {
        let n = sampling.product_edge;
        let [x, weight] = [filled(device, storage, n * n)?, filled(device, storage, n * n)?];
        let out = device.alloc(storage, n * n)?;
        let call: Call = Box::new(move |device| {
            device.linear_forward(&LinearForward {
                x: &x,
                weight: &weight,
                residual: None,
                out: &out,
                rows: n,
                inner: n,
                outer: n,
            })
        });
        time(device, &[call], sampling)
    }

    /// The least seconds for this many bytes and FLOPs, and whether it is the FLOPs that take it.
    pub(super) fn least(&self, bytes: u64, flops: f64) -> (f64, bool) {
        let memory = bytes as f64 / self.copy_bytes_per_second;
        let arithmetic = flops / self.product_flops_per_second;
        (memory.max(arithmetic), arithmetic > memory)
    }
}
