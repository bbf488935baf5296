//! A model fixture: forward, ELBO and its gradients, fast loop, slow step, whole iterations.

use ltm_autograd::Segment;
use ltm_engine::ops::{GaussianBackward, GaussianKl, LinearForward};
use ltm_engine::{Buffer, DType, DeviceExt};

use super::report::Checker;
use super::settings::config;
use super::{Open, Result};
use crate::Trainer;
use crate::config::{Config, Dtype, TrajectorySamples};
use crate::model::{ParameterLayout, Slot, SuffixArgs, record_prefix, record_suffix};
use crate::parity::fixture::Fixture;
use crate::posterior::{begin, fast_step, schedule};
use crate::schedule::{TrajectorySteps, fast_peak, slow_lr};
use crate::trainer::NEVER;
use crate::workspace::Workspace;

/// Weights of the fixture in the flat layout.
pub(crate) fn weights(fixture: &Fixture, layout: &ParameterLayout) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(layout.len());
    for entry in layout.entries() {
        let key = format!("in.weight.{}", entry.name);
        let values = fixture.floats(&key)?;
        if values.len() != entry.range.len() {
            return Err(fixture.malformed(format!("{key} has {} values", values.len())));
        }
        all.extend(values);
    }
    Ok(all)
}

/// `[L, B, M D]` as stored on the device to `[B, N, D]`.
fn sample_major(workspace: &Workspace, z: &[f32]) -> Vec<f32> {
    let g = workspace.gaussian;
    let mut out = Vec::with_capacity(z.len());
    for sample in 0..g.samples {
        for layer in 0..g.layers {
            let at = (layer * g.samples + sample) * g.per_layer;
            out.extend_from_slice(&z[at..at + g.per_layer]);
        }
    }
    out
}

struct Session<'a, 'b> {
    checker: &'a mut Checker<'b>,
    trainer: Trainer,
}

/// Checks everything that a model fixture holds.
pub(super) fn check(checker: &mut Checker<'_>, open: Open<'_>, dtype: Dtype) -> Result<()> {
    let mut config = config(checker.fixture)?;
    config.train.dtype = dtype;
    let fixture = checker.fixture;
    let mut main = Session::new(checker, open, &config)?;
    main.reset()?;
    main.load("in.")?;
    main.forward("fwd")?;
    main.elbo()?;
    main.fast_loop()?;
    main.slow_final_z()?;
    main.slow_accumulated()?;
    drop(main);
    if fixture.has("short.tokens") {
        let mut short = config.clone();
        short.train.seq_len = fixture.shape("short.tokens")?.last().copied().unwrap_or(0);
        let mut short = Session::new(checker, open, &short)?;
        short.reset()?;
        short.load("short.")?;
        short.forward("short")?;
    }
    if fixture.value(&["spec", "trace"])?.is_object() {
        for (mode, samples) in
            [("final_z", TrajectorySamples::Count(0)), ("accumulated", TrajectorySamples::Auto)]
        {
            let mut traced = config.clone();
            traced.slow = crate::config::SlowConfig {
                warmup: fixture.count(&["spec", "trace", "warmup"])? as u64,
                total: fixture.count(&["spec", "trace", "total"])? as u64,
                trajectory_samples: samples,
                first_lr: crate::config::FirstLr::Zero,
                ..Default::default()
            };
            let iterations = fixture.count(&["spec", "trace", "iterations"])?;
            Session::new(checker, open, &traced)?.trace(mode, iterations)?;
        }
    }
    Ok(())
}

impl<'a, 'b> Session<'a, 'b> {
    fn new(checker: &'a mut Checker<'b>, open: Open<'_>, config: &Config) -> Result<Self> {
        Ok(Self { checker, trainer: Trainer::new(open()?, config.clone())? })
    }

    fn fixture(&self) -> &Fixture {
        self.checker.fixture
    }

