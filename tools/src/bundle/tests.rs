use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::process::shell;
use super::*;

fn manifest() -> Manifest {
    Manifest {
        commit: "0123456789abcdef".into(),
        uncommitted_changes: false,
        date: "2026-01-01T00:00:00Z".into(),
        ltm: "ltm 0.1.0".into(),
        rustc: "rustc".into(),
        bytes: 1,
    }
}

fn record(step: &str, status: Status, exit: Option<i32>) -> Record {
    let group = "check".to_owned();
    let detail = String::new();
    Record::Step(StepRecord { step: step.into(), group, status, seconds: 1.0, exit, detail })
}

fn environment() -> Record {
    let mut found = Environment::look(manifest(), vec!["check".into()], "/no/python");
    found.gpu = None;
    Record::Environment(Box::new(found))
}

fn write(folder: &Path, records: &[Record]) {
    let lines = records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n");
    fs::write(folder.join("results.jsonl"), lines.collect::<String>()).unwrap();
}

/// A bundle whose program is a script, unpacked and run as on another machine.
fn bundle(script: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let payload = dir.path().join("made");
    for name in ["bin/ltm", "suites/virtual_gpu", "suites/operations"] {
        let path = payload.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir_all(payload.join("tests/golden")).unwrap();
    super::payload::pack(&payload, &dir.path().join("payload.tar.zst")).unwrap();
    let json = serde_json::to_string(&manifest()).unwrap();
    fs::write(dir.path().join("bundle.json"), json).unwrap();
    dir
}

fn options(bundle: &TempDir, groups: &[&str], only: &[&str]) -> Options {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Options {
        bundle: bundle.path().to_owned(),
        out: bundle.path().join("results"),
        groups: owned(groups),
        only: owned(only),
        limit: Duration::from_secs(100),
        python: "/no/python".into(),
        batch: 2,
        curve_seconds: 1,
    }
}

#[test]
fn every_step_has_a_name_of_its_own_and_a_group() {
    for (i, step) in STEPS.iter().enumerate() {
        assert!(GROUPS.contains(&step.group), "{}", step.name);
        assert!(STEPS[..i].iter().all(|other| other.name != step.name), "{}", step.name);
        let on_gpu = step.script.contains("cuda");
        assert_eq!(on_gpu, step.needs.contains(&Need::Gpu), "{}", step.name);
    }
    assert!(DEFAULT_GROUPS.split(',').all(|group| GROUPS.contains(&group)));
}

#[test]
fn a_program_is_stopped_with_its_children_at_its_limit() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let run = |script: &str, seconds| {
        let none: [(&str, &str); 0] = [];
        let limit = Duration::from_secs(seconds);
        shell(script, &none, dir.path(), limit, (&path("o"), &path("e"))).unwrap()
    };
    let ended = run("(sleep 2; touch late) & wait", 1);
    assert!(ended.timed_out && ended.elapsed < Duration::from_secs(2), "{ended:?}");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!path("late").exists(), "a child lived on");
    let ended = run("exit 124", 60);
    assert_eq!((ended.timed_out, ended.code), (false, Some(124)));
    assert_eq!(run("echo out; echo err >&2", 60).code, Some(0));
    assert_eq!(fs::read_to_string(path("o")).unwrap(), "out\n");
    assert_eq!(fs::read_to_string(path("e")).unwrap(), "err\n");
}

