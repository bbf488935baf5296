use super::*;
use crate::config::{Dtype, Layers, Preset};

/// Two layers of `small` in miniature: several tiles of every product in every direction, four
/// windows a sequence, and a vocabulary that is no multiple of a tile.
fn reduced() -> Config {
    let settings = [
        "model.dim=256",
        "model.heads=4",
        "model.layers=2",
        "model.latents=16",
        "model.vocab_size=2051",
        "model.max_seq_len=256",
        "model.window=64",
        "train.batch=2",
    ];
    let layers = Layers::preset(Preset::Small).unwrap();
    let layers = settings.iter().fold(layers, |layers, s| layers.set(s).unwrap());
    let mut config = layers.finish(None).unwrap();
    config.train.dtype = Dtype::Bf16;
    config
}

#[test]
fn a_fast_step_moves_little_more_than_its_arguments() {
    let config = reduced();
    let step = FastStep::count(&config, 0).unwrap();
    let table = step.lines().join("\n");
    let sum = step.sum();
    let ratio = sum.memory as f64 / sum.least as f64;
    assert!((0.95..=1.5).contains(&ratio), "{ratio:.2} of the least\n{table}");
    for operation in &step.operations {
        let most = match operation.name {
            // It sums over parts of the vocabulary in device memory where rows are few.
            "linear_cross_entropy" => 4.0,
            _ => 1.25,
        };
        let ratio = operation.memory as f64 / operation.least as f64;
        assert!((0.95..=most).contains(&ratio), "{}: {ratio:.2}\n{table}", operation.name);
        assert!(operation.cache >= operation.memory / 2, "{}\n{table}", operation.name);
    }
    // Between the cache and the processors tiles count as often as blocks read them: most of all
    // those of products, beside which there is little else.
    assert!(sum.cache as f64 <= 3.5 * sum.least as f64, "\n{table}");
}
