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
    /// Evaluation.
    #[error(transparent)]
    Evaluate(#[from] crate::evaluate::EvaluateError),
    /// Generation.
    #[error(transparent)]
    Generate(#[from] crate::generate::GenerateError),
    /// Latents and their files.
    #[error(transparent)]
    Latents(#[from] crate::latents::LatentsError),
    /// Questions and answers.
    #[error(transparent)]
    Gsm8k(#[from] crate::gsm8k::Gsm8kError),
    /// A plan.
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    /// A sweep.
    #[error(transparent)]
    Sweep(Box<crate::sweep::SweepError>),
    /// A number stopped being finite.
    #[error(
        "iteration {iteration}: the {what} is {value}; training stopped, and the checkpoints are \
         as they were. A run keeps its settings: start another one with a smaller slow.lr, a \
         longer slow.warmup or a smaller fast.lr"
    )]
    Diverged {
        /// Iteration, from 0.
        iteration: u64,
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// The validation after an iteration has no finite result.
    #[error("validation after iteration {iteration}: {source}; the checkpoints are as they were")]
    Validation {
        /// Iteration, from 0.
        iteration: u64,
        /// What is not finite.
        source: crate::evaluate::EvaluateError,
    },
    /// Asked to stop in the middle of an iteration; nothing of it was applied.
    #[error("interrupted")]
    Interrupted,
    /// A resumed run would take another course.
    #[error(
        "{}: a resumed run keeps its settings, but {list}; leave them as they were, or start a \
         new run", run.display()
    )]
    ChangedSettings {
        /// Run directory.
        run: std::path::PathBuf,
        /// Keys with both values.
        list: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// File.
        path: std::path::PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// TensorBoard events.
    #[error(transparent)]
    Events(#[from] ltm_tools::tensorboard::Error),
    /// Text, tokenizers and shards.
    #[error(transparent)]
    Tools(#[from] ltm_tools::Error),
    /// A setting that no kernel of a GPU serves yet.
    #[error("{setting} runs on the CPU alone so far, and the device is {device}; use --device cpu")]
    NoKernel {
        /// The setting with its value.
        setting: String,
        /// Name of the device.
        device: String,
    },
    /// A workspace of a model whose prior is learned was not told its parameters.
    #[error("the prior of this model is learned, and the workspace was not given its parameters")]
    UnknownPrior,
    /// Posteriors kept for warm starts.
    #[error(transparent)]
    Store(#[from] crate::posterior::store::StoreError),
    /// Batches and iterations do not go together.
    #[error(
        "{posted} batches are posted; an iteration needs 1 when it begins, and there is room for 2"
    )]
    Batches {
        /// Batches that were posted.
        posted: usize,
    },
    /// A page of curves.
    #[error(transparent)]
    Report(#[from] ltm_tools::report::Error),
    /// An update was asked of parameters without gradients.
    #[error("these parameters were allocated without gradients and cannot be trained")]
    Frozen,
}

impl From<crate::sweep::SweepError> for Error {
    fn from(error: crate::sweep::SweepError) -> Self {
        Self::Sweep(Box::new(error))
    }
}
