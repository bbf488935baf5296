//! What cannot be planned.

use super::table::bytes;

/// `3.42 GiB`.
fn in_units(number: u64) -> String {
    bytes(usize::try_from(number).unwrap_or(usize::MAX))
}

fn sequences(number: usize) -> String {
    format!("{number} sequence{}", if number == 1 { "" } else { "s" })
}

fn advice(largest: Option<usize>) -> String {
    match largest {
        Some(largest) => format!(
            "the largest train.micro_batch that fits is {largest}, which train.micro_batch = 0 \
             chooses by itself"
        ),
        None => "not even one sequence at a time fits: use a smaller model, a smaller \
                 train.seq_len, or train.dtype = bf16 on a GPU"
            .to_owned(),
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Sizes beyond any machine, which would not even fit the counters.
    #[error(
        "about {bytes:.1e} bytes for {what}; no machine has them: use a smaller model, \
         train.micro_batch or train.seq_len"
    )]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Estimate of its bytes.
        bytes: f64,
    },
    /// More than the device has.
    #[error(
        "training on {} of {seq} tokens at once needs {needed} bytes ({}), \
         and {device} has {free} free ({}) of {total} ({}); {}",
        sequences(*micro_batch), in_units(*needed), in_units(*free), in_units(*total), advice(*largest)
    )]
    DoesNotFit {
        /// Device.
        device: String,
        /// Sequences at once.
        micro_batch: usize,
        /// Tokens of each.
        seq: usize,
        /// Bytes that they need.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes of the device.
        total: u64,
        /// The largest micro-batch that fits; `None` if not one sequence does.
        largest: Option<usize>,
    },
    /// A peak that no machine has.
    #[error("a peak of {gflops} GFLOP/s; expected a finite number above 0")]
    Peak {
        /// The peak.
        gflops: f64,
    },
}
