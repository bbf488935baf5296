use super::*;

fn message(result: Result<RunDir, RunDirError>) -> String {
    result.expect_err("an error").to_string()
}

#[test]
fn a_new_directory_is_made_and_can_be_resumed_later() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b");
    let run = RunDir::create(&root).unwrap();
    assert!(run.paths().checkpoints().is_dir());
    fs::write(run.paths().config(), "").unwrap();
    drop(run);
    RunDir::open(&root).unwrap();
}

#[test]
fn a_second_training_is_refused_while_the_first_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(dir.path()).unwrap();
    fs::write(run.paths().config(), "").unwrap();
    let error = message(RunDir::open(dir.path()));
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    assert!(matches!(RunDir::create(dir.path()), Err(RunDirError::Locked { .. })));
    drop(run);
    RunDir::open(dir.path()).unwrap();
}

#[test]
fn a_directory_with_a_run_is_not_overwritten() {
    for trace in ["config.toml", "metrics.jsonl", "checkpoints/iter_00000010"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(trace);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        let error = message(RunDir::create(dir.path()));
        assert!(error.contains(trace) && error.contains("--resume"), "{error}");
    }
}

#[test]
fn unrelated_files_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "").unwrap();
    RunDir::create(dir.path()).unwrap();
}

#[test]
fn resuming_nothing_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(message(RunDir::open(&dir.path().join("no"))).contains("the directory is missing"));
    assert!(message(RunDir::open(dir.path())).contains("config.toml is missing"));
    assert!(!dir.path().join(".lock").exists());
}

#[test]
fn a_file_in_the_way_is_a_typed_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(matches!(RunDir::create(&path), Err(RunDirError::Io { .. })));
}
