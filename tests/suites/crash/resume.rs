//! 20 iterations straight, and 10, a crash in the middle of the 13th, and on to the 20th.

use ltm_tests::program::{Sandbox, lines, wait_for_lines};

use crate::run::{assert_equal, kill, metrics, start};

/// Long enough an iteration that a kill lands inside the one that is meant.
const SETTINGS: &str = "--set train.iterations=20 --set train.checkpoint_every=10 \
                        --set train.validate_every=5 --set train.sample_every=5 \
                        --set train.batch=16 --set train.micro_batch=8 --set fast.steps=16";

#[track_caller]
fn survives(settings: &str) {
    let sandbox = Sandbox::with_corpus();
    for threads in [1, 2] {
        let settings = format!("{SETTINGS} {settings} --threads {threads}");
        let (straight, cut) = (format!("straight{threads}"), format!("cut{threads}"));
        sandbox.train(&straight, &settings).succeeds();
        let mut child = start(&sandbox, &cut, &settings);
        wait_for_lines(&metrics(&sandbox, &cut), 12, &mut child);
        kill(child);
        let written = lines(&metrics(&sandbox, &cut));
        assert!((12..20).contains(&written), "killed after {written} iterations");
        let said = sandbox.train(&cut, &format!("{settings} --resume")).succeeds();
        assert!(said.contains("resumed at iteration 10"), "{said}");
        assert_equal(&sandbox, &straight, &cut, 20);
    }
    assert_equal(&sandbox, "straight1", "straight2", 20);
}

#[test]
fn a_resumed_run_repeats_the_lost_iterations_bit_for_bit() {
    survives("--set reading=released");
}

#[test]
fn so_does_one_that_samples_its_trajectory() {
    survives("--set reading=paper --set slow.trajectory_samples=3");
}

/// The file of posteriors was ahead of the checkpoint when the process died.
#[test]
fn so_does_one_that_starts_warm_against_a_learned_prior() {
    survives("--set posterior.init=warm --set posterior.noise=fresh --set model.prior=learned");
}