#[test]
fn a_failing_step_is_recorded_and_the_rest_runs() {
    let script = "echo '{\"tokens_per_second\": 4.5}'\n\
                  case \"$0\" in *operations) echo 'error: no luck' >&2; exit 3;; esac";
    let bundle = bundle(script);
    let options =
        options(&bundle, &["check", "cpu"], &["parity-cpu", "operations-cpu", "model-vm"]);
    let mut told = Vec::new();
    let records = run(&options, &mut |record| told.push(record.step.clone())).unwrap();
    assert_eq!(told, ["parity-cpu", "model-vm", "operations-cpu"]);
    let failed = records.iter().find(|record| record.step == "operations-cpu").unwrap();
    assert_eq!((failed.status, failed.exit), (Status::Failed, Some(3)));
    assert_eq!(failed.detail, "error: no luck");
    assert_eq!(records.iter().filter(|record| record.status == Status::Passed).count(), 2);

    let results = Results::read(&options.out).unwrap();
    assert!(results.complete);
    assert_eq!(results.measurements.len(), 3);
    let page = markdown(&results);
    assert!(page.contains("| operations-cpu | cpu | FAILED |"), "{page}");
    assert!(page.contains("2 passed, 1 failed, 0 not run."), "{page}");
    assert!(page.contains("| parity-cpu |  |  |  | 4.5 | 1 |"), "{page}");
    let log = fs::read_to_string(options.out.join("log.txt")).unwrap();
    assert!(log.contains("error: no luck"), "{log}");
}

#[test]
fn what_cannot_run_is_not_called_passed() {
    let bundle = bundle("exit 2");
    let mut options = options(&bundle, &["check"], &["doctor", "parity-cpu"]);
    let statuses = |options: &Options| -> Vec<Status> {
        run(options, &mut |_| ()).unwrap().iter().map(|record| record.status).collect()
    };
    assert_eq!(statuses(&options), [Status::NotInBuild, Status::Failed]);
    options.limit = Duration::ZERO;
    assert_eq!(statuses(&options), [Status::NoTime, Status::NoTime]);
    options.groups = vec!["chek".into()];
    let error = run(&options, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("chek") && error.contains("sanitize"), "{error}");
}

#[test]
fn a_later_run_has_the_last_word_unless_it_could_not_run() {
    let dir = TempDir::new().unwrap();
    let measured = |speed: f64| Record::Measurement {
        step: "a".into(),
        values: serde_json::json!({ "tokens_per_second": speed }),
    };
    let records = [
        environment(),
        record("a", Status::Failed, Some(1)),
        measured(1.0),
        record("b", Status::Passed, Some(0)),
        Record::End { seconds: 1.0 },
        environment(),
        record("a", Status::Passed, Some(0)),
        measured(2.0),
        measured(3.0),
        record("b", Status::NoGpu, None),
    ];
    write(dir.path(), &records);
    let results = Results::read(dir.path()).unwrap();
    let statuses: Vec<_> = results.steps.iter().map(|step| step.status).collect();
    assert_eq!(statuses, [Status::Passed, Status::Passed]);
    assert_eq!(results.measurements.len(), 2);
    assert!(!results.complete);
    let page = markdown(&results);
    assert!(page.contains("**No GPU**") && page.contains("cut short"), "{page}");
}

#[test]
fn a_last_line_may_be_cut_short_and_no_other() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("results.jsonl");
    let whole = serde_json::to_string(&environment()).unwrap();
    fs::write(&path, format!("{whole}\n{{\"kind\":\"st")).unwrap();
    assert!(Results::read(dir.path()).unwrap().steps.is_empty());
    fs::write(&path, format!("{{\"kind\":\"st\n{whole}\n")).unwrap();
    let error = Results::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
    fs::write(&path, "").unwrap();
    assert!(Results::read(dir.path()).is_err());
}

#[test]
fn curves_are_told_side_by_side() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), &[environment(), Record::End { seconds: 1.0 }]);
    for (name, shift) in [("ltm", 0.0), ("pytorch", 0.5)] {
        let line = |i: u64| format!("{{\"iteration\":{i},\"loss\":{}}}\n", 5.0 + shift);
        let text: String = (0..40).map(line).collect();
        fs::write(dir.path().join(format!("curve-{name}.jsonl")), text).unwrap();
    }
    let page = markdown(&Results::read(dir.path()).unwrap());
    assert!(page.contains("40 iterations in common"), "{page}");
    assert!(page.contains("| 39 | 5.0000 | 5.5000 | -0.5000 |"), "{page}");
}

#[test]
fn only_a_bundle_is_replaced() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("precious"), "x").unwrap();
    assert!(matches!(pack(dir.path()), Err(Error::InUse { .. })));
    assert!(dir.path().join("precious").exists());
}
