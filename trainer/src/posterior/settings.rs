//! The fast loop outside training.

use crate::config::{Config, FastConfig, Ramp};

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
