//! Where the suites find their files, and which GPU they run on: set by variables where a suite
//! runs away from the repository that it was built in.

use std::path::{Path, PathBuf};

use ltm_engine::gpu::{Gpu, LaunchRecord, Vm};
use ltm_engine::{Device, DeviceKind};

/// A file of this package; `LTM_TESTS_DIR` is another place for the package's directory.
pub fn file(name: impl AsRef<Path>) -> PathBuf {
    let home = std::env::var_os("LTM_TESTS_DIR");
    home.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from).join(name)
}

/// The GPU that `LTM_TEST_DEVICE` names; the virtual one where it names none.
///
/// # Panics
/// If no device has that name.
pub fn gpu_kind() -> DeviceKind {
    let name = std::env::var("LTM_TEST_DEVICE");
    name.map_or(DeviceKind::Vm, |name| name.parse().expect("LTM_TEST_DEVICE names a device"))
}

/// The GPU under test.
pub enum TestGpu {
    /// The virtual one, which counts.
    Virtual(Box<Gpu<Vm>>),
    /// One of another driver.
    Other(Box<dyn Device>),
}

impl TestGpu {
    /// Opens what [`gpu_kind`] says, with `threads` threads on the host.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn open(threads: usize) -> Self {
        match gpu_kind() {
            DeviceKind::Vm => Self::Virtual(Box::new(crate::virtual_gpu(threads))),
            kind => Self::Other(ltm_engine::open(kind, threads).expect("the device opens")),
        }
    }

    /// The device.
    pub fn device(&mut self) -> &mut dyn Device {
        match self {
            Self::Virtual(gpu) => gpu.as_mut(),
            Self::Other(device) => device.as_mut(),
        }
    }

    /// The device as one of any kind.
    pub fn into_device(self) -> Box<dyn Device> {
        match self {
            Self::Virtual(gpu) => gpu,
            Self::Other(device) => device,
        }
    }

    /// What was launched since this was last asked; nothing where nobody counts.
    pub fn take_launches(&mut self) -> Vec<LaunchRecord> {
        match self {
            Self::Virtual(gpu) => gpu.driver().take_launches(),
            Self::Other(_) => Vec::new(),
        }
    }
}