    /// Weights of the fixture, no gradients, no moments.
    fn reset(&mut self) -> Result<()> {
        let values = weights(self.fixture(), &self.trainer.parameters.layout)?;
        let (device, parameters) = (&mut self.trainer.device, &self.trainer.parameters);
        parameters.set(device.as_mut(), 0..values.len(), &values)?;
        if let Some(training) = &parameters.training {
            for buffer in [&training.gradients, &training.first_moment, &training.second_moment] {
                device.zero(buffer)?;
            }
        }
        Ok(())
    }

    /// Tokens of `prefix` and a posterior start; sequences other than the first batch share its.
    fn load(&mut self, prefix: &str) -> Result<()> {
        let fixture = self.checker.fixture;
        let tokens = fixture.integers(&format!("{prefix}tokens"))?;
        let targets = fixture.integers(&format!("{prefix}targets"))?;
        let start = if fixture.has(&format!("{prefix}mu0")) { prefix } else { "in." };
        let Trainer { device, workspace, .. } = &mut self.trainer;
        workspace.load(device.as_mut(), &tokens, &targets)?;
        for (name, buffer) in
            [("mu0", &workspace.mu), ("logvar0", &workspace.logvar), ("eps", &workspace.eps)]
        {
            device.upload(buffer, &fixture.floats(&format!("{start}{name}"))?)?;
        }
        Ok(())
    }

    fn compare_floats(&mut self, key: &str, buffer: &Buffer) -> Result<()> {
        let values = self.trainer.device.read_numbers(buffer)?;
        self.checker.compare(key, &values)
    }

    /// Compares every weight-shaped part of a flat vector.
    fn compare_weights(&mut self, family: &str, buffer: &Buffer) -> Result<()> {
        let values = self.trainer.device.read::<f32>(buffer)?;
        for entry in self.trainer.parameters.layout.entries().to_vec() {
            let key = format!("{family}.weight.{}", entry.name);
            if self.fixture().has(&key) {
                self.checker.compare(&key, &values[entry.range.clone()])?;
            }
        }
        Ok(())
    }

    fn gradients(&self) -> Result<Buffer> {
        let training = self.trainer.parameters.training.as_ref().ok_or(crate::Error::Frozen)?;
        Ok(training.gradients.clone())
    }

    fn kl(&mut self) -> Result<Vec<f64>> {
        let Trainer { device, workspace, .. } = &mut self.trainer;
        device.gaussian_kl(&GaussianKl {
            mu: &workspace.mu,
            logvar: &workspace.logvar,
            kl: &workspace.kl,
            shape: workspace.gaussian,
        })?;
        Ok(workspace.sequence_kl(device.as_mut())?)
    }

    fn nll(&mut self) -> Result<Vec<f64>> {
        let Trainer { device, workspace, .. } = &mut self.trainer;
        Ok(workspace.sequence_nll(device.as_mut())?)
    }

