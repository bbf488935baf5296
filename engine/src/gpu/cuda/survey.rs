//! Which driver and which GPUs there are, and whether the kernels can run on them.

use ltm_ptx::launch::modules;

use super::Code;
use super::api::{Api, Attribute};
use super::error::{CudaError, CudaVersion};

/// Compute capability of the compiled kernels: what is older cannot run them.
pub const CAPABILITY: (u32, u32) = (8, 0);

/// The driver and what it drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// CUDA version that the driver offers.
    pub cuda: CudaVersion,
    /// Version of the driver itself, where it can be found.
    pub release: Option<String>,
    /// GPUs, in the driver's order; at least one of them can run the kernels.
    pub gpus: Vec<GpuInfo>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// Its number in the driver's order.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Its memory, bytes.
    pub memory: u64,
    /// Compute capability, before and after the point.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Shared memory that a block can get, bytes.
    pub shared_memory: u32,
}

impl GpuInfo {
    /// Whether the compiled kernels run on it.
    pub fn is_usable(&self) -> bool {
        self.capability >= CAPABILITY
    }

    /// Its architecture as compilers name it.
    pub fn architecture(&self) -> String {
        format!("sm_{}{}", self.capability.0, self.capability.1)
    }

    fn of(api: &impl Api, ordinal: u32) -> Result<Self, Code> {
        let attribute = |attribute| api.attribute(ordinal, attribute);
        let (major, minor) = (Attribute::CapabilityMajor, Attribute::CapabilityMinor);
        Ok(Self {
            ordinal,
            name: api.device_name(ordinal)?,
            memory: api.device_memory(ordinal)?,
            capability: (attribute(major)?, attribute(minor)?),
            multiprocessors: attribute(Attribute::Multiprocessors)?,
            shared_memory: attribute(Attribute::SharedMemory)?,
        })
    }
}

impl Survey {
    /// The GPU that is used: the first that can run the kernels.
    pub fn chosen(&self) -> Option<&GpuInfo> {
        self.gpus.iter().find(|gpu| gpu.is_usable())
    }

    /// Asks a driver.
    pub(super) fn of(api: &impl Api) -> Result<Self, CudaError> {
        let failed = |call| move |code| CudaError::call(call, code);
        // Before anything else: an old driver may refuse to start on a new GPU.
        let number = api.driver_version().map_err(failed("asking for the driver's version"))?;
        let (found, needed) = (CudaVersion::from_number(number), needed());
        let release = api.release();
        if found < needed {
            let release = release.map_or(String::new(), |release| format!(" {release}"));
            return Err(CudaError::OldDriver { release, found, needed });
        }
        match api.init() {
            Err(Code::NO_DEVICE) => return Err(no_device(found)),
            result => result.map_err(failed("starting the driver"))?,
        }
        let count = match api.device_count() {
            Ok(0) | Err(Code::NO_DEVICE) => return Err(no_device(found)),
            result => result.map_err(failed("counting GPUs"))?,
        };
        let gpus: Result<Vec<_>, Code> = (0..count).map(|i| GpuInfo::of(api, i)).collect();
        let gpus = gpus.map_err(failed("asking for a GPU's properties"))?;
        let survey = Self { cuda: found, release, gpus };
        match survey.chosen() {
            Some(_) => Ok(survey),
            None => Err(CudaError::OldDevice { found: survey.list() }),
        }
    }

    fn list(&self) -> String {
        let one =
            |gpu: &GpuInfo| format!("{} has {}.{}", gpu.name, gpu.capability.0, gpu.capability.1);
        self.gpus.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

fn no_device(driver: CudaVersion) -> CudaError {
    let hidden = match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(value) => format!(" (it is \"{value}\")"),
        Err(_) => String::new(),
    };
    CudaError::NoDevice { driver, hidden }
}

/// The CUDA version that takes every compiled module.
pub fn needed() -> CudaVersion {
    let oldest = CudaVersion::of_ptx(7, 0);
    modules().filter_map(|module| stated(module.ptx)).max().map_or(oldest, |v| v.max(oldest))
}

/// The version that the `.version` line of a module asks for.
fn stated(ptx: &str) -> Option<CudaVersion> {
    let (major, minor) = ptx
        .lines()
        .find_map(|line| line.trim().strip_prefix(".version"))?
        .trim()
        .split_once('.')?;
    Some(CudaVersion::of_ptx(major.parse().ok()?, minor.parse().ok()?))
}
