//! Kills at random moments, most of them around the writing of a checkpoint.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ltm_engine::philox::Stream;
use ltm_tests::program::{Sandbox, lines};

use crate::run::{assert_equal, kill, metrics, start};

/// Kills unless `LTM_CRASH_KILLS` says how many.
const KILLS: u64 = 8;
/// Iterations for every kill: more than any attempt gets through.
const ITERATIONS: u64 = 8;

/// Whether a checkpoint is being written, replaced or removed, or was when its process died.
fn amid_saving(checkpoints: &Path) -> bool {
    let Ok(entries) = fs::read_dir(checkpoints) else { return false };
    entries.flatten().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."))
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    let kills = std::env::var("LTM_CRASH_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let iterations = ITERATIONS * kills;
    let settings = format!(
        "--set train.iterations={iterations} --set train.checkpoint_every=1 \
         --set train.keep_checkpoints=2 --set train.validate_every=7 --set train.sample_every=9 \
         --threads {}",
        1 + kills % 2
    );
    let sandbox = Sandbox::with_corpus();
    sandbox.train("straight", &settings).succeeds();
    let checkpoints = sandbox.path("cut/checkpoints");
    let mut inside = 0;
    for attempt in 0..kills {
        let stream = Stream { seed: 1, site: 0, sample: attempt as u32, iteration: 0 };
        let [further, microseconds, ..] = stream.block(0);
        let log = metrics(&sandbox, "cut");
        let goal = lines(&log) + further as usize % 4;
        let mut child = start(&sandbox, "cut", &settings);
        let mut until = |reached: &dyn Fn() -> bool| {
            while !reached() && child.try_wait().unwrap().is_none() {
                thread::yield_now();
            }
        };
        match attempt % 4 {
            // At the start: directories, lock, cutting of the figures.
            0 => thread::sleep(Duration::from_micros(u64::from(microseconds % 30_000))),
            1 => {
                until(&|| lines(&log) > goal);
                thread::sleep(Duration::from_micros(u64::from(microseconds % 5_000)));
            }
            _ => {
                until(&|| lines(&log) > goal && amid_saving(&checkpoints));
                thread::sleep(Duration::from_micros(u64::from(microseconds % 500)));
            }
        }
        kill(child);
        inside += u32::from(amid_saving(&checkpoints));
    }
    println!("{inside} of {kills} kills landed inside the writing of a checkpoint");
    let cut = lines(&metrics(&sandbox, "cut"));
    assert!((cut as u64) < iterations, "all was done before the last kill");
    sandbox.train("cut", &format!("{settings} --resume")).succeeds();
    assert_equal(&sandbox, "straight", "cut", iterations);
}
