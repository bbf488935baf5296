mod reading;
mod saving;

use ltm_engine::gpu::{By, ProductChoices};
use tempfile::TempDir;

use super::*;
use crate::config::{Layers, Preset};

fn config() -> Config {
    let mut layers = Layers::preset(Preset::Tiny).unwrap();
    for set in ["model.dim=8", "model.heads=2", "model.latents=4", "model.vocab_size=11"] {
        layers = layers.set(set).unwrap();
    }
    layers.finish(None).unwrap()
}

fn state(iteration: u64) -> State {
    State {
        format: FORMAT,
        iteration,
        windows_consumed: 8 * iteration,
        windows: 1000,
        optimizer_steps: iteration,
        seed: 1,
        tokenizer: "bytes".to_owned(),
        best_validation: Some(BestValidation { iteration: 3, bound: 0.1 + 0.2 }),
        products: ProductChoices {
            library: Some("12.4.2".into()),
            chosen: [("forward 4x2x3 f32".into(), By::Cublas)].into(),
        },
    }
}

/// Values of every parameter, different for every parameter and `salt`.
fn values(config: &Config, salt: f32) -> Vec<Vec<f32>> {
    let shapes = config.parameter_shapes();
    let fill = |(place, (_, shape)): (usize, &(String, Vec<usize>))| {
        (0..shape.iter().product())
            .map(|element| salt + place as f32 + element as f32 / 1024.0)
            .collect()
    };
    shapes.iter().enumerate().map(fill).collect()
}

fn save_values(
    dir: &Path,
    iteration: u64,
    salt: f32,
    keep: usize,
) -> Result<PathBuf, CheckpointError> {
    let config = config();
    let lists = [salt, salt + 0.5, salt + 0.25].map(|salt| values(&config, salt));
    let [weights, first, second] =
        lists.each_ref().map(|list| list.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let tensors = HostTensors { weights: &weights, first: &first, second: &second };
    save(dir, &config, &state(iteration), &tensors, keep)
}

fn iterations(dir: &Path) -> Vec<u64> {
    list(dir).unwrap().into_iter().map(|(iteration, _)| iteration).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn message<T>(result: Result<T, CheckpointError>) -> String {
    result.err().expect("an error").to_string()
}

fn read_all(checkpoint: &Checkpoint) -> Result<Vec<Vec<f32>>, CheckpointError> {
    let mut all = Vec::new();
    for (name, shape) in checkpoint.config().parameter_shapes() {
        let elements = shape.iter().product();
        let [mut weight, mut first, mut second] = [0; 3].map(|_| vec![0.0; elements]);
        checkpoint.read_weight(&name, &mut weight)?;
        checkpoint.read_moments(&name, &mut first, &mut second)?;
        all.extend([weight, first, second]);
    }
    Ok(all)
}
