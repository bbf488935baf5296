//! Flags that every computing command has.

use std::sync::OnceLock;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use ltm::config::{Config, ConfigError, Dtype, Layers};
use ltm_engine::gpu::{Gemm, ProductChoices};
use ltm_engine::{Device, DeviceKind};

use super::Cli;
use super::output::tell;

/// Which processor computes.
#[derive(Args, Clone, Debug)]
pub struct DeviceArgs {
    /// Processor: auto, cpu, cuda, or vm, the virtual GPU, which runs and checks the GPU's kernels
    #[arg(long, default_value = "auto", value_parser = parse_kind)]
    device: DeviceKind,
    /// Worker threads on the host; 0 takes one per core
    #[arg(long, default_value_t = 0, value_parser = parse_threads)]
    pub threads: usize,
    /// Memory of the device that may be used, such as 2GiB: the size of the virtual GPU, of other
    /// devices a part [default: 16GiB for vm, else all]
    #[arg(long, value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Storage of activations, over train.dtype: f32, or bf16 on a GPU [default: f32]
    #[arg(long)]
    pub dtype: Option<Dtype>,
    /// Who computes matrix products on an NVIDIA GPU, over train.gemm: own kernels, cublas, or
    /// auto, whoever is faster [default: auto in training, else own]
    #[arg(long)]
    pub gemm: Option<Gemm>,
}

/// More threads than any machine has cores would only exhaust it.
const MAX_THREADS: usize = 1024;

fn parse_kind(name: &str) -> Result<DeviceKind, String> {
    name.parse().map_err(|error: ltm_engine::Error| error.to_string())
}

pub fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if threads <= MAX_THREADS => Ok(threads),
        _ => Err(format!("expected 0 (one per core) to {MAX_THREADS}")),
    }
}

/// A number of bytes, or of KiB, MiB, GiB or TiB.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("", 0)];
    let parsed = UNITS.iter().find_map(|(unit, shift)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        let bytes = number * (1_u64 << shift) as f64;
        (bytes >= 1.0 && bytes < (1_u64 << 60) as f64).then_some(bytes as u64)
    });
    parsed.ok_or_else(|| "expected bytes, such as 512MiB, 2GiB or 1.5GiB".to_owned())
}

/// The flag of commands that train.
#[derive(Args, Clone, Copy, Debug)]
pub struct ProfileArgs {
    /// Name the parts of an iteration for NVIDIA's profilers (NVTX ranges); without their library,
    /// which `ltm doctor` looks for, nothing is named
    #[arg(long)]
    profile: bool,
}

impl ProfileArgs {
    /// Begins to name parts, if that is asked for and possible.
    pub fn apply(self) {
        if self.profile {
            ltm_engine::profile::enable();
        }
    }
}

impl DeviceArgs {
    /// Opens the device for what is no training.
    pub fn open(&self) -> ltm_engine::Result<Box<dyn Device>> {
        self.open_with(self.gemm.unwrap_or(Gemm::Own))
    }

    /// Opens the device for these settings.
    pub fn open_for(&self, config: &Config) -> ltm_engine::Result<Box<dyn Device>> {
        self.open_with(config.train.gemm)
    }

    fn open_with(&self, gemm: Gemm) -> ltm_engine::Result<Box<dyn Device>> {
        let mut device = ltm_engine::open_within(self.kind(), self.threads, self.memory)?;
        device.choose_products(gemm, &ProductChoices::default())?;
        Ok(device)
    }

    /// The processor, never `Auto`. Where that stands for the CPU, the user is told why, once.
    pub fn kind(&self) -> DeviceKind {
        static AUTO: OnceLock<DeviceKind> = OnceLock::new();
        match self.device {
            DeviceKind::Auto => *AUTO.get_or_init(|| {
                let (kind, reason) = DeviceKind::Auto.resolve();
                if let Some(reason) = reason {
                    tell!("device auto takes the CPU: {reason}");
                }
                kind
            }),
            kind => kind,
        }
    }

    /// The processor as asked for.
    pub fn asked(&self) -> DeviceKind {
        self.device
    }

    /// The storage asked for, f32 if none was.
    ///
    /// # Errors
    /// Wrong usage where the device asked for does not compute on it.
    pub fn dtype(&self) -> Result<Dtype, clap::Error> {
        self.expect_stored(self.dtype.unwrap_or(Dtype::F32))?;
        Ok(self.dtype.unwrap_or(Dtype::F32))
    }

    /// Puts what was asked for over the settings.
    pub fn layer(&self, layers: Layers) -> Result<Layers, ConfigError> {
        let layers = match self.dtype {
            None => layers,
            Some(dtype) => layers.set(&format!("train.dtype={dtype}"))?,
        };
        match self.gemm {
            None => Ok(layers),
            Some(gemm) => layers.set(&format!("train.gemm={gemm}")),
        }
    }

    /// Whether the device asked for computes on what the settings store.
    ///
    /// # Errors
    /// Wrong usage where it does not.
    pub fn check(&self, config: &Config) -> Result<(), clap::Error> {
        self.expect_stored(config.train.dtype)
    }

    fn expect_stored(&self, dtype: Dtype) -> Result<(), clap::Error> {
        if dtype == Dtype::F32 {
            return Ok(());
        }
        match self.kind() {
            DeviceKind::Auto | DeviceKind::Cpu => Err(Cli::command().error(
                ErrorKind::ArgumentConflict,
                "the CPU computes in f32, and train.dtype is bf16; use --dtype f32, or a GPU \
                 (--device cuda or vm)",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(parse_bytes("2GiB"), Ok(2 << 30));
        assert_eq!(parse_bytes("1.5 KiB"), Ok(1536));
        assert_eq!(parse_bytes("300"), Ok(300));
        for wrong in ["", "GiB", "0", "-1GiB", "nan", "2GB", "1e30"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
