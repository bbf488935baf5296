use ltm_engine::Processor;

use super::*;
use crate::config::{Layers, Preset};

/// `small` at the paper's micro-batch, stored in bf16, and its passes.
fn small() -> (Config, BatchShape, PassPlan) {
    let layers = Layers::preset(Preset::Small).unwrap().set("train.dtype=\"bf16\"").unwrap();
    let config = layers.finish(None).unwrap();
    let shape = BatchShape { batch: 64, seq: 1024 };
    let plan = PassPlan::record(&config, shape, Purpose::Training, Processor::Gpu).unwrap();
    (config, shape, plan)
}

/// What the gradient of z needs, and nothing that only the gradients of weights would: no input
/// of a linear map is there (normalised rows, outputs of latent attention and of the gate), and
/// nothing of layer 0 below its latent attention.
#[test]
fn a_fast_step_keeps_what_the_gradient_of_z_needs() {
    let (config, shape, plan) = small();
    let model = &config.model;
    let (rows, d, f) = (shape.rows(), model.dim, model.ffn_dim());
    let latents = shape.batch * model.latents_per_layer();
    let (stored, statistic) = (|n: usize| 2 * n, |n: usize| 4 * n);
    // The residual stream before a norm comes from the map that adds to it, and the norm with it.
    let stream = ("linear_rms_norm_forward", stored(rows * d));
    let norm = ("linear_rms_norm_forward", statistic(rows));
    // Of all layers.
    let keys_and_values = ("grouped_linear_forward", stored(2 * model.layers * latents * d));
    let gate_up = ("linear_swiglu_forward", stored(2 * rows * f));
    let block_stream = ("latent_block_forward", stored(rows * d));
    let block_norm = ("latent_block_forward", statistic(rows));
    let mut expected = vec![keys_and_values, block_stream, block_norm, gate_up];
    for _ in 1..model.layers {
        expected.extend([
            stream,
            norm,
            ("linear_forward", stored(3 * rows * d)),
            ("window_attention_forward", stored(rows * d)),
            ("window_attention_forward", statistic(rows * model.heads)),
            stream,
            norm,
            // Queries of the latent attention.
            ("latent_block_forward", stored(rows * d)),
            block_stream,
            block_norm,
            gate_up,
        ]);
    }
    // The gradient of the hidden states is made where the logits are.
    expected.extend([stream, norm, ("linear_cross_entropy", stored(rows * d))]);
    assert_eq!(plan.fast.program.kept(), expected);

    let bytes = |program: &Program| program.kept().iter().map(|(_, n)| n).sum::<usize>();
    let kept = bytes(&plan.fast.program);
    assert!(plan.fast.program.arena_bytes() >= kept);
    // Beside them a backward pass works in the gradients of the widest layer.
    let working = stored(rows * (3 * d + 3 * f));
    assert!(plan.fast.program.arena_bytes() <= kept + working);
    let (_, slow) = plan.training.as_ref().unwrap();
    assert!(bytes(&slow.program) > kept + kept / 4, "the slow step needs the inputs of the maps");
    assert!(plan.score.program.kept().is_empty());
}
