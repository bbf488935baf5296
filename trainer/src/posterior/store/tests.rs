use std::fs;

use super::*;
use crate::config::Config;

fn model() -> ModelConfig {
    let mut model = Config::default().model;
    (model.latents, model.dim) = (2, 3);
    model
}

fn open(path: &Path, iteration: u64) -> std::result::Result<PosteriorStore, StoreError> {
    PosteriorStore::open(path, &model(), 5, iteration)
}

fn values(seed: u64) -> [Vec<f32>; 2] {
    [0, 100].map(|shift| (0..6).map(|i| (seed * 1000 + shift + i) as f32).collect())
}

/// What iteration `iteration` finds of a window.
fn read(store: &mut PosteriorStore, window: u64, iteration: u64) -> Option<[Vec<f32>; 2]> {
    let [mut mu, mut logvar] = [vec![0.0; 6], vec![0.0; 6]];
    store.read(window, iteration, &mut mu, &mut logvar).unwrap().then_some([mu, logvar])
}

fn write(store: &mut PosteriorStore, window: u64, iteration: u64) {
    let [mu, logvar] = values(iteration);
    store.write(window, iteration, &mu, &logvar).unwrap();
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("posteriors.bin");
    (dir, path)
}

#[test]
fn a_window_is_cold_until_it_was_visited() {
    let (_dir, path) = file();
    let mut store = open(&path, 0).unwrap();
    assert_eq!(path.metadata().unwrap().len(), PosteriorStore::bytes(&model(), 5));
    assert_eq!(read(&mut store, 4, 0), None);
    write(&mut store, 4, 0);
    assert_eq!(read(&mut store, 4, 0), None, "an iteration does not see what it leaves");
    assert_eq!(read(&mut store, 4, 1), Some(values(0)));
    write(&mut store, 4, 3);
    assert_eq!(read(&mut store, 4, 9), Some(values(3)));
    assert_eq!(read(&mut store, 3, 9), None);
}

#[test]
fn a_resumed_run_reads_what_its_checkpoint_saw() {
    let (_dir, path) = file();
    let mut store = open(&path, 0).unwrap();
    write(&mut store, 1, 0);
    store.sync().unwrap();
    store.commit(2).unwrap();
    // Three visits after the checkpoint; then the process dies.
    for iteration in [2, 3, 4] {
        write(&mut store, 1, iteration);
        write(&mut store, 2, iteration);
    }
    drop(store);
    let mut store = open(&path, 2).unwrap();
    assert_eq!(read(&mut store, 1, 2), Some(values(0)));
    assert_eq!(read(&mut store, 2, 2), None);
    // The same course once more.
    for iteration in [2, 3, 4] {
        write(&mut store, 1, iteration);
        assert_eq!(read(&mut store, 1, iteration + 1), Some(values(iteration)));
    }
    // The checkpoint was saved, and the process died before it was told so.
    drop(store);
    let mut store = open(&path, 5).unwrap();
    assert_eq!(read(&mut store, 1, 5), Some(values(4)));
}

#[test]
fn files_of_other_runs_and_times_are_refused() {
    let (_dir, path) = file();
    let message = |result: std::result::Result<PosteriorStore, StoreError>| {
        result.expect_err("an error").to_string()
    };
    assert!(message(open(&path, 3)).contains("cannot open the posteriors"));
    open(&path, 0).unwrap().commit(7).unwrap();
    let error = message(open(&path, 3));
    assert!(error.contains("after 7 iterations") && error.contains("after 3;"), "{error}");
    assert!(open(&path, 8).is_ok());
    let error = message(PosteriorStore::open(&path, &model(), 6, 8));
    assert!(error.contains("the number of windows is 5, expected 6"), "{error}");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(message(open(&path, 8)).contains("the length is"));
    fs::write(&path, [b"x", &whole[1..]].concat()).unwrap();
    assert!(message(open(&path, 8)).contains("the first word is"));
    fs::write(&path, &whole[..3]).unwrap();
    assert!(message(open(&path, 8)).contains("cannot read the posteriors"));
    // A new run begins with an empty one.
    assert_eq!(read(&mut open(&path, 0).unwrap(), 1, 9), None);
}
