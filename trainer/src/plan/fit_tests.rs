//! The plan against what a virtual GPU then holds, and against the memory there is.

use ltm_engine::cpu::Cpu;
use ltm_engine::gpu::{Gpu, Vm};
use ltm_engine::philox::Stream;
use ltm_engine::{Device, Processor};

use super::*;
use crate::config::{Dtype, Layers, Preset, Reading};
use crate::trainer::NEVER;
use crate::{Error, Trainer};

fn vm(memory: u64) -> Box<dyn Device> {
    Box::new(Gpu::new(Vm::of_size(0, Some(memory))))
}

fn used(trainer: &Trainer) -> ltm_engine::MemoryUse {
    trainer.device.usage().unwrap()
}

/// Everything is allocated and nothing runs: the virtual GPU takes no memory of the host for it.
#[test]
fn the_published_models_take_what_was_planned() {
    for name in [Preset::Small, Preset::Medium, Preset::Large] {
        for (reading, dtype) in [(Reading::Released, Dtype::Bf16), (Reading::Paper, Dtype::F32)] {
            let mut config = Layers::preset(name).unwrap().finish(None).unwrap();
            config.reading = reading;
            (config.train.micro_batch, config.train.dtype) = (64, dtype);
            let memory = Memory::of(&config, 64, Processor::Gpu).unwrap();
            let before = crate::resources::rss_bytes().unwrap_or(0);
            let trainer = Trainer::new(vm(1 << 42), config).unwrap();
            let grown = crate::resources::rss_bytes().unwrap_or(0).saturating_sub(before);
            assert!(grown < 1 << 30, "{grown} bytes of the host for {}", name.name());
            assert_eq!(used(&trainer).peak, memory.allocated as u64, "{} {dtype}", name.name());
            assert_eq!(used(&trainer).used, memory.allocated as u64);
            assert!(memory.total > memory.allocated, "texts take something");
            for part in [memory.scratch, memory.tables, memory.suffix_arena] {
                assert!(part > 0 && part % 256 == 0);
            }
            assert!(memory.words < 1 << 20, "{} bytes are not named", memory.words);
        }
    }
}

/// Two layers, four sequences, two fast steps.
fn little() -> Config {
    let settings = [
        "model.dim=32",
        "model.heads=2",
        "model.layers=2",
        "model.latents=4",
        "model.vocab_size=61",
        "model.max_seq_len=20",
        "model.window=7",
        "model.ffn_dim=48",
        "fast.steps=2",
        "train.batch=4",
        "train.sample_every=0",
    ];
    let layers = Layers::preset(Preset::Small).unwrap();
    settings.iter().fold(layers, |layers, s| layers.set(s).unwrap()).finish(None).unwrap()
}

fn iterate(trainer: &mut Trainer, iteration: u64) -> f64 {
    let config = trainer.config.clone();
    let stream = Stream { seed: 1, site: 5, sample: 0, iteration: iteration as u32 };
    let count = (config.train.batch * config.seq_len()) as u32;
    let ids: Vec<i32> = (0..=count).map(|i| (stream.block(i)[0] % 61) as i32).collect();
    let (tokens, targets) = (&ids[..count as usize], &ids[1..]);
    trainer.iterate(iteration, tokens, targets, &NEVER).unwrap().loss
}

