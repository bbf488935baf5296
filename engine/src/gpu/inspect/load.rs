//! Whether a device takes the compiled modules.

use ltm_ptx::entry_points;
use ltm_ptx::launch::modules;

use crate::Result;
use crate::gpu::cuda::Cuda;
use crate::gpu::{Gpu, Vm};

/// A compiled module on one device.
#[derive(Debug)]
pub struct Loaded {
    /// Operation.
    pub module: &'static str,
    /// Its kernels.
    pub kernels: usize,
    /// What the device says.
    pub outcome: Result<()>,
}

/// Decodes every module for a virtual GPU.
pub fn load_virtual(gpu: &mut Gpu<Vm>) -> Vec<Loaded> {
    all(|module| gpu.driver().load(module))
}

/// Loads every module into an NVIDIA GPU, from the disk cache where it is there.
pub fn load_cuda(gpu: &mut Gpu<Cuda>) -> Vec<Loaded> {
    all(|module| gpu.driver().load(module))
}

fn all(mut load: impl FnMut(&'static str) -> Result<()>) -> Vec<Loaded> {
    let one = |module: &'static ltm_ptx::Module| Loaded {
        module: module.name,
        kernels: entry_points().filter(|entry| entry.module == module.name).count(),
        outcome: load(module.name),
    };
    modules().map(one).collect()
}
