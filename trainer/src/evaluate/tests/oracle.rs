//! The figures against the numbers that PyTorch computed in float64.

use std::path::Path;

use super::*;
use crate::evaluate::{Averages, SequenceFigures};
use crate::parity::fixture::Fixture;
use crate::parity::{model, settings};

/// The sequences of a fixture.
struct Given {
    tokens: Vec<i32>,
    targets: Vec<i32>,
}

impl Sequences for Given {
    fn read(&self, _: &[u64], tokens: &mut Vec<i32>, targets: &mut Vec<i32>) -> Result<()> {
        tokens.clone_from(&self.tokens);
        targets.clone_from(&self.targets);
        Ok(())
    }
}

#[test]
fn nll_kl_bound_and_perplexity_are_those_of_the_oracle() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/micro.safetensors");
    let fixture = Fixture::open(&path).unwrap();
    let config = settings::config(&fixture).unwrap();
    let mut trainer = Trainer::new(Box::new(Cpu::new(1).unwrap()), config.clone()).unwrap();
    let weights = model::weights(&fixture, &trainer.parameters.layout).unwrap();
    trainer.parameters.set(trainer.device.as_mut(), 0..weights.len(), &weights).unwrap();
    let shape = fixture.shape("in.tokens").unwrap();
    let (batch, seq) = (shape[0], shape[1]);
    let source = Given {
        tokens: fixture.integers("in.tokens").unwrap(),
        targets: fixture.integers("in.targets").unwrap(),
    };
    let Trainer { device, parameters, .. } = &mut trainer;
    let mut evaluator =
        Evaluator::new(device.as_mut(), &config, parameters, BatchShape { batch, seq }).unwrap();
    let windows: Vec<u64> = (0..batch as u64).collect();

    // The posteriors start where those of the oracle did.
    let mut scorer = Scorer::new(evaluator.on(device.as_mut()), &config, &config.fast, &GO);
    scorer.read(&source, &windows, seq).unwrap();
    scorer.load(seq).unwrap();
    let Apparatus { device, workspace, .. } = scorer.on();
    for (name, buffer) in
        [("in.mu0", &workspace.mu), ("in.logvar0", &workspace.logvar), ("in.eps", &workspace.eps)]
    {
        device.upload(buffer, &fixture.floats(name).unwrap()).unwrap();
    }
    scorer.infer().unwrap();
    let nll = scorer.token_nll().unwrap();
    let kl = scorer.kl().unwrap();
    let figures: Vec<SequenceFigures> = (0..batch)
        .map(|place| {
            let mut figures = SequenceFigures::unscored(place as u64);
            let range = place * seq..(place + 1) * seq;
            for (&nll, &target) in nll[range.clone()].iter().zip(&source.targets[range]) {
                figures.push(f64::from(nll), target, &[]);
            }
            figures.kl = kl[place];
            figures.correct = Some(0);
            figures
        })
        .collect();

    let close = |found: f64, expected: f64| {
        assert!((found / expected - 1.0).abs() < 1e-4, "{found} against {expected}");
    };
    let (nll, kl) = (fixture.doubles("post.nll").unwrap(), fixture.doubles("post.kl").unwrap());
    for ((figures, nll), kl) in figures.iter().zip(&nll).zip(&kl) {
        close(figures.nll(), *nll);
        close(figures.kl, *kl);
        close(figures.bound(), (nll + kl) / seq as f64);
    }
    let averages = Averages::of(&figures);
    let tokens = (batch * seq) as f64;
    let (nll, kl): (f64, f64) = (nll.iter().sum(), kl.iter().sum());
    close(averages.nll, nll / tokens);
    close(averages.kl.unwrap(), kl / tokens);
    close(averages.bound, (nll + kl) / tokens);
    close(averages.mean_perplexity, fixture.doubles("post.ppl").unwrap()[0]);
}