    /// The residual stream, logits and losses at the loaded z.
    fn forward(&mut self, prefix: &str) -> Result<()> {
        let Trainer { device, config, parameters, workspace, passes, .. } = &mut self.trainer;
        let (shape, model, storage) = (workspace.shape, &config.model, config.storage());
        begin(device.as_mut(), passes, workspace)?;
        // The same computation once more, recorded with every residual exported.
        let mut taps: Vec<(String, Buffer)> = Vec::new();
        let wide = shape.rows() * model.dim;
        let mut slots = Vec::new();
        for _ in 0..3 * model.layers + 2 {
            slots.push(device.alloc(storage, wide)?);
        }
        let mut names = Vec::new();
        let mut tapped = Vec::new();
        let mut tap = |tape: &mut ltm_autograd::Tape, name: &str, var: ltm_autograd::Var| {
            tape.export(var);
            tapped.push((names.len(), var));
            names.push(name.to_owned());
        };
        let layout = &parameters.layout;
        let processor = device.processor();
        let kind = (false, storage, processor);
        let mut first = record_prefix(model, layout, shape, kind, &mut tap)?;
        let args =
            SuffixArgs { shape, latents: false, weights: false, scale: 1.0, storage, processor };
        let first_taps = std::mem::take(&mut tapped);
        let mut tap = |tape: &mut ltm_autograd::Tape, name: &str, var: ltm_autograd::Var| {
            tape.export(var);
            tapped.push((names.len(), var));
            names.push(name.to_owned());
        };
        let mut rest = record_suffix(model, layout, args, &mut tap)?;
        for (program, bindings, tapped) in [
            (&mut first.program, &first.bindings, &first_taps),
            (&mut rest.program, &rest.bindings, &tapped),
        ] {
            for &(index, var) in tapped {
                program.bind(var, &slots[index])?;
                taps.push((names[index].clone(), slots[index].clone()));
            }
            // The prefix hands its stream on in a buffer of the workspace, which binds last.
            bindings.bind(program, parameters, &|slot| workspace.slot(slot))?;
            program.place_alone(device.as_mut())?;
            program.run(Segment::All, device.as_mut())?;
        }
        let hidden = slots[names.len() - 1].clone();
        let vocab = model.vocab_size;
        let logits = device.alloc(storage, shape.rows() * vocab)?;
        device.linear_forward(&LinearForward {
            x: &hidden,
            weight: &parameters.weights().slice(layout.embedding())?,
            residual: None,
            out: &logits,
            rows: shape.rows(),
            inner: model.dim,
            outer: vocab,
        })?;
        let stream = workspace.slot(Slot::PrefixStream);
        let (logsumexp, token_nll) = (workspace.logsumexp.clone(), workspace.token_nll.clone());
        for (name, buffer) in taps {
            let key = format!("{prefix}.{name}");
            if self.fixture().has(&key) {
                let handed_on = stream.clone().filter(|_| name == "layer0.self");
                self.compare_floats(&key, &handed_on.unwrap_or(buffer))?;
            }
        }
        self.logits(prefix, &logits)?;
        self.compare_floats(&format!("{prefix}.token_nll"), &token_nll)?;
        if self.fixture().has(&format!("{prefix}.nll")) {
            self.compare_floats(&format!("{prefix}.logsumexp"), &logsumexp)?;
            let (nll, kl) = (self.nll()?, self.kl()?);
            let sum: Vec<f64> = nll.iter().zip(&kl).map(|(a, b)| a + b).collect();
            self.checker.compare(&format!("{prefix}.nll"), &nll)?;
            self.checker.compare(&format!("{prefix}.kl"), &kl)?;
            self.checker.compare(&format!("{prefix}.nelbo"), &sum)?;
        }
        Ok(())
    }

    /// All logits, or every n-th row of them where the fixture thins them.
    fn logits(&mut self, prefix: &str, logits: &Buffer) -> Result<()> {
        let values = self.trainer.device.read_numbers(logits)?;
        if self.fixture().has(&format!("{prefix}.logits")) {
            return self.checker.compare(&format!("{prefix}.logits"), &values);
        }
        let stride = self.fixture().count(&["spec", "logit_stride"])?.max(1);
        let (seq, vocab) = (self.trainer.workspace.shape.seq, self.trainer.config.model.vocab_size);
        let rows = values.chunks_exact(vocab).enumerate();
        let thinned: Vec<f32> = rows
            .filter(|(row, _)| row % seq % stride == 0)
            .flat_map(|(_, logits)| logits.iter().copied())
            .collect();
        self.checker.compare(&format!("{prefix}.logits_rows"), &thinned)
    }

