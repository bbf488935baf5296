//! Launches of a fast step.

use std::collections::BTreeMap;

use ltm::model::{BatchShape, Parameters};
use ltm::passes::{PassPlan, Purpose};
use ltm::posterior::{begin, fast_step, schedule};
use ltm::workspace::Workspace;
use ltm_engine::Processor;
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
    let plan = PassPlan::record(&config, shape, Purpose::Inference, Processor::Gpu).unwrap();
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

/// What is there once: keys and values of all layers, the reduction of their gradients and the
/// gradient of z; the loss in two, and the norm before it backward; the update; the trace.
const ONCE: usize = 8;
/// Of the first layer, whose self-attention is part of the prefix: latent attention with what stands
/// around it, gate and up, and down with the norm that follows; backward the same.
const FIRST: usize = 6;
/// Of every other layer, besides: query, key and value; window attention; its projection with the norm
/// that follows; backward the same, with the norm before.
const FURTHER: usize = 12;

#[test]
fn launches_grow_with_the_layers_alone() {
    for layers in [1, 2, 3, 12] {
        let counts = launches(layers);
        let all: usize = counts.values().sum();
        let expected = ONCE + FIRST + FURTHER * (layers - 1);
        assert_eq!(all, expected, "{layers} layers: {counts:#?}");
        assert!(all <= 12 * layers + 12, "more than 12 a layer and 12");
        assert_eq!((counts["gaussian_update_bf16"], counts["trace_f32"]), (1, 1));
    }
}
