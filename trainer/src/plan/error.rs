//! What cannot be planned.

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
    /// A peak that no machine has.
    #[error("a peak of {gflops} GFLOP/s; expected a finite number above 0")]
    Peak {
        /// The peak.
        gflops: f64,
    },
}
