use ltm_engine::cpu::Cpu;
use ltm_engine::{Buffer, Processor};

use super::*;
use crate::Trainer;
use crate::config::{Layers, Preset, Reading};
use crate::model::Slot;

fn preset(preset: Preset) -> Config {
    Layers::preset(preset).unwrap().finish(None).unwrap()
}

/// The lead figures of the design: 65,536 tokens on an H200, milliseconds of a fast step and of
/// an iteration that takes the weights' gradients at the inferred z only.
const FLOORS: [(Preset, f64, f64, usize); 3] = [
    (Preset::Small, 12.06, 212.0, 38_400_000),
    (Preset::Medium, 16.1, 283.0, 51_000_000),
    (Preset::Large, 24.3, 1593.0, 76_300_000),
];

#[test]
fn floors_of_the_published_models_are_those_of_the_design() {
    for (name, fast_step, iteration, parameters) in FLOORS {
        let mut config = preset(name);
        config.reading = Reading::Paper;
        config.train.batch = 64;
        let plan = Plan::new(&config, Room::boundless(Processor::Cpu), &[Machine::h200()]).unwrap();
        assert_eq!(plan.batch.tokens, 65_536);
        let close = |found: f64, expected: f64| {
            assert!(
                (found / expected - 1.0).abs() < 0.015,
                "{found} against {expected} of {}",
                name.name()
            );
        };
        close(plan.floors[0].fast_step * 1e3, fast_step);
        close(plan.floors[0].iteration * 1e3, iteration);
        close(plan.parameters as f64, parameters as f64);
        let grouped: usize = plan.groups.iter().map(|group| group.parameters).sum();
        assert_eq!(grouped, plan.parameters);
    }
}

#[test]
fn work_follows_the_reading_and_not_the_micro_batch() {
    let mut config = preset(Preset::Small);
    config.train.batch = 8;
    let released = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap();
    config.reading = Reading::Paper;
    let paper = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap();
    config.train.micro_batch = 2;
    let cut = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap();
    assert_eq!(released.work.steps_with_weights, 16);
    assert_eq!(paper.work.steps_with_weights, 0);
    let added = released.work.iteration - paper.work.iteration;
    let weights = released.work.fast_with_weights.total() - released.work.fast.total();
    assert!((added / (16.0 * weights) - 1.0).abs() < 1e-12);
    assert_eq!(cut.work, paper.work);
    assert!(cut.memory.allocated < paper.memory.allocated);
    // Without the savings: 16 steps of 2 or 3 forward passes, and the slow step of 3.
    assert!((33.0..35.0).contains(&paper.work.forward_equivalents));
    assert!((48.0..51.0).contains(&released.work.forward_equivalents));
}

/// Counts of one fast step without weight gradients, written out for one small shape.
#[test]
fn a_fast_step_is_counted_by_hand() {
    let config = small_model();
    let plan = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap();
    let (rows, d, f, v, m) = (36.0, 16.0, 24.0, 40.0, 2.0);
    let pairs = 3.0 * (1.0 + 2.0 + 3.0 + 4.0 + 8.0 * 4.0);
    let forward = plan.work.fast.forward;
    let per_layer = 2.0 * rows * (d * d + 3.0 * d * f) + 2.0 * 3.0 * m * d * 2.0 * d;
    let upper = 2.0 * rows * (4.0 * d * d + d * d);
    assert_eq!(forward.linear, 2.0 * per_layer + upper);
    assert_eq!(forward.window_attention, 4.0 * pairs * d);
    assert_eq!(forward.latent_attention, 2.0 * 4.0 * rows * m * d);
    assert_eq!(forward.vocabulary, 2.0 * rows * d * v);
    let backward = plan.work.fast.backward;
    assert_eq!(backward.linear, forward.linear);
    assert_eq!(backward.vocabulary, forward.vocabulary);
    assert_eq!(backward.window_attention, 10.0 * pairs * d);
    assert_eq!(backward.latent_attention, (8.0 + 10.0) * rows * m * d);
}

/// 2 layers of width 16; 3 sequences of 12 tokens at a time.
fn small_model() -> Config {
    let mut config = Config::default();
    let model = &mut config.model;
    (model.dim, model.layers, model.heads) = (16, 2, 2);
    (model.vocab_size, model.ffn_dim) = (40, 24);
    (model.max_seq_len, model.window, model.latents) = (12, 4, 4);
    (config.train.batch, config.train.micro_batch) = (3, 3);
    config
}