    /// Gradients of `mu` and `logvar` for the d_z at hand, before they move.
    fn posterior_gradients(
        &mut self,
        (mu, logvar): (&Buffer, &Buffer),
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let Trainer { device, workspace, .. } = &mut self.trainer;
        let n = workspace.gaussian.len();
        let (d_mu, d_logvar) = (device.alloc(DType::F32, n)?, device.alloc(DType::F32, n)?);
        device.gaussian_backward(&GaussianBackward {
            d_z: &workspace.d_z,
            mu,
            logvar,
            eps: &workspace.eps,
            d_mu: &d_mu,
            d_logvar: &d_logvar,
            shape: workspace.gaussian,
        })?;
        Ok((device.read(&d_mu)?, device.read(&d_logvar)?))
    }

    /// Derivatives of `sum(nll) + sum(kl)` at the start.
    fn elbo(&mut self) -> Result<()> {
        self.trainer.zero_gradients()?;
        self.load("in.")?;
        let Trainer { device, workspace, passes, .. } = &mut self.trainer;
        begin(device.as_mut(), passes, workspace)?;
        if let Some((program, _)) =
            passes.training.as_ref().and_then(|t| t.fast_with_weights.as_ref())
        {
            program.run(Segment::All, device.as_mut())?;
        }
        passes.prefix.run(Segment::Backward, device.as_mut())?;
        let (mu, logvar) = (workspace.mu.clone(), workspace.logvar.clone());
        let (d_mu, d_logvar) = self.posterior_gradients((&mu, &logvar))?;
        self.checker.compare("elbo.grad.mu", &d_mu)?;
        self.checker.compare("elbo.grad.logvar", &d_logvar)?;
        let gradients = self.gradients()?;
        self.compare_weights("elbo.grad", &gradients)
    }

    /// The state after each fast step, and the inferred posterior.
    fn fast_loop(&mut self) -> Result<()> {
        self.load("in.")?;
        let peak = self.trainer.config.fast.lr;
        {
            let Trainer { device, workspace, passes, config, .. } = &mut self.trainer;
            workspace.set_schedule(device.as_mut(), schedule(&config.fast, peak))?;
            begin(device.as_mut(), passes, workspace)?;
        }
        for step in 0..self.trainer.config.fast.steps {
            let Trainer { device, workspace, passes, .. } = &mut self.trainer;
            let n = workspace.gaussian.len();
            let before = (device.alloc(DType::F32, n)?, device.alloc(DType::F32, n)?);
            device.copy(&workspace.mu, &before.0)?;
            device.copy(&workspace.logvar, &before.1)?;
            fast_step(device.as_mut(), passes, workspace, false)?;
            let (mu, logvar) = (workspace.mu.clone(), workspace.logvar.clone());
            let kl = workspace.sequence_kl(device.as_mut())?;
            let nll = self.nll()?;
            let key = |part: &str| format!("fast.{}.{part}", step + 1);
            self.checker.compare(&key("nll"), &nll)?;
            self.checker.compare(&key("kl"), &kl)?;
            if self.fixture().has(&key("grad_mu")) {
                let (d_mu, d_logvar) = self.posterior_gradients((&before.0, &before.1))?;
                self.checker.compare(&key("grad_mu"), &d_mu)?;
                self.checker.compare(&key("grad_logvar"), &d_logvar)?;
            }
            self.compare_floats(&key("mu"), &mu)?;
            self.compare_floats(&key("logvar"), &logvar)?;
        }
        {
            let Trainer { device, passes, .. } = &mut self.trainer;
            passes.score.run(Segment::All, device.as_mut())?;
        }
        self.compare_z("post.z")?;
        let (nll, kl) = (self.nll()?, self.kl()?);
        let seq = self.trainer.workspace.shape.seq as f64;
        let perplexity = nll.iter().zip(&kl).map(|(n, k)| ((n + k) / seq).exp()).sum::<f64>();
        self.checker.compare("post.nll", &nll)?;
        self.checker.compare("post.kl", &kl)?;
        self.checker.compare("post.ppl", &[perplexity / nll.len() as f64])
    }

