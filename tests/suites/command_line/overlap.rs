//! That the host does not wait for a GPU while it trains, and what profilers are told.

use std::fs;

use ltm_tests::program::{Outcome, Sandbox};

const QUICK: &str = "--device cuda --set train.sample_every=0 --set train.validate_every=0 \
                     --set train.checkpoint_every=0";

/// The figures of an iteration are waited for when the next one has been asked for, and nothing
/// else is waited for on the host but copies to the device from the iteration before.
#[test]
fn figures_come_back_while_the_next_iteration_runs() {
    let sandbox = Sandbox::with_corpus();
    let training = sandbox.training("run", &format!("{QUICK} --set train.iterations=8"));
    let mut command = sandbox.command_with_gpu("", training);
    Outcome::of(command.env("VIRTUAL_CALLS", sandbox.path("calls"))).succeeds();
    let calls = String::from_utf8(sandbox.read("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let graphs: Vec<usize> = (0..calls.len()).filter(|&at| calls[at] == "graph").collect();
    let (first, last) = (graphs[0], graphs[graphs.len() - 1]);
    assert!(graphs.len() >= 6 * 5, "{} graphs", graphs.len());
    assert!(!calls[first..last].contains(&"synchronize"), "a stream is waited for");
    let mut fetched = 0;
    for at in (first..last).filter(|&at| calls[at] == "to_host") {
        let event = calls[at + 1].strip_prefix("record ").expect("an end of the copy");
        let wait = format!("wait {event}");
        let waited = at + calls[at..].iter().position(|call| *call == wait).unwrap();
        // The parts of the next iteration: begin, two fast steps, slow step, update.
        let asked = graphs.iter().filter(|&&graph| at < graph && graph < waited).count();
        assert_eq!(asked, 5, "waits at line {waited} for what was fetched at line {at}");
        fetched += 1;
    }
    // Traces and norm of every iteration from the first graphs to the last but one.
    assert!(fetched >= 2 * 5, "{fetched}");
}

/// The last checkpoint of a run that diverges is from before, and the lines of the figures end
/// there, though the device was asked for more.
#[test]
fn an_iteration_that_diverges_is_not_saved_though_the_next_was_asked_for() {
    let sandbox = Sandbox::with_corpus();
    let more = "--set train.iterations=40 --set slow.lr=1e30 --set slow.warmup=1 \
                --set slow.clip=1e30 --device cuda --set train.sample_every=0 \
                --set train.validate_every=0 --set train.checkpoint_every=1000";
    let on = |run: &str, device: &str| {
        let training = sandbox.training(run, &more.replace("cuda", device));
        sandbox
            .run_with_gpu("", training)
            .fails(&["iteration", "the checkpoints are as they were"]);
        String::from_utf8(sandbox.read(format!("{run}/metrics.jsonl"))).unwrap()
    };
    let (cuda, vm) = (on("cuda", "cuda"), on("vm", "vm"));
    assert_eq!(cuda, vm, "the same lines as where nothing is asked for ahead");
    assert!(!sandbox.path("cuda/checkpoints/iter_00000001").exists());
    let saved = fs::read_dir(sandbox.path("cuda/checkpoints")).map_or(0, |entries| entries.count());
    assert_eq!(saved, 0);
}

#[test]
fn profilers_are_told_the_parts_of_an_iteration() {
    let sandbox = Sandbox::with_corpus();
    let ranges = |args: Vec<String>, library: bool| {
        let mut command = sandbox.command_with_gpu("", args);
        let link = sandbox.path("driver/libnvToolsExt.so.1");
        if library && !link.exists() {
            fs::hard_link(sandbox.path("driver/libcuda.so"), link).unwrap();
        }
        let file = sandbox.path("ranges");
        let _ = fs::remove_file(&file);
        Outcome::of(command.env("VIRTUAL_NVTX", &file)).succeeds();
        fs::read_to_string(&file).unwrap_or_default()
    };
    let train = |run: &str, flag: &str| sandbox.training(run, &format!("{QUICK} {flag}"));
    assert_eq!(ranges(train("without", "--profile"), false), "");
    assert_eq!(ranges(train("unasked", ""), true), "");
    let text = ranges(train("run", "--profile"), true);
    let count = |line: &str| text.lines().filter(|found| *found == line).count();
    // Three iterations; a micro-batch of all sequences, two fast steps with weight gradients.
    let parts = [
        ("+iteration", 3),
        ("+begin", 3),
        ("+fast step with weights", 6),
        ("+slow step", 3),
        ("+update", 3),
    ];
    for (line, times) in parts {
        assert_eq!(count(line), times, "{line} in\n{text}");
    }
    assert!(count("+loader") >= 3, "{text}");
    assert_eq!(count("-"), text.lines().filter(|line| line.starts_with('+')).count(), "{text}");
    let bench = [crate::bench::bench("--device cuda"), vec!["--profile".into()]].concat();
    assert!(ranges(bench, true).contains("+fast step\n"));
}
