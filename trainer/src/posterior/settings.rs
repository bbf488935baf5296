//! The fast loop outside training.

use ltm_engine::{Device, Processor};

use crate::config::{Config, FastConfig, Method, PosteriorConfig, PriorKind, Ramp};
use crate::workspace::Workspace;
use crate::{Error, Result};

/// Settings of the fast loop where nothing is trained: evaluation, generation from a prompt,
/// encoding. Its peak learning rate is the field `lr`, and does not depend on how far training
/// has come: where the peak rises over training, it is the one that training ends with.
///
/// `steps` replaces the number of fast steps; 0 leaves the posterior at its random start. The
/// cosine keeps the length `fast.schedule_steps` if that is set, and spans the new number of
/// steps otherwise. A model without latents has no fast loop whatever is asked for.
pub fn inference_settings(config: &Config, steps: Option<usize>) -> FastConfig {
    let steps = steps.filter(|_| !config.model.is_autoregressive());
    FastConfig {
        steps: steps.unwrap_or(config.fast.steps),
        lr: if config.ramps() { config.fast.ramp_to } else { config.fast.lr },
        ramp: Ramp::Off,
        ..config.fast.clone()
    }
}

/// Whether the device has kernels for the inference that `config` asks for, to be asked before
/// anything is allocated or written.
///
/// # Errors
/// [`Error::NoKernel`], which names the setting, on a GPU for what only the CPU does so far.
pub fn expect_kernels(device: &dyn Device, config: &Config) -> Result<()> {
    let PosteriorConfig { kl_weight, kl_warmup, free_bits, .. } = config.posterior;
    let warmup = (kl_warmup > 0).then(|| format!("posterior.kl_warmup = {kl_warmup}"));
    expect(device, config.fast.method, config.model.prior, (kl_weight, free_bits), warmup)
}

/// The same of a loop that is about to begin.
pub(super) fn expect_loop(
    device: &dyn Device,
    workspace: &Workspace,
    fast: &FastConfig,
) -> Result<()> {
    let start = workspace.start.get();
    let weighted = (start.kl_weight, start.free_bits);
    expect(device, fast.method, workspace.prior_kind(), weighted, None)
}

fn expect(
    device: &dyn Device,
    method: Method,
    prior: PriorKind,
    (kl_weight, free_bits): (f64, f64),
    warmup: Option<String>,
) -> Result<()> {
    if device.processor() == Processor::Cpu {
        return Ok(());
    }
    let method = match method {
        Method::Adamw => None,
        Method::Langevin => Some("langevin"),
        Method::Sgd => Some("sgd"),
        Method::Natural => Some("natural"),
    };
    let setting = method
        .map(|method| format!("fast.method = {method}"))
        .or_else(|| (prior == PriorKind::Learned).then(|| "model.prior = learned".to_owned()))
        .or_else(|| (kl_weight != 1.0).then(|| format!("posterior.kl_weight = {kl_weight}")))
        .or_else(|| (free_bits > 0.0).then(|| format!("posterior.free_bits = {free_bits}")))
        .or(warmup);
    match setting {
        None => Ok(()),
        Some(setting) => Err(Error::NoKernel { setting, device: device.name() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Reading;

    #[test]
    fn the_peak_is_that_of_the_end_of_training() {
        let mut config = Config::default();
        config.fast.ramp_to = 0.5;
        assert_eq!(inference_settings(&config, None).lr, 0.34);
        config.reading = Reading::Paper;
        assert_eq!(inference_settings(&config, None).lr, 0.5);
    }

    #[test]
    fn the_cosine_keeps_a_length_that_is_set() {
        let mut config = Config::default();
        assert_eq!(inference_settings(&config, Some(40)).schedule_steps(), 40);
        config.fast.schedule_steps = 16;
        let settings = inference_settings(&config, Some(40));
        assert_eq!((settings.steps, settings.schedule_steps()), (40, 16));
    }
}
