//! `ltm doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ltm::config::Dtype;
use ltm::self_test::Reference;
use ltm_engine::DeviceKind;
use ltm_engine::gpu::cuda::{
    CudaError, CudaOptions, FoundLibrary, GpuInfo, Survey, cublas_version, libraries, survey,
};
use ltm_engine::gpu::inspect::{Loaded, load_cuda, load_virtual};
use ltm_engine::gpu::{Gemm, Gpu, ProductChoices};

use super::device::DeviceArgs;
use super::output::say;

/// Arguments of `ltm doctor`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    device: DeviceArgs,
}

/// Looks at everything; exit code 1 if something that is there, or was asked for, cannot be used.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (asked, threads) = (args.device.asked(), args.device.threads);
    let wants = |kind| asked == DeviceKind::Auto || asked == kind;
    let mut doctor = Doctor { threads, reference: Reference::new()?, broken: Vec::new() };

    say!("CPU: {}", ltm_engine::open(DeviceKind::Cpu, threads)?.name())?;
    if wants(DeviceKind::Cpu) {
        doctor.self_test(DeviceKind::Cpu, Dtype::F32)?;
    }
    say!("virtual GPU")?;
    doctor.modules(&load_virtual(&mut Gpu::virtual_gpu(threads)), "decoded")?;
    if wants(DeviceKind::Vm) {
        doctor.self_test(DeviceKind::Vm, Dtype::F32)?;
        doctor.self_test(DeviceKind::Vm, Dtype::Bf16)?;
    }
    say!("NVIDIA GPU")?;
    for library in libraries() {
        say!("  {}", found(&library))?;
    }
    let gpu = match survey() {
        Ok(survey) => {
            list(&survey)?;
            true
        }
        Err(reason) => {
            say!("  {reason}")?;
            let absent = matches!(reason, CudaError::NoLibrary { .. } | CudaError::NoDevice { .. });
            if !absent || asked == DeviceKind::Cuda {
                doctor.broken.push("no NVIDIA GPU can be used".into());
            }
            false
        }
    };
    if gpu && wants(DeviceKind::Cuda) {
        doctor.cuda()?;
    }
    say!("disk")?;
    match CudaOptions::from_environment().cache {
        Some(cache) => {
            say!("  compiled kernels are kept in {}: {}", cache.display(), kept(&cache))?
        }
        None => say!("  compiled kernels are not kept: neither XDG_CACHE_HOME nor HOME is set")?,
    }
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    say!("  this directory: {}", free(&here))?;
    say!("")?;
    doctor.conclude(gpu && asked != DeviceKind::Cpu && asked != DeviceKind::Vm)
}

/// What has been found so far.
struct Doctor {
    threads: usize,
    reference: Reference,
    broken: Vec<String>,
}

impl Doctor {
    fn cuda(&mut self) -> anyhow::Result<()> {
        match Gpu::cuda() {
            Ok(mut gpu) => self.modules(&load_cuda(&mut gpu), "loaded")?,
            Err(error) => {
                say!("  cannot be opened: {error}")?;
                self.broken.push("the NVIDIA GPU cannot be opened".into());
                return Ok(());
            }
        }
        self.self_test(DeviceKind::Cuda, Dtype::F32)?;
        self.self_test(DeviceKind::Cuda, Dtype::Bf16)?;
        match cublas_version() {
            Ok(version) => {
                say!("  matrix products: cuBLASLt {version} or own kernels, whoever is faster")?;
                self.self_test_with(DeviceKind::Cuda, Dtype::F32, Gemm::Cublas)?;
                self.self_test_with(DeviceKind::Cuda, Dtype::Bf16, Gemm::Cublas)
            }
            Err(reason) => {
                say!("  matrix products: own kernels alone; {reason}")?;
                if !matches!(reason, CudaError::NoCublas { .. }) {
                    self.broken.push("cuBLASLt cannot be used".into());
                }
                Ok(())
            }
        }
    }

    fn modules(&mut self, all: &[Loaded], done: &str) -> anyhow::Result<()> {
        let (mut modules, mut kernels) = (0, 0);
        for loaded in all {
            match &loaded.outcome {
                Ok(()) => (modules, kernels) = (modules + 1, kernels + loaded.kernels),
                Err(error) => {
                    say!("  FAIL {error}")?;
                    self.broken.push(format!("the kernels of {} are refused", loaded.module));
                }
            }
        }
        say!("  kernels: {modules} of {} modules {done}, {kernels} kernels", all.len())
    }

