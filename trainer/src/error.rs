//! What can go wrong in training, evaluation and generation.

/// Errors of the trainer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tape could not be recorded or run.
    #[error(transparent)]
    Tape(#[from] ltm_autograd::Error),
    /// The device refused.
    #[error(transparent)]
    Device(#[from] ltm_engine::Error),
    /// Settings.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Training or evaluation data.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// Checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::MetricsError),
    /// The run directory.
    #[error(transparent)]
    RunDir(#[from] crate::run_dir::RunDirError),
    /// A number stopped being finite.
    #[error(
        "iteration {iteration}: the {what} is {value}; training stopped before the update. \
         Resume from the last checkpoint with a smaller slow.lr or fast.lr"
    )]
    Diverged {
        /// Iteration, from 0.
        iteration: u64,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// An update was asked of parameters without gradients.
    #[error("these parameters were allocated without gradients and cannot be trained")]
    Frozen,
}
