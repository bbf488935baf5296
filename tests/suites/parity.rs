//! This build against the fixtures of the PyTorch oracle.

use std::fs;
use std::path::{Path, PathBuf};

use ltm::config::Dtype;
use ltm::parity::{self, ParityReport};
use ltm_engine::DeviceKind;
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    ltm_tests::file("golden").join(name)
}

fn check(path: &Path, threads: usize) -> ParityReport {
    parity::run(path, DeviceKind::Cpu, threads, Dtype::F32).unwrap()
}

#[track_caller]
fn agrees(name: &str, quantities: usize) {
    for threads in [1, 2] {
        let report = check(&golden(name), threads);
        let off: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
        assert!(off.is_empty(), "{name} with {threads} threads: {off:#?}");
        assert_eq!(report.uncovered, [""; 0], "{name}");
        assert!(report.passed());
        assert!(report.checks.len() >= quantities, "{name}: {} checks", report.checks.len());
    }
}

#[test]
fn single_operations_agree() {
    agrees("ops.safetensors", 90);
}

#[test]
fn a_whole_model_agrees() {
    agrees("micro.safetensors", 70);
}

/// 3 heads of width 6, a prime number of tokens below the window, 5 latents a layer that span the
/// whole sequence, and a feed-forward width of its own.
#[test]
fn odd_shapes_agree() {
    agrees("odd.safetensors", 60);
}

/// One layer, one head, a window of one token, latents without positions, and a fast schedule that
/// is shorter than the loop.
#[test]
fn the_smallest_shapes_agree() {
    agrees("lone.safetensors", 60);
}

/// Copies a fixture, flips a low bit of the exponent of the first number of one tensor, and
/// expects exactly the quantity that it belongs to to be off.
#[track_caller]
fn notices(name: &str, key: &str, quantity: &str) {
    let dir = TempDir::new().unwrap();
    for extension in ["safetensors", "json"] {
        let file = Path::new(name).with_extension(extension);
        fs::copy(golden(file.to_str().unwrap()), dir.path().join(file)).unwrap();
    }
    let path = dir.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (_, end) = metadata.info(key).unwrap().data_offsets;
    // Little-endian: the highest bits of the mantissa are in the last byte but one.
    bytes[8 + header + end - 2] ^= 0x08;
    fs::write(&path, bytes).unwrap();
    let report = check(&path, 1);
    let off: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    let keys: Vec<_> = off.iter().map(|check| check.key.as_str()).collect();
    assert_eq!(keys, [quantity], "{key}");
    assert!(!report.passed());
}

#[test]
fn one_changed_number_is_noticed() {
    notices("ops.safetensors", "rmsnorm.a.grad.x", "rmsnorm.a.grad.x");
    notices("odd.safetensors", "elbo.grad.mu", "elbo.grad.mu");
    notices("odd.safetensors", "fast.2.logvar", "fast.2.logvar");
    let (weight, family) = ("slow.final_z.grad.weight.norm.weight", "slow.final_z.grad.weight.*");
    notices("odd.safetensors", weight, family);
}

#[test]
fn a_result_that_nothing_is_compared_with_is_noticed() {
    let dir = TempDir::new().unwrap();
    let bytes = fs::read(golden("lone.safetensors")).unwrap();
    // The same length, so that the header stays as long as it says.
    let at = bytes.windows(8).position(|word| word == b"fwd.norm").unwrap();
    let mut bytes = bytes;
    bytes[at..at + 8].copy_from_slice(b"fwd.nirm");
    fs::write(dir.path().join("lone.safetensors"), bytes).unwrap();
    fs::copy(golden("lone.json"), dir.path().join("lone.json")).unwrap();
    match parity::run(&dir.path().join("lone.json"), DeviceKind::Cpu, 1, Dtype::F32) {
        Ok(report) => assert!(!report.passed() && report.uncovered == ["fwd.nirm"]),
        Err(error) => assert!(error.to_string().contains("fwd.norm"), "{error}"),
    }
}
