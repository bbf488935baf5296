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
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

fn parse_kind(name: &str) -> Result<DeviceKind, String> {
    name.parse().map_err(|error: ltm_engine::Error| error.to_string())
}

impl DeviceArgs {
    /// Opens the device.
    pub fn open(&self) -> ltm_engine::Result<Box<dyn Device>> {
        ltm_engine::open(self.device, self.threads)
    }
}