/// Forward and twice that backward for every linear map of a plain decoder; 2 and 5 products for
/// attention.
#[test]
fn work_without_latents_is_that_of_a_plain_decoder() {
    let mut config = preset(Preset::Small);
    (config.model.latents, config.fast.steps, config.train.batch) = (0, 0, 2);
    config.model.window = 1024;
    let work = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap().work;
    let (d, f, v, layers, rows) = (512.0, 1376.0, 50258.0, 3.0, 2.0 * 1024.0);
    let linear = 2.0 * rows * (v * d + layers * (4.0 * d * d + 3.0 * d * f));
    let attention = 2.0 * 2.0 * d * layers * (1024.0 * 1025.0 / 2.0);
    let expected = 3.0 * linear + 7.0 * attention;
    assert!((work.iteration / expected - 1.0).abs() < 1e-12, "{} {expected}", work.iteration);
    assert_eq!((work.fast_steps, work.fast.total(), work.fast_with_weights.total()), (0, 0.0, 0.0));
}

#[test]
fn planned_bytes_are_allocated() {
    for (batch, reading, latents) in
        [(3, Reading::Released, true), (1, Reading::Paper, true), (3, Reading::Paper, false)]
    {
        let mut config = small_model();
        if !latents {
            (config.model.latents, config.fast.steps) = (0, 0);
        }
        (config.train.micro_batch, config.reading) = (batch, reading);
        let plan = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap();
        let trainer = Trainer::new(Box::new(Cpu::new(1).unwrap()), config).unwrap();
        let memory = plan.memory;
        let arenas = memory.prefix_arena + memory.suffix_arena;
        assert_eq!(trainer.passes.arena_bytes(), arenas);

        let w = &trainer.workspace;
        let hidden = [
            Slot::Tokens,
            Slot::Order,
            Slot::Targets,
            Slot::PrefixStream,
            Slot::PrefixQueries,
            Slot::PrefixGateUp,
            Slot::PrefixStreamGradient,
            Slot::PrefixQueriesGradient,
            Slot::PrefixGateUpGradient,
        ]
        .map(|slot| w.slot(slot).unwrap().byte_len());
        let open = [
            &w.mu,
            &w.logvar,
            &w.eps,
            &w.mu_moments,
            &w.logvar_moments,
            &w.kl,
            &w.z,
            &w.d_z,
            &w.token_nll,
            &w.logsumexp,
            &w.schedule,
            &w.step,
            &w.trace,
        ]
        .map(Buffer::byte_len);
        let workspace: usize = hidden.iter().chain(&open).sum();
        let batches: usize = trainer.batches().iter().map(Buffer::byte_len).sum();
        assert!(batches > 0);
        assert_eq!(workspace + batches, memory.workspace);

        let parameters = &trainer.parameters;
        assert_eq!(parameters.values.byte_len(), memory.weights);
        let training = parameters.training.as_ref().unwrap();
        assert_eq!(training.gradients.byte_len(), memory.gradients);
        let moments = training.first_moment.byte_len() + training.second_moment.byte_len();
        assert_eq!(moments, memory.moments);
        let known = memory.weights + memory.gradients + memory.moments + memory.workspace + arenas;
        assert_eq!(memory.allocated, known + memory.words);
    }
}

#[test]
fn the_largest_preset_is_planned_without_being_allocated() {
    let plan = Plan::new(
        &preset(Preset::Large),
        Room::boundless(Processor::Cpu),
        &[Machine::cpu(2), Machine::h200()],
    )
    .unwrap();
    assert!(plan.memory.allocated > 100 << 30);
    let lines = plan.lines();
    assert!(lines.iter().any(|line| line.contains("512 of 512 sequences of 1024 tokens")));
    assert!(lines.iter().any(|line| line.contains("H200")));
    assert!(lines.iter().all(|line| line.len() <= 100), "{lines:#?}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["memory"]["total"], plan.memory.total);
}

#[test]
fn what_no_machine_has_is_an_error() {
    let mut config = Config::default();
    (config.model.dim, config.model.layers) = (1 << 24, 8);
    (config.train.batch, config.model.max_seq_len) = (1 << 24, 1 << 24);
    let error = Plan::new(&config, Room::boundless(Processor::Cpu), &[]).unwrap_err();
    assert!(matches!(error, crate::Error::Plan(PlanError::TooLarge { .. })));
    assert!(Machine::measured(0.0).is_err());
    assert!(Machine::measured(f64::NAN).is_err());
}
