//! Memory that stays flat.

use ltm_tests::program::Sandbox;

/// Resident bytes after each iteration.
fn resident(timing: &[u8]) -> Vec<f64> {
    let lines = timing.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let records = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
    records.map(|record| record["rss_bytes"].as_f64().unwrap()).collect()
}

#[test]
fn the_resident_size_does_not_grow() {
    let sandbox = Sandbox::with_corpus();
    let settings = "--set train.iterations=200 --set train.checkpoint_every=20 \
                    --set train.validate_every=20 --set train.sample_every=20";
    sandbox.train("run", settings).succeeds();
    let resident = resident(&sandbox.read("run/timing.jsonl"));
    let (early, late) = (resident[29], resident[199]);
    assert!((late / early - 1.0).abs() < 0.05, "{early} bytes, then {late}");
}
