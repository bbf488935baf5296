//! Launches of a fast step.

use std::collections::BTreeMap;

use ltm::model::{BatchShape, Parameters};
use ltm::passes::{PassPlan, Purpose};
use ltm::posterior::{begin, fast_step, schedule};
use ltm::workspace::Workspace;
use ltm_engine::gpu::Gpu;

use crate::runs::config;

/// Launches of a fast step of a model of `layers` layers, by kernel.
fn launches(layers: usize) -> BTreeMap<&'static str, usize> {
    let (layers, latents) = (format!("model.layers={layers}"), format!("model.latents={layers}"));
    let config = config(&[&layers, &latents, "train.dtype=bf16"]);
    let mut gpu = Gpu::virtual_gpu(2);
    let device = &mut gpu;
    let (shape, kind) = (BatchShape { batch: 1, seq: 40 }, (config.storage(), false));
    let parameters = Parameters::zeroed(device, &config.model, kind).unwrap();
    parameters.initialise(device, &config.model, 1).unwrap();
    let mut workspace =
        Workspace::new(device, &config.model, shape, kind, config.fast.steps).unwrap();
    let plan = PassPlan::record(&config, shape, Purpose::Inference).unwrap();
    let passes = plan.allocate(device, &parameters, &workspace).unwrap();
    workspace.load(device, &[7; 40], &[7; 40]).unwrap();
    workspace.set_schedule(device, schedule(&config.fast, 0.3)).unwrap();
    begin(device, &passes, &workspace).unwrap();
    gpu.driver().take_launches();
    fast_step(&mut gpu, &passes, &workspace, false).unwrap();
    let mut counts = BTreeMap::new();
    for launch in gpu.driver().take_launches() {
        *counts.entry(launch.entry.name).or_default() += 1;
    }
    counts
}

/// Of the first layer, whose self-attention is part of the prefix, with what is there once: the
/// last norm, the loss, the update and the trace.
const FIRST: usize = 19;
/// Of every other layer: 12 forward and 13 backward.
const FURTHER: usize = 25;

#[test]
fn launches_grow_with_the_layers_alone() {
    for layers in [1, 2, 3] {
        let counts = launches(layers);
        let all: usize = counts.values().sum();
        let expected = FIRST + FURTHER * (layers - 1);
        assert_eq!(all, expected, "{layers} layers: {counts:#?}");
        assert_eq!((counts["gaussian_update_bf16"], counts["trace_f32"]), (1, 1));
    }
}