#[test]
fn a_run_takes_what_was_planned_before_its_first_iteration() {
    for (reading, dtype, micro, latents) in [
        (Reading::Released, Dtype::Bf16, 4, 4),
        (Reading::Released, Dtype::F32, 2, 4),
        (Reading::Paper, Dtype::F32, 4, 4),
        (Reading::Paper, Dtype::Bf16, 2, 0),
    ] {
        let mut config = little();
        config.reading = reading;
        if latents == 0 {
            (config.model.latents, config.fast.steps) = (0, 0);
        }
        (config.train.dtype, config.train.micro_batch) = (dtype, micro);
        let plan = Memory::of(&config, micro, Processor::Gpu).unwrap();
        let mut trainer = Trainer::new(vm(1 << 30), config.clone()).unwrap();
        let seed = config.train.seed;
        trainer.parameters.initialise(trainer.device.as_mut(), &config.model, seed).unwrap();
        let ready = used(&trainer);
        assert_eq!((ready.peak, ready.used), (plan.allocated as u64, plan.allocated as u64));
        for iteration in 0..2 {
            iterate(&mut trainer, iteration);
            assert_eq!(used(&trainer), ready, "iteration {iteration} of {reading:?} {dtype}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let config = little();
    for (processor, device) in [
        (Processor::Gpu, vm as fn(u64) -> Box<dyn Device>),
        (Processor::Cpu, |memory| Box::new(Cpu::new(1).unwrap().within(Some(memory)))),
    ] {
        let total = |n: usize| Memory::of(&config, n, processor).unwrap().total as u64;
        let fixed = |micro_batch: usize, memory: u64| {
            let mut config = config.clone();
            config.train.micro_batch = micro_batch;
            Trainer::new(device(memory), config)
        };
        let refusal = |result: Result<Trainer>| match result.err().expect("refused") {
            Error::Plan(error @ PlanError::DoesNotFit { .. }) => error,
            error => panic!("{error}"),
        };
        assert_eq!(fixed(4, total(4)).unwrap().config.train.micro_batch, 4);
        let error = refusal(fixed(4, total(4) - 1));
        let text = error.to_string();
        let PlanError::DoesNotFit { needed, free, micro_batch, largest, .. } = error else {
            unreachable!();
        };
        assert_eq!((needed, free, micro_batch), (total(4), total(4) - 1, 4));
        assert_eq!(largest, Some(2));
        for words in [
            format!("4 sequences of 20 tokens at once needs {} bytes", total(4)),
            format!("has {} free", total(4) - 1),
            "the largest train.micro_batch that fits is 2".to_owned(),
        ] {
            assert!(text.contains(&words), "{text}");
        }
        // The automatic choice, at both ends of the sizes that each serves.
        let chosen = |memory: u64| fixed(0, memory).unwrap().config.train.micro_batch;
        assert_eq!(chosen(total(4)), 4);
        assert_eq!([total(4) - 1, total(2)].map(chosen), [2, 2]);
        assert_eq!([total(2) - 1, total(1)].map(chosen), [1, 1]);
        let error = refusal(fixed(0, total(1) - 1));
        assert!(error.to_string().contains("not even one sequence"), "{error}");
        let PlanError::DoesNotFit { needed, largest, .. } = error else { unreachable!() };
        assert_eq!((needed, largest), (total(1), None));
    }
}

/// The batch is split by itself where memory is short, and learns the same.
#[test]
fn less_memory_gives_the_same_loss() {
    let config = little();
    let run = |memory: u64| {
        let device = Box::new(Cpu::new(1).unwrap().within(Some(memory)));
        let mut trainer = Trainer::new(device, config.clone()).unwrap();
        trainer.parameters.initialise(trainer.device.as_mut(), &config.model, 1).unwrap();
        let losses: Vec<f64> = (0..3).map(|i| iterate(&mut trainer, i)).collect();
        (trainer.config.train.micro_batch, losses)
    };
    let one = Memory::of(&config, 1, Processor::Cpu).unwrap().total as u64;
    let (whole, split) = (run(1 << 32), run(one));
    assert_eq!((whole.0, split.0), (4, 1));
    for (a, b) in whole.1.iter().zip(&split.1) {
        assert!((a / b - 1.0).abs() < 1e-4, "{:?} {:?}", whole.1, split.1);
    }
}

#[test]
fn a_plan_says_what_fits_and_what_does_not() {
    let mut config = little();
    let room = |memory: u64| Room::of(vm(memory).as_ref());
    let all = Memory::of(&config, 4, Processor::Gpu).unwrap().total as u64;
    let plan = Plan::new(&config, room(all - 1), &[]).unwrap();
    assert_eq!((plan.batch.micro_batch, plan.batch.automatic), (2, true));
    assert!(plan.refusal.is_none());
    assert!(plan.lines().iter().any(|line| line.contains("2 of 4 sequences")));
    config.train.micro_batch = 4;
    let plan = Plan::new(&config, room(all - 1), &[]).unwrap();
    assert_eq!(plan.memory.total as u64, all);
    assert!(plan.lines().iter().any(|line| line.contains("does not fit")));
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["room"]["memory"]["free"], all - 1);
}
