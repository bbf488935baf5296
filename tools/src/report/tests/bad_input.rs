use super::super::{Error, write_report};
use super::{Bench, metrics};

#[test]
fn nothing_from_a_file_becomes_markup() {
    let bench = Bench::new();
    let evil = "</pre><script>alert('1')</script>&";
    let quoted = serde_json::to_string(evil).unwrap();
    let run = bench.run(
        "<img x=1>&",
        &[
            ("metrics.jsonl", &metrics(0..3)),
            ("config.toml", &format!("a = '''{evil}'''\n")),
            ("summary.json", &format!("{{{quoted}: {quoted}}}")),
            (
                "samples.jsonl",
                &format!(
                    "{{\"iteration\":0,\"kind\":{quoted},\"prompt\":{quoted},\"text\":{quoted}}}\n"
                ),
            ),
        ],
    );
    let other =
        bench.run("other", &[("metrics.jsonl", &metrics(0..3)), ("config.toml", "a = 1\n")]);
    for runs in [vec![run.clone()], vec![run, other]] {
        let (_, page) = bench.report(&runs);
        assert!(!page.contains("<script") && !page.contains("<img"));
        assert!(page.contains("&lt;img x=1&gt;&amp;"));
        assert!(page.matches("&lt;script&gt;").count() >= 5);
    }
}

#[test]
fn killed_restarted_and_diverged_runs_are_reported_with_notes() {
    let bench = Bench::new();
    let mut lines = metrics(0..30);
    lines += &metrics(20..41).replace("\"kl\":0.5", "\"kl\":null");
    lines += "{\"iteration\":41,\"tok";
    let run = bench.run(
        "r",
        &[
            ("metrics.jsonl", &lines),
            ("timing.jsonl", "{\"iteration\":0,\"sec"),
            ("config.toml", ""),
        ],
    );
    let (summary, page) = bench.report(&[run]);
    assert_eq!(summary.runs[0].iterations, 41);
    let notes = summary.notes.join("\n");
    for note in [
        "r: metrics.jsonl: line 52, the last one, was cut short",
        "r: timing.jsonl: line 1, the last one, was cut short",
        "10 of the lines in metrics.jsonl were repeated",
        "kl: 21 of 41 values are not finite, the first at iteration 20",
    ] {
        assert!(notes.contains(note), "{note} is not in {notes}");
        assert!(page.contains(note));
    }
}

#[test]
fn empty_single_and_missing_values_make_a_page() {
    let bench = Bench::new();
    for lines in [
        "",
        "{\"iteration\":0}\n",
        "{\"iteration\":0,\"nll\":null,\"kl\":NaN,\"bound\":-Infinity,\"grad_norm\":0,\"val_bound\":null}\n",
        "{\"iteration\":5,\"nll\":2,\"kl\":0.1,\"grad_norm\":-1,\"fast_nll\":[],\"fast_kl\":[null]}\n",
        "{\"iteration\":18446744073709551615,\"nll\":1e308,\"tokens\":-5,\"val_fast_nll\":[1]}\n",
    ] {
        let run = bench.run("r", &[("metrics.jsonl", lines)]);
        bench.report(std::slice::from_ref(&run));
        let other = bench.run("other", &[("metrics.jsonl", &metrics(0..2))]);
        bench.report(&[run, other]);
    }
    let (summary, page) = bench.report(&[bench.run("r", &[("metrics.jsonl", "")])]);
    assert!(summary.notes.iter().any(|note| note.contains("no iteration yet")));
    assert!(!page.contains("<figure>"));
    let bound = "{\"iteration\":7,\"nll\":2,\"kl\":0.25}\n";
    let (summary, page) = bench.report(&[bench.run("r", &[("metrics.jsonl", bound)])]);
    assert_eq!(summary.runs[0].train_bound, Some(2.25));
    assert!(page.contains("<title>7: 2.250</title>"));
}

#[test]
fn long_runs_make_small_pages() {
    let bench = Bench::new();
    let run = bench.run("r", &[("metrics.jsonl", &metrics(0..100_000))]);
    let (summary, page) = bench.report(&[run]);
    assert_eq!(summary.runs[0].iterations, 100_000);
    assert!(page.len() < 300_000, "{} bytes", page.len());
}

#[test]
fn errors_name_file_and_line() {
    let bench = Bench::new();
    let good = "{\"iteration\":0}\n";
    for (line, message) in [
        ("{\"iteration\":\"x\"}\n", "bad/metrics.jsonl:2:16: invalid type"),
        ("{\"iteration\":1,\"nll\":\"x\"}\n", "expected f64"),
        ("{\"nll\":1}\n", "missing field `iteration`"),
        ("{\"iteration\":-1}\n", "expected u64"),
        ("[]\n", "bad/metrics.jsonl:2:"),
        ("nonsense\n", "bad/metrics.jsonl:2:2: expected ident"),
    ] {
        let error = bench.failure(&format!("{good}{line}{good}"));
        assert!(matches!(error, Error::Line { line: 2, .. }), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let out = bench.dir.path().join("x.html");
    let nowhere = bench.dir.path().join("nowhere");
    let error = write_report(&[nowhere], &out).unwrap_err();
    assert!(matches!(error, Error::NotARun { .. }) && error.to_string().contains("nowhere"));
    assert!(matches!(write_report(&[], &out), Err(Error::NoRuns)));
    assert!(!out.exists());
}
