//! Flags that every computing command has.

use clap::Args;
use ltm_engine::{Device, DeviceKind};

/// Which processor computes.
#[derive(Args, Clone, Debug)]
pub struct DeviceArgs {
    /// Processor: auto or cpu
    #[arg(long, default_value = "auto", value_parser = parse_kind)]
    pub device: DeviceKind,
    /// Worker threads on the host; 0 takes one per core
    #[arg(long, default_value_t = 0, value_parser = parse_threads)]
    pub threads: usize,
}

/// More threads than any machine has cores would only exhaust it.
const MAX_THREADS: usize = 1024;

fn parse_kind(name: &str) -> Result<DeviceKind, String> {
    name.parse().map_err(|error: ltm_engine::Error| error.to_string())
}

fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if threads <= MAX_THREADS => Ok(threads),
        _ => Err(format!("expected 0 (one per core) to {MAX_THREADS}")),
    }
}

impl DeviceArgs {
    /// Opens the device.
    pub fn open(&self) -> ltm_engine::Result<Box<dyn Device>> {
        ltm_engine::open(self.device, self.threads)
    }
}
