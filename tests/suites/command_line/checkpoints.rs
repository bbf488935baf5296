//! Checkpoints that cannot be loaded.

use std::collections::HashMap;

use ltm_tests::program::Sandbox;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

const CHECKPOINT: &str = "run/checkpoints/iter_00000003";
const NAMES: [&str; 2] = ["model.safetensors", "optimizer.safetensors"];

/// Tensors of a file: name, shape, elements.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn read(bytes: &[u8]) -> Tensors {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let decode = |data: &[u8]| data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let tensors = file.tensors().into_iter();
    tensors.map(|(name, view)| (name, view.shape().to_vec(), decode(view.data()))).collect()
}

fn written(tensors: &Tensors) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, shape, _), data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    serialize(views, None::<HashMap<String, String>>).unwrap()
}

/// The model's file, altered: eval, generate and --resume refuse it, and it is left as it is.
#[track_caller]
fn refused(sandbox: &Sandbox, file: &str, content: &[u8], words: &[&str]) {
    let path = format!("{CHECKPOINT}/{file}");
    let whole = sandbox.read(&path);
    sandbox.write(&path, content);
    let words = [&[file], words].concat();
    if file != NAMES[1] {
        sandbox.refuses("eval run --data shards".split(' '), &words);
        sandbox.refuses(["generate", "run"], &words);
    }
    let more = "--resume --set train.iterations=9";
    sandbox.refuses(sandbox.training("run", more), &words);
    sandbox.write(&path, whole);
}

#[test]
fn spoilt_tensors() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    for (file, prefix) in [(NAMES[0], ""), (NAMES[1], "v.")] {
        let whole = sandbox.read(format!("{CHECKPOINT}/{file}"));
        let spoilt = |spoil: &dyn Fn(&mut Tensors)| {
            let mut tensors = read(&whole);
            spoil(&mut tensors);
            written(&tensors)
        };
        let name = format!("{prefix}norm.weight");
        let at = |tensors: &Tensors| tensors.iter().position(|(n, ..)| *n == name).unwrap();
        let without = spoilt(&|tensors| drop(tensors.remove(at(tensors))));
        refused(&sandbox, file, &without, &["no tensor", &name]);
        let with = spoilt(&|tensors| tensors.push(("spare".to_owned(), vec![1], vec![0.0])));
        refused(&sandbox, file, &with, &["`spare`", "does not have"]);
        let reshaped = spoilt(&|tensors| {
            let place = at(tensors);
            tensors[place].1 = vec![4, 4];
        });
        refused(&sandbox, file, &reshaped, &[&name, "[4, 4]", "expected [16]"]);
        for value in [f32::NAN, f32::INFINITY] {
            let damaged = spoilt(&|tensors| {
                let place = at(tensors);
                tensors[place].2[3] = value;
            });
            let value = value.to_string();
            refused(&sandbox, file, &damaged, &["element 3", &name, &value, "earlier checkpoint"]);
        }
    }
    let more = "--resume --set train.iterations=4";
    sandbox.train("run", more).succeeds();
}

#[test]
fn cut_and_damaged_files() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    for file in NAMES {
        let whole = sandbox.read(format!("{CHECKPOINT}/{file}"));
        refused(&sandbox, file, &whole[..whole.len() - 4], &["cut short", "restore it"]);
        refused(&sandbox, file, &whole[..100], &["100 bytes", "cut short"]);
        refused(&sandbox, file, b"", &["0 bytes"]);
        let mut longer = whole.clone();
        longer.push(0);
        refused(&sandbox, file, &longer, &["cut short or overwritten"]);
        let mut damaged = whole.clone();
        damaged[8] = b'!';
        refused(&sandbox, file, &damaged, &["not a readable safetensors file"]);
    }
    for file in ["config.json", "state.json"] {
        let whole = sandbox.read(format!("{CHECKPOINT}/{file}"));
        refused(&sandbox, file, &whole[..whole.len() / 2], &["line", "column"]);
        refused(&sandbox, file, b"{\"colour\": 1}", &["`colour`", "restore the file"]);
    }
    // The one before is named as a way out.
    let path = format!("{CHECKPOINT}/model.safetensors");
    let whole = sandbox.read(&path);
    sandbox.write(&path, &whole[..100]);
    let words = ["iter_00000002 is whole", "out of the way"];
    sandbox.refuses(sandbox.training("run", "--resume --set train.iterations=9"), &words);
}

#[test]
fn a_checkpoint_of_another_model() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox.train("wide", "--set model.dim=32").succeeds();
    let other = sandbox.read("wide/checkpoints/iter_00000003/model.safetensors");
    let words = ["tok_embeddings.weight", "[256, 32]", "expected [256, 16]"];
    refused(&sandbox, NAMES[0], &other, &words);
}
