use std::collections::BTreeSet;

use ltm_engine::gpu::{Gpu, Ledger, inspect};
use ltm_engine::{Clock, DeviceKind};

use super::*;
use crate::config::{Layers, Preset};

/// A model of a few thousand weights.
fn config(settings: &[&str]) -> Config {
    let small = [
        "model.dim=64",
        "model.heads=2",
        "model.vocab_size=70",
        "model.max_seq_len=24",
        "model.window=8",
        "model.latents=4",
        "model.ffn_dim=96",
        "fast.steps=2",
        "train.batch=2",
    ];
    let layers = Layers::preset(Preset::Tiny).unwrap();
    let layers = small.iter().chain(settings).fold(layers, |layers, s| layers.set(s).unwrap());
    layers.finish(None).unwrap()
}

/// An operation that nobody measures would have no row.
#[test]
fn every_module_is_measured_with_arguments_that_take_turns() {
    let mut gpu = Gpu::new(Ledger::noting());
    let sampling = Sampling { rotated_bytes: 1 << 20, ..Sampling::of(Clock::Host, 48, 64) };
    let kernels = kernels(&mut gpu, &config(&["train.dtype=bf16"]), sampling).unwrap();
    let launched: BTreeSet<_> =
        gpu.driver().take_launches().iter().map(|launch| launch.entry.module).collect();
    let known: BTreeSet<_> =
        inspect::launches().unwrap().iter().map(|launch| launch.entry.module).collect();
    assert_eq!(launched, known);
    for kernel in &kernels.kernels {
        let bytes = kernel.bytes * kernel.sets as u64;
        assert!(kernel.sets == 64 || bytes >= 1 << 20, "{kernel:?}");
        assert!(kernel.sets >= 2 && kernel.bytes > 0, "{kernel:?}");
    }
}

#[test]
fn the_same_cases_run_on_the_cpu() {
    let mut cpu = ltm_engine::open(DeviceKind::Cpu, 1).unwrap();
    let kernels = kernels(cpu.as_mut(), &config(&[]), Sampling::of(Clock::Host, 48, 64)).unwrap();
    assert_eq!(kernels.clock, "the host's clock");
    for kernel in &kernels.kernels {
        let Times { p10, median, p90 } = kernel.times;
        assert!(0.0 < p10 && p10 <= median && median <= p90, "{kernel:?}");
        assert!(kernel.share_of_ceiling > 0.0, "{kernel:?}");
        let product = kernel.operation.starts_with("linear");
        assert!(!product || kernel.flops > 0.0, "{kernel:?}");
    }
}

#[test]
fn quantiles_are_those_of_the_samples() {
    let times = Times::of((0..=10).rev().map(f64::from).collect());
    assert_eq!(times, Times { p10: 1.0, median: 5.0, p90: 9.0 });
}

#[test]
fn the_parts_of_an_iteration_add_up_to_it() {
    let config = config(&["reading=paper", "train.micro_batch=1"]);
    let cpu = ltm_engine::open(DeviceKind::Cpu, 1).unwrap();
    let mut trainer = crate::Trainer::new(cpu, config.clone()).unwrap();
    trainer.parameters.initialise(trainer.device.as_mut(), &config.model, 5).unwrap();
    let batch = |_| Ok::<_, crate::Error>((vec![1; 48], vec![2; 48]));
    let iterations = Iterations::measure(&mut trainer, (1, 2), batch).unwrap();
    assert_eq!((iterations.tokens, iterations.seconds.len()), (48, 2));
    let runs: Vec<_> = iterations.parts.iter().map(|part| (part.part, part.runs)).collect();
    // Two micro-batches of two fast steps each.
    let expected = [
        ("begin", 2.0),
        ("fast step", 4.0),
        ("slow step", 2.0),
        ("update", 1.0),
        ("the rest", 1.0),
    ];
    assert_eq!(runs, expected);
    let sum: f64 = iterations.parts.iter().map(|part| part.seconds).sum();
    let mean = iterations.seconds.iter().sum::<f64>() / 2.0;
    assert!((sum - mean).abs() < 1e-9 * mean, "{sum} and {mean}");
    let flops: f64 = iterations.parts.iter().map(|part| part.flops).sum();
    assert!((flops - iterations.flops).abs() < 1e-9 * flops);
}
