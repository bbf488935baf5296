//! The settings that a model fixture was made with.

use super::Result;
use super::fixture::Fixture;
use crate::config::{Config, FirstLr, Ramp, Reading};

/// The settings of a fixture, as this program has them.
pub(crate) fn config(fixture: &Fixture) -> Result<Config> {
    let mut config = Config::default();
    let text = |path: &[&str]| {
        let value = fixture.value(path)?;
        value.as_str().ok_or_else(|| fixture.malformed(format!("{} is no text", path.join("."))))
    };
    let (m, json) = (&mut config.model, |key| ["model", key]);
    m.dim = fixture.count(&json("dim"))?;
    m.layers = fixture.count(&json("n_layers"))?;
    m.heads = fixture.count(&json("n_heads"))?;
    m.vocab_size = fixture.count(&json("vocab_size"))?;
    m.max_seq_len = fixture.count(&json("max_seq_len"))?;
    m.window = fixture.count(&json("window"))?;
    m.latents = fixture.count(&json("n_latents"))?;
    m.ffn_dim = fixture.count(&json("ffn_dim"))?;
    m.norm_eps = fixture.number(&json("norm_eps"))?;
    m.rope_theta = fixture.number(&json("rope_theta"))?;
    m.latent_rope = fixture.value(&json("latent_rope"))?.as_bool().unwrap_or(true);
    let setting = |path: &[&str]| {
        let value = serde_json::Value::String(text(path)?.to_owned());
        Ok::<_, super::ParityError>(value)
    };
    m.latent_spacing = serde_json::from_value(setting(&json("latent_spacing"))?)
        .map_err(|e| fixture.malformed(format!("model.latent_spacing: {e}")))?;
    m.ffn_scaled_init = serde_json::from_value(setting(&json("ffn_scaled_init"))?)
        .map_err(|e| fixture.malformed(format!("model.ffn_scaled_init: {e}")))?;
    let pair = |path: &[&str]| {
        let value = fixture.value(path)?;
        serde_json::from_value::<[f64; 2]>(value.clone())
            .map_err(|e| fixture.malformed(format!("{}: {e}", path.join("."))))
    };
    let f = &mut config.fast;
    f.steps = fixture.count(&["fast", "steps"])?;
    f.lr = fixture.number(&["fast", "lr"])?;
    f.floor = fixture.number(&["fast", "floor"])?;
    [f.beta1, f.beta2] = pair(&["fast", "betas"])?;
    f.eps = fixture.number(&["fast", "eps"])?;
    f.weight_decay = fixture.number(&["fast", "weight_decay"])?;
    f.schedule_steps = match fixture.value(&["fast", "schedule_steps"])?.as_u64() {
        Some(steps) => steps as usize,
        None => 0,
    };
    [f.ramp_from, f.ramp_to] = pair(&["fast", "ramp"])?;
    f.ramp = match fixture.value(&["fast", "use_ramp"])?.as_bool() {
        Some(true) => Ramp::On,
        _ => Ramp::Off,
    };
    let s = &mut config.slow;
    s.lr = fixture.number(&["slow", "lr"])?;
    [s.beta1, s.beta2] = pair(&["slow", "betas"])?;
    s.eps = fixture.number(&["slow", "eps"])?;
    s.weight_decay = fixture.number(&["slow", "weight_decay"])?;
    s.clip = fixture.number(&["slow", "clip"])?;
    // The oracle's first learning rate is that of the released code in both readings.
    s.first_lr = FirstLr::Zero;
    s.total = 60_000;
    config.reading = Reading::Released;
    config.train.batch = fixture.count(&["spec", "batch"])?;
    config.train.seq_len = fixture.count(&["spec", "seq"])?;
    config.check().map_err(crate::Error::from)?;
    Ok(config)
}
