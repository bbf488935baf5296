//! Flags that every computing command has.

use std::sync::OnceLock;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use ltm::config::{Config, ConfigError, Dtype, Layers};
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
    /// Storage of activations, over train.dtype: f32, or bf16 on a GPU [default: f32]
    #[arg(long)]
    pub dtype: Option<Dtype>,
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

impl DeviceArgs {
    /// Opens the device.
    pub fn open(&self) -> ltm_engine::Result<Box<dyn Device>> {
        ltm_engine::open(self.kind(), self.threads)
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

    /// Puts the storage asked for over the settings.
    pub fn layer(&self, layers: Layers) -> Result<Layers, ConfigError> {
        match self.dtype {
            None => Ok(layers),
            Some(dtype) => layers.set(&format!("train.dtype={dtype}")),
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
