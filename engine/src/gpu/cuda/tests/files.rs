//! The disk cache, and the options of the environment.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::CudaOptions;
use super::double::Double;
use super::{add, vectors, with};
use crate::DeviceExt;

/// Runs `add` as a process of its own would: how often the driver compiled for it.
fn process(double: &Double, cache: &Path) -> usize {
    let before = double.count("compile");
    let options = CudaOptions { synchronize: false, cache: Some(cache.into()) };
    let mut gpu = with(double, options).unwrap();
    let vectors = vectors(&mut gpu);
    add(&mut gpu, &vectors).unwrap();
    assert_eq!(gpu.read::<f32>(&vectors[1]).unwrap(), [1.5, 2.5, 3.5, 4.5]);
    double.count("compile") - before
}

fn files(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache.join("kernels")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_the_driver_compiled_is_compiled_once() {
    let (double, cache) = (Double::new(), tempfile::tempdir().unwrap());
    let cache = cache.path().join("not").join("yet");
    assert_eq!(process(&double, &cache), 1);
    assert_eq!(process(&double, &cache), 0);
    let kept = files(&cache);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].file_name().unwrap().to_str().unwrap().starts_with("add-sm_80-"));

    // Another GPU and another driver have files of their own.
    double.script().gpus[0].1 = (9, 0);
    assert_eq!(process(&double, &cache), 1);
    double.script().version = 12080;
    assert_eq!(process(&double, &cache), 1);
    assert_eq!(files(&cache).len(), 3);
    assert_eq!(process(&double, &cache), 0);
}

#[test]
fn a_damaged_file_is_compiled_again() {
    let (double, cache) = (Double::new(), tempfile::tempdir().unwrap());
    assert_eq!(process(&double, cache.path()), 1);
    let file = files(cache.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let other_format = [b"ltm cubin 9\n", &whole[12..]].concat();
    for damaged in [&whole[..whole.len() / 2], &whole[..20], &[], &flipped, &other_format] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(process(&double, cache.path()), 1, "{} bytes", damaged.len());
        assert_eq!(fs::read(&file).unwrap(), whole, "written anew");
    }
    assert_eq!(files(cache.path()).len(), 1, "nothing is left beside it");
}

#[test]
fn a_cache_that_cannot_be_written_is_done_without() {
    let (double, folder) = (Double::new(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("a file");
    fs::write(&cache, "in the way").unwrap();
    assert_eq!(process(&double, &cache), 1);
    assert_eq!(process(&double, &cache), 1);
    assert_eq!(fs::read(&cache).unwrap(), b"in the way");
}

#[test]
fn the_environment_says_where_and_whether_to_wait() {
    let options = |variables: &[(&str, &str)]| {
        CudaOptions::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    };
    let cache = |variables: &[(&str, &str)]| options(variables).cache;
    assert_eq!(options(&[]), CudaOptions::default());
    assert_eq!(cache(&[("HOME", "/home/a")]), Some("/home/a/.cache/ltm".into()));
    let both = [("HOME", "/home/a"), ("XDG_CACHE_HOME", "/caches")];
    assert_eq!(cache(&both), Some("/caches/ltm".into()));
    let relative = [("HOME", "/home/a"), ("XDG_CACHE_HOME", "caches")];
    assert_eq!(cache(&relative), Some("/home/a/.cache/ltm".into()));
    let empty = [("HOME", "/home/a"), ("XDG_CACHE_HOME", "")];
    assert_eq!(cache(&empty), Some("/home/a/.cache/ltm".into()));
    let waits = |value| options(&[("LTM_CUDA_SYNC", value)]).synchronize;
    assert!(waits("1") && !waits("0") && !waits(""));
}
