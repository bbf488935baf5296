//! Which values can work.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{Config, ConfigError, Origin, PriorKind, Problem, TrajectorySamples};

/// Token ids are stored as u16.
const MAX_VOCABULARY: usize = 1 << 16;
/// All latents of a head stay on chip in the latent attention kernel.
const MAX_LATENTS_PER_LAYER: usize = 64;
/// Far beyond any decoder; a damaged file is not taken at its word.
const MAX_LAYERS: usize = 1024;
/// Token, latent and element indices are 32-bit in the kernels.
const MAX_EXTENT: usize = 1 << 24;

/// Far beyond any use; devices take the weight in 32 bits.
const MAX_KL_WEIGHT: f64 = 1e6;

impl Config {
    /// Checks every value, alone and against the others.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem found.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.validate(&BTreeMap::new())
    }

    /// As [`Config::check`]; `origins` says where keys were written.
    pub(super) fn validate(&self, origins: &BTreeMap<String, Origin>) -> Result<(), ConfigError> {
        let mut checks = Checks { origins, problems: Vec::new() };
        self.check_model(&mut checks);
        self.check_posterior(&mut checks);
        self.check_slow(&mut checks);
        self.check_train(&mut checks);
        match checks.problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigError::Invalid(checks.problems)),
        }
    }

    fn check_model(&self, c: &mut Checks<'_>) {
        let m = &self.model;
        for (key, value) in [
            ("model.dim", m.dim),
            ("model.heads", m.heads),
            ("model.max_seq_len", m.max_seq_len),
            ("model.window", m.window),
            ("model.multiple_of", m.multiple_of),
        ] {
            let fits = (1..=MAX_EXTENT).contains(&value);
            c.require(fits, key, value, format!("1 to {MAX_EXTENT}"));
        }
        c.require(
            m.latents <= MAX_EXTENT,
            "model.latents",
            m.latents,
            format!("0 (a plain autoregressive model) to {MAX_EXTENT}"),
        );
        c.require(
            (1..=MAX_LAYERS).contains(&m.layers),
            "model.layers",
            m.layers,
            format!("1 to {MAX_LAYERS}"),
        );
        c.require(
            m.ffn_dim <= MAX_EXTENT,
            "model.ffn_dim",
            m.ffn_dim,
            format!("0 (derived) to {MAX_EXTENT}"),
        );
        c.require(
            (1..=MAX_VOCABULARY).contains(&m.vocab_size),
            "model.vocab_size",
            m.vocab_size,
            format!("1 to {MAX_VOCABULARY}, token ids being 16 bits wide"),
        );
        if !c.problems.is_empty() {
            return;
        }
        c.require(
            m.dim.is_multiple_of(2 * m.heads),
            "model.dim",
            m.dim,
            format!(
                "a multiple of 2 * model.heads = {}, so that heads have an even width",
                2 * m.heads
            ),
        );
        c.require(
            m.latents.is_multiple_of(m.layers),
            "model.latents",
            m.latents,
            format!("a multiple of model.layers = {}", m.layers),
        );
        c.require(
            m.latents_per_layer() <= MAX_LATENTS_PER_LAYER,
            "model.latents",
            m.latents,
            format!(
                "at most {MAX_LATENTS_PER_LAYER} per layer, {} for {} layers",
                MAX_LATENTS_PER_LAYER * m.layers,
                m.layers
            ),
        );
        c.require(
            m.prior == PriorKind::Standard || m.latents > 0,
            "model.prior",
            "learned",
            "standard, where model.latents is 0",
        );
        c.positive("model.norm_eps", m.norm_eps);
        c.positive("model.rope_theta", m.rope_theta);
    }

    fn check_posterior(&self, c: &mut Checks<'_>) {
        let (p, f) = (&self.posterior, &self.fast);
        c.not_negative("posterior.mu_std", p.mu_std);
        c.require(
            p.logvar_mean.is_finite(),
            "posterior.logvar_mean",
            p.logvar_mean,
            "a finite number",
        );
        c.not_negative("posterior.logvar_std", p.logvar_std);
        match self.model.is_autoregressive() {
            true => c.require(f.steps == 0, "fast.steps", f.steps, "0, as model.latents = 0"),
            false => {
                c.require((1..=MAX_EXTENT).contains(&f.steps), "fast.steps", f.steps, "at least 1");
            }
        }
        c.not_negative("fast.lr", f.lr);
        c.require((0.0..=1.0).contains(&f.floor), "fast.floor", f.floor, "0 to 1");
        c.beta("fast.beta1", f.beta1);
        c.beta("fast.beta2", f.beta2);
        c.positive("fast.eps", f.eps);
        c.not_negative("fast.weight_decay", f.weight_decay);
        c.not_negative("fast.ramp_from", f.ramp_from);
        c.not_negative("fast.ramp_to", f.ramp_to);
        c.beta("fast.momentum", f.momentum);
        c.positive("fast.langevin_step", f.langevin_step);
        c.require(
            (0.0..=MAX_KL_WEIGHT).contains(&p.kl_weight),
            "posterior.kl_weight",
            p.kl_weight,
            format!("0 to {MAX_KL_WEIGHT}"),
        );
        c.not_negative("posterior.free_bits", p.free_bits);
        c.require(
            p.free_bits == 0.0 || !f.method.is_point(),
            "posterior.free_bits",
            p.free_bits,
            "0 with fast.method = langevin, which has no KL",
        );
    }

    fn check_slow(&self, c: &mut Checks<'_>) {
        let s = &self.slow;
        c.not_negative("slow.lr", s.lr);
        c.not_negative("slow.min_lr", s.min_lr);
        c.beta("slow.beta1", s.beta1);
        c.beta("slow.beta2", s.beta2);
        c.positive("slow.eps", s.eps);
        c.not_negative("slow.weight_decay", s.weight_decay);
        c.not_negative("slow.clip", s.clip);
        if let TrajectorySamples::Count(count) = s.trajectory_samples {
            c.require(
                count <= self.fast.steps,
                "slow.trajectory_samples",
                count,
                format!("\"auto\" or 0 to fast.steps = {}", self.fast.steps),
            );
        }
    }

    fn check_train(&self, c: &mut Checks<'_>) {
        let t = &self.train;
        // Iterations are a 32-bit word of the random numbers' counter.
        c.require(
            (1..=u64::from(u32::MAX)).contains(&t.iterations),
            "train.iterations",
            t.iterations,
            format!("1 to {}", u32::MAX),
        );
        c.require(
            (1..=MAX_EXTENT).contains(&t.batch),
            "train.batch",
            t.batch,
            format!("1 to {MAX_EXTENT}"),
        );
        c.require(
            t.micro_batch == 0 || t.batch.is_multiple_of(t.micro_batch),
            "train.micro_batch",
            t.micro_batch,
            format!("0 (as many as fit) or a divisor of train.batch = {}", t.batch),
        );
        c.require(
            t.seq_len <= self.model.max_seq_len,
            "train.seq_len",
            t.seq_len,
            format!("0 (the longest) or at most model.max_seq_len = {}", self.model.max_seq_len),
        );
        c.require(
            i64::try_from(t.seed).is_ok(),
            "train.seed",
            t.seed,
            format!("0 to {}, the integers of TOML", i64::MAX),
        );
        c.require(
            t.validate_every == 0 || t.validation_sequences > 0,
            "train.validation_sequences",
            t.validation_sequences,
            "at least 1, or train.validate_every = 0",
        );
    }
}

struct Checks<'a> {
    origins: &'a BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn require(
        &mut self,
        holds: bool,
        key: &'static str,
        value: impl Display,
        expected: impl Into<String>,
    ) {
        if !holds {
            let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
            self.problems.push(Problem {
                key,
                value: value.to_string(),
                expected: expected.into(),
                origin,
            });
        }
    }

    fn positive(&mut self, key: &'static str, value: f64) {
        let holds = value.is_finite() && value > 0.0;
        self.require(holds, key, value, "a finite number above 0");
    }

    fn not_negative(&mut self, key: &'static str, value: f64) {
        let holds = value.is_finite() && value >= 0.0;
        self.require(holds, key, value, "a finite number, 0 or above");
    }

    fn beta(&mut self, key: &'static str, value: f64) {
        self.require((0.0..1.0).contains(&value), key, value, "0 to below 1");
    }
}