    fn compare_z(&mut self, key: &str) -> Result<()> {
        let z = self.trainer.device.read_numbers(&self.trainer.workspace.z)?;
        self.checker.compare(key, &sample_major(&self.trainer.workspace, &z))
    }

    /// Norms of the gradient at hand, which is then applied; `mode` as the fixture calls it.
    fn norms(&mut self, mode: &str, lr: f64) -> Result<()> {
        let buffer = self.gradients()?;
        let values = self.trainer.device.read::<f32>(&buffer)?;
        let norm = |range: std::ops::Range<usize>| {
            values[range].iter().map(|&x| (x as f64).powi(2)).sum::<f64>().sqrt()
        };
        let entries = self.trainer.parameters.layout.entries();
        let norms: Vec<f64> = entries.iter().map(|entry| norm(entry.range.clone())).collect();
        self.trainer.update((lr, 1))?;
        let clip = self.trainer.clip(0)?;
        self.checker.compare(&format!("slow.{mode}.tensor_norms"), &norms)?;
        self.checker.compare(&format!("slow.{mode}.grad_norm"), &[clip.norm])?;
        self.checker.compare(&format!("slow.{mode}.clip_factor"), &[clip.factor])
    }

    /// The paper's slow step.
    fn slow_final_z(&mut self) -> Result<()> {
        self.reset()?;
        self.load("in.")?;
        let none = TrajectorySteps::none();
        self.trainer.accumulate(self.trainer.config.fast.lr, &none, &NEVER)?;
        let nll = self.nll()?;
        let rows = self.trainer.workspace.shape.rows() as f64;
        self.checker.compare("slow.loss", &[nll.iter().sum::<f64>() / rows])?;
        let gradients = self.gradients()?;
        self.compare_weights("slow.final_z.grad", &gradients)?;
        self.norms("final_z", self.trainer.config.slow.lr)?;
        let values = self.trainer.parameters.values.clone();
        self.compare_weights("slow.final_z.after", &values)
    }

    /// The released code's gradient.
    fn slow_accumulated(&mut self) -> Result<()> {
        self.reset()?;
        self.load("in.")?;
        let all = TrajectorySteps::draw(&self.trainer.config, 0);
        self.trainer.accumulate(self.trainer.config.fast.lr, &all, &NEVER)?;
        let gradients = self.gradients()?;
        self.compare_weights("slow.accumulated.grad", &gradients)?;
        self.norms("accumulated", 0.0)
    }

    /// Whole iterations with fresh data and the learning-rate schedule.
    fn trace(&mut self, mode: &str, iterations: usize) -> Result<()> {
        self.reset()?;
        let mut columns: [Vec<f64>; 4] = Default::default();
        for iteration in 0..iterations as u64 {
            self.trainer.zero_gradients()?;
            self.load(&format!("trace.in.{iteration}."))?;
            let trajectory = TrajectorySteps::draw(&self.trainer.config, iteration);
            let peak = fast_peak(&self.trainer.config, iteration);
            self.trainer.accumulate(peak, &trajectory, &NEVER)?;
            let nll = self.nll()?;
            self.compare_z(&format!("trace.{mode}.{iteration}.z"))?;
            let rows = self.trainer.workspace.shape.rows() as f64;
            let lr = slow_lr(&self.trainer.config, iteration);
            self.trainer.update((lr, iteration + 1))?;
            let clip = self.trainer.clip(iteration)?;
            let loss = nll.iter().sum::<f64>() / rows;
            for (column, value) in columns.iter_mut().zip([loss, clip.norm, clip.factor, lr]) {
                column.push(value);
            }
        }
        for (name, column) in ["loss", "grad_norm", "clip_factor", "lr"].iter().zip(&columns) {
            self.checker.compare(&format!("trace.{mode}.{name}"), column)?;
        }
        let values = self.trainer.parameters.values.clone();
        self.compare_weights(&format!("trace.{mode}"), &values)
    }
}
