//! Ctrl-C.

use std::process::{Child, Command, Stdio};

use ltm_tests::program::{Outcome, Sandbox, wait_for_lines};

pub(crate) fn interrupt(child: &Child) {
    // The shell's own, where there is no program of this name.
    let status = Command::new("sh").arg("-c").arg(format!("kill -INT {}", child.id())).status();
    assert!(status.unwrap().success());
}

#[test]
fn the_first_saves_and_the_run_goes_on_as_if_nothing_had_been() {
    let sandbox = Sandbox::with_corpus();
    let settings = "--set train.iterations=400 --set train.checkpoint_every=0 \
                    --set train.validate_every=0 --set train.sample_every=0";
    sandbox.train("straight", settings).succeeds();
    let mut command = sandbox.command(sandbox.training("run", settings));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(&sandbox.path("run/metrics.jsonl"), 3, &mut child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = Outcome::new("interrupted".to_owned(), output).succeeds();
    assert!(said.contains("stopped after") && said.contains("--resume"), "{said}");
    sandbox.train("run", &format!("--resume {settings}")).succeeds();
    for file in ["metrics.jsonl", "checkpoints/iter_00000400/model.safetensors"] {
        let read = |run: &str| sandbox.read(format!("{run}/{file}"));
        assert!(read("straight") == read("run"), "{file}");
    }
}