    fn self_test(&mut self, kind: DeviceKind, dtype: Dtype) -> anyhow::Result<()> {
        self.self_test_with(kind, dtype, Gemm::Own)
    }

    fn self_test_with(&mut self, kind: DeviceKind, dtype: Dtype, gemm: Gemm) -> anyhow::Result<()> {
        let device = ltm_engine::open(kind, self.threads).and_then(|mut device| {
            device.choose_products(gemm, &ProductChoices::default())?;
            Ok(device)
        });
        let with = if gemm == Gemm::Cublas { " with cuBLASLt" } else { "" };
        let tested = device
            .map_err(ltm::Error::from)
            .and_then(|device| self.reference.compare(device, dtype));
        match tested {
            Ok(test) => {
                let verdict = if test.passed() { "ok" } else { "FAIL" };
                say!(
                    "  self-test in {dtype}{with}: {verdict}, losses {:.1e} from one CPU thread's, {:.0e} \
                     allowed, {:.1} s",
                    test.distance,
                    test.allowed,
                    test.seconds
                )?;
                if !test.passed() {
                    self.broken
                        .push(format!("{} computes wrong numbers in {dtype}{with}", name(kind)));
                }
            }
            Err(error) => {
                say!("  self-test in {dtype}{with}: FAIL {error}")?;
                self.broken.push(format!("{} fails in {dtype}{with}", name(kind)));
            }
        }
        Ok(())
    }

    fn conclude(&self, gpu: bool) -> anyhow::Result<ExitCode> {
        if self.broken.is_empty() {
            let on = if gpu { "on the NVIDIA GPU and on the CPU" } else { "on the CPU" };
            say!("This machine can train {on}.")?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("Something is wrong: {}.", self.broken.join("; "))?;
        Ok(ExitCode::FAILURE)
    }
}

fn name(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Auto => "the device",
        DeviceKind::Cpu => "the CPU",
        DeviceKind::Cuda => "the NVIDIA GPU",
        DeviceKind::Vm => "the virtual GPU",
    }
}

fn list(survey: &Survey) -> anyhow::Result<()> {
    let release = survey.release.as_deref().unwrap_or("of unknown version");
    say!("  driver {release}, CUDA {}", survey.cuda)?;
    let chosen = survey.chosen().map(|gpu| gpu.ordinal);
    for gpu in &survey.gpus {
        let GpuInfo { ordinal, name, capability: (major, minor), multiprocessors, .. } = gpu;
        let note = match gpu.is_usable() {
            false => " (too old for the kernels, which need 8.0)",
            true if chosen == Some(*ordinal) => " (used)",
            true => "",
        };
        say!(
            "  GPU {ordinal}{note}: {name}, {}, compute capability {major}.{minor}, \
             multiprocessors {multiprocessors}",
            size(gpu.memory)
        )?;
    }
    Ok(())
}

fn found(library: &FoundLibrary) -> String {
    let FoundLibrary { name, looked_for, found } = library;
    match found {
        Some((file, Some(path))) => format!("{name}: {file}, which is {}", path.display()),
        Some((file, None)) => format!("{name}: {file}"),
        None => format!("{name}: not found, neither as {}", looked_for.join(" nor as ")),
    }
}

/// How much the cache holds, and how much there is room for.
fn kept(cache: &Path) -> String {
    let mut files = 0;
    let mut bytes = 0;
    for entry in std::fs::read_dir(cache.join("kernels")).into_iter().flatten().flatten() {
        files += 1;
        bytes += entry.metadata().map_or(0, |metadata| metadata.len());
    }
    let plural = if files == 1 { "" } else { "s" };
    format!("{files} file{plural} of {}, {}", size(bytes), free(cache))
}

/// Free bytes of the disk that a path is on, or will be once it is made.
fn free(path: &Path) -> String {
    let there = path.ancestors().find(|path| path.exists());
    match there.and_then(available) {
        Some(bytes) => format!("{} free", size(bytes)),
        None => "how much is free is not known".into(),
    }
}

#[cfg(unix)]
fn available(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn available(_: &Path) -> Option<u64> {
    None
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}
