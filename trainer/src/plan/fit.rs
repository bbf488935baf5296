//! Whether training fits the memory of a device, and on how many sequences at once.

use ltm_engine::{Device, MemoryInfo, Processor};
use serde::Serialize;

use super::{Memory, PlanError};
use crate::Result;
use crate::config::Config;

/// Where training is to fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Room {
    /// For people: whose memory it is.
    pub device: String,
    /// How it is taken.
    #[serde(skip)]
    pub processor: Processor,
    /// How much there is; absent if everything fits.
    #[serde(serialize_with = "bytes")]
    pub memory: Option<MemoryInfo>,
}

fn bytes<S: serde::Serializer>(
    memory: &Option<MemoryInfo>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Bytes {
        total: u64,
        free: u64,
    }
    memory.map(|m| Bytes { total: m.total, free: m.free }).serialize(serializer)
}

impl Room {
    /// The memory of a device.
    pub fn of(device: &dyn Device) -> Self {
        Self { device: device.name(), processor: device.processor(), memory: device.memory() }
    }

    /// As much as it takes.
    pub fn boundless(processor: Processor) -> Self {
        Self { device: String::new(), processor, memory: None }
    }

    fn holds(&self, bytes: usize) -> bool {
        self.memory.is_none_or(|memory| bytes as u64 <= memory.free)
    }
}

/// A micro-batch that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Sequences held at once.
    pub micro_batch: usize,
    /// What that takes.
    pub memory: Memory,
}

impl Fit {
    /// `train.micro_batch`, or the largest divisor of `train.batch` that fits where it is 0.
    ///
    /// # Errors
    /// [`PlanError::DoesNotFit`]; [`PlanError::TooLarge`]; or contradictory extents.
    pub fn of(config: &Config, room: Room) -> Result<Self> {
        let of = |micro_batch: usize| -> Result<Self> {
            let memory = match room.memory {
                // Nobody asks: a device of no known size, which a plan may be counting on.
                None => Memory::default(),
                Some(_) => Memory::of(config, micro_batch, room.processor)?,
            };
            Ok(Self { micro_batch, memory })
        };
        let asked = of(config.micro_batch())?;
        if room.holds(asked.memory.total) {
            return Ok(asked);
        }
        let batch = config.train.batch;
        let smaller = (1..asked.micro_batch).rev().filter(|n| batch.is_multiple_of(*n));
        let mut least = asked.clone();
        for micro_batch in smaller {
            least = of(micro_batch)?;
            if room.holds(least.memory.total) {
                break;
            }
        }
        let fits = room.holds(least.memory.total);
        if fits && config.train.micro_batch == 0 {
            return Ok(least);
        }
        // Where nothing fits, the least that was tried says more than the most.
        let refused = if fits || config.train.micro_batch > 0 { asked } else { least.clone() };
        let info = room.memory.unwrap_or(MemoryInfo { total: 0, free: 0 });
        Err(PlanError::DoesNotFit {
            device: room.device,
            micro_batch: refused.micro_batch,
            seq: config.seq_len(),
            needed: refused.memory.total as u64,
            free: info.free,
            total: info.total,
            largest: fits.then_some(least.micro_batch),
        }
        .into())
    }
}
