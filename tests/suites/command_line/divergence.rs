//! A loss that is not finite.

use ltm_tests::program::Sandbox;

const WILD: &str = "--set slow.lr=1e30 --set slow.warmup=3 --set slow.clip=0 \
                    --set train.iterations=50 --set train.sample_every=0";

#[test]
fn training_stops_and_keeps_the_last_good_checkpoint() {
    let sandbox = Sandbox::with_corpus();
    let settings = format!("{WILD} --set train.validate_every=0 --set train.checkpoint_every=1");
    let words = ["iteration 2: the ", "training stopped", "smaller slow.lr", "slow.warmup"];
    sandbox.train("run", &settings).fails(&words);
    // Iteration 0 has learning rate 0; its checkpoint is good for all there is to do.
    sandbox.run("eval run/checkpoints/iter_00000001 --data shards".split(' ')).succeeds();
    let newest = sandbox.run("inspect run".split(' ')).succeeds();
    assert!(newest.contains("checkpoint of iteration 1"), "{newest}");
    // The same again: the failure is as reproducible as everything else.
    let lines = sandbox.read("run/metrics.jsonl");
    sandbox.train("run", &format!("--resume {settings}")).fails(&words);
    assert_eq!(sandbox.read("run/metrics.jsonl"), lines);
}

#[test]
fn a_validation_that_is_not_finite_names_the_iteration() {
    let sandbox = Sandbox::with_corpus();
    let settings = format!("{WILD} --set train.validate_every=2");
    let words = ["validation after iteration 1", "NaN", "checkpoints are as they were"];
    sandbox.train("run", &settings).fails(&words);
}
