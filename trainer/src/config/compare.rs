//! What may change when a run is resumed.

use serde_json::Value;

use super::{Config, FirstLr, Ramp, TrajectorySamples};

/// Keys that leave the weights' trajectory as it was.
const FREE_ON_RESUME: [&str; 9] = [
    // Beyond rounding: a run may be continued where less memory is.
    "train.micro_batch",
    // As above. Under `auto` the choices of the run stay.
    "train.gemm",
    "train.iterations",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.validate_every",
    "train.validation_sequences",
    "train.sample_every",
    "train.graphs",
];

impl Config {
    /// The keys in which `other` would train differently, dotted, with both values:
    /// `(key, self's value, other's value)`. Settings are compared as they resolve, so `auto` and
    /// the value it stands for are equal. A resumed run needs this to be empty.
    pub fn changed_keys(&self, other: &Self) -> Vec<(String, String, String)> {
        leaves(&self.resolved())
            .into_iter()
            .zip(leaves(&other.resolved()))
            .filter(|((key, mine), (_, theirs))| {
                mine != theirs && !FREE_ON_RESUME.contains(&key.as_str())
            })
            .map(|((key, mine), (_, theirs))| (key, mine.to_string(), theirs.to_string()))
            .collect()
    }

    /// The same configuration with every `auto` and 0 replaced by what it stands for.
    fn resolved(&self) -> Self {
        let mut resolved = self.clone();
        resolved.model.ffn_dim = self.ffn_dim();
        resolved.fast.schedule_steps = self.fast.schedule_steps();
        resolved.fast.ramp = if self.ramps() { Ramp::On } else { Ramp::Off };
        resolved.slow.total = self.slow_total();
        resolved.slow.trajectory_samples = TrajectorySamples::Count(self.trajectory_samples());
        resolved.slow.first_lr = match self.starts_at_zero_lr() {
            true => FirstLr::Zero,
            false => FirstLr::Step,
        };
        resolved.train.seq_len = self.seq_len();
        resolved
    }
}

/// Every dotted key with its value, sorted; JSON can express every configuration.
fn leaves(config: &Config) -> Vec<(String, Value)> {
    let Ok(Value::Object(root)) = serde_json::to_value(config) else {
        unreachable!("a configuration serialises to an object");
    };
    let mut leaves = Vec::new();
    for (name, value) in root {
        match value {
            Value::Object(section) => leaves
                .extend(section.into_iter().map(|(key, value)| (format!("{name}.{key}"), value))),
            scalar => leaves.push((name, scalar)),
        }
    }
    leaves
}
