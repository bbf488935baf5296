//! What the machine is.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Manifest;
use super::process::answer;

/// The machine and the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// What was packed.
    pub bundle: Manifest,
    /// Start of the run, UTC.
    pub date: String,
    /// Groups of steps asked for.
    pub groups: Vec<String>,
    /// Name of the first GPU; `None` if there is none.
    pub gpu: Option<String>,
    /// Version of its driver.
    pub driver: Option<String>,
    /// Memory of the GPU, as its tool tells it.
    pub gpu_memory: Option<String>,
    /// Name of the processor.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Operating system.
    pub system: Option<String>,
    /// A Python.
    pub python: Option<String>,
    /// Version of its PyTorch.
    pub torch: Option<String>,
    /// Where compute-sanitizer lies.
    pub sanitizer: Option<String>,
}

/// Now, UTC, as `date` tells it; "unknown" without it.
pub fn now() -> String {
    answer("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_else(|| "unknown".into())
}

impl Environment {
    /// Looks around. `python` is the Python to ask for PyTorch.
    pub fn look(bundle: Manifest, groups: Vec<String>, python: &str) -> Self {
        let [gpu, driver, gpu_memory] = gpu();
        let version = |what: &str| answer(python, &["-c", what]);
        Self {
            bundle,
            date: now(),
            groups,
            gpu,
            driver,
            gpu_memory,
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: answer("uname", &["-srm"]),
            python: version("import platform; print(platform.python_version())"),
            torch: version("import torch; print(torch.__version__)"),
            sanitizer: sanitizer(),
        }
    }
}

/// Name, driver and memory of the first GPU. The driver's tool tells; where it is not installed,
/// the kernel module does.
fn gpu() -> [Option<String>; 3] {
    let query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    if let Some(text) = answer("nvidia-smi", &query) {
        let mut fields = text.lines().next().unwrap_or("").split(',').map(|x| x.trim().to_owned());
        return [fields.next(), fields.next(), fields.next()];
    }
    if !Path::new("/dev/nvidia0").exists() {
        return [None, None, None];
    }
    let module = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let driver = module.lines().next().map(str::to_owned);
    [Some("an NVIDIA GPU without nvidia-smi".into()), driver, None]
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn sanitizer() -> Option<String> {
    let places = ["compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer"];
    places.into_iter().find(|place| answer(place, &["--version"]).is_some()).map(str::to_owned)
}
