use std::fs;
use std::path::PathBuf;

use super::*;

fn metrics(iteration: u64) -> Metrics {
    Metrics {
        iteration,
        tokens: (iteration + 1) * 2048,
        loss: 5.1,
        nll: 5.25,
        kl: 0.1 + 0.2,
        bound: 5.55,
        slow_lr: 4e-7,
        fast_lr: 0.34,
        grad_norm: 1234.5,
        clip_factor: 1.0 / 1234.5,
        fast_nll: vec![5.5, 5.25],
        fast_kl: vec![0.25, 0.5],
        objective: None,
        point: None,
        validation: None,
    }
}

fn timing(iteration: u64) -> Timing {
    Timing { iteration, seconds: 0.5, tokens_per_second: 4096.0, rss_bytes: 1 << 30 }
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines.jsonl");
    (dir, path)
}

fn iterations(path: &std::path::Path) -> Vec<u64> {
    let read: Vec<Timing> = read(path).unwrap();
    read.iter().map(|line| line.iteration).collect()
}

#[test]
fn a_line_has_the_documented_fields_in_order() {
    let line = serde_json::to_string(&metrics(1)).unwrap();
    assert_eq!(
        line,
        "{\"iteration\":1,\"tokens\":4096,\"loss\":5.1,\"nll\":5.25,\"kl\":0.30000000000000004,\
         \"bound\":5.55,\"slow_lr\":4e-7,\"fast_lr\":0.34,\"grad_norm\":1234.5,\
         \"clip_factor\":0.0008100445524503848,\"fast_nll\":[5.5,5.25],\"fast_kl\":[0.25,0.5]}"
    );
}

#[test]
fn records_read_back_exactly_with_and_without_validation() {
    let (_dir, path) = file();
    let mut with = metrics(3);
    with.validation = Some(Validation {
        val_nll: 4.0,
        val_kl: 1.0 / 3.0,
        val_bound: 13.0 / 3.0,
        val_fast_nll: vec![4.5],
        val_fast_kl: vec![0.1],
        point: None,
    });
    let mut log = JsonLines::open(&path, 0).unwrap();
    log.append(&metrics(2)).unwrap();
    log.append(&with).unwrap();
    log.sync().unwrap();
    assert_eq!(read::<Metrics>(&path).unwrap(), [metrics(2), with]);
}

#[test]
fn numbers_that_are_none_read_back_as_nan() {
    let (_dir, path) = file();
    let mut bad = metrics(0);
    bad.loss = f64::NAN;
    bad.fast_kl = vec![f64::INFINITY, 1.0];
    JsonLines::open(&path, 0).unwrap().append(&bad).unwrap();
    let read = read::<Metrics>(&path).unwrap();
    assert!(read[0].loss.is_nan() && read[0].fast_kl[0].is_nan());
    assert_eq!(read[0].fast_kl[1], 1.0);
}

#[test]
fn resuming_cuts_later_lines_and_a_torn_one() {
    let (dir, path) = file();
    let mut log = JsonLines::open(&path, 0).unwrap();
    for iteration in 0..6 {
        log.append(&timing(iteration)).unwrap();
    }
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"iteration\":6,\"sec");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(iterations(&path), [0, 1, 2, 3, 4, 5]);

    let mut log = JsonLines::open(&path, 4).unwrap();
    log.append(&timing(4)).unwrap();
    assert_eq!(iterations(&path), [0, 1, 2, 3, 4]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    // Nothing to cut but the torn line.
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"\0\0\0\n"].concat()).unwrap();
    JsonLines::<Timing>::open(&path, 5).unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_broken_line_in_the_middle_is_named_and_kept() {
    let (_dir, path) = file();
    let text = "{\"iteration\":0}\nnonsense\n{\"iteration\":1}\n";
    fs::write(&path, text).unwrap();
    let error = JsonLines::<Timing>::open(&path, 1).unwrap_err().to_string();
    assert!(error.contains("lines.jsonl:2:"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn an_unwritable_place_is_a_typed_error() {
    let (dir, _) = file();
    let error = JsonLines::<Timing>::open(&dir.path().join("no/lines.jsonl"), 0);
    assert!(matches!(error, Err(MetricsError::Io { .. })));
    let full = std::path::Path::new("/dev/full");
    if full.exists() {
        let file = fs::OpenOptions::new().append(true).open(full).unwrap();
        let mut log = JsonLines::<Timing>::over(full, file, 0);
        assert!(matches!(log.append(&timing(0)), Err(MetricsError::Io { .. })));
    }
}
