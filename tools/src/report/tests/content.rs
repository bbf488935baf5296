use super::{Bench, metrics, timing};

#[test]
fn one_run_has_all_its_sections_and_numbers() {
    let bench = Bench::new();
    let run = bench.run(
        "tiny",
        &[
            ("metrics.jsonl", &metrics(0..41)),
            ("timing.jsonl", &timing(41)),
            ("config.toml", "seed = 3\n[fast]\nsteps = 16\n"),
            ("summary.json", "{\"parameters\": 123, \"text\": \"<b>\"}"),
            (
                "samples.jsonl",
                "{\"iteration\":0,\"kind\":\"prior\",\"prompt\":\"\",\"text\":\"zq\"}\n\
                 {\"iteration\":40,\"kind\":\"prior\",\"prompt\":\"\",\"text\":\"the sun\"}\n",
            ),
        ],
    );
    let (summary, page) = bench.report(&[run]);
    assert_eq!(summary.notes, [""; 0]);
    let run = &summary.runs[0];
    assert_eq!((run.name.as_str(), run.iterations), ("tiny", 41));
    assert_eq!(run.tokens, Some(41 * 2048));
    assert_eq!(run.tokens_per_second, Some(4020.0));
    assert_eq!(run.seconds, Some(20.5));
    assert_eq!(run.peak_rss_bytes, Some(1_000_040));
    let last = run.last_validation.unwrap();
    assert_eq!((last.iteration, last.kl), (40, 0.6));
    assert_eq!(run.best_validation, run.last_validation);
    for part in [
        "Bound (nll + kl)",
        "Cross-entropy (nll)",
        "KL divergence",
        "Learning rate of the weights",
        "Learning rate of the posterior",
        "Gradient norm",
        "Clip factor",
        "Throughput",
        "Bound over the fast steps",
        "<li><svg class=\"swatch\"",
        "iteration 20</li>",
        "<h5>Iteration 40</h5><pre>\nthe sun</pre>",
        "<th>parameters</th><td>123</td>",
        "<td>&lt;b&gt;</td>",
        "[fast]\nsteps = 16\n</pre>",
        "83,968",
        "2.773",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    // The loss is the nll here and gets none of its own.
    assert_eq!(page.matches("<figure>").count(), 3 + 4 + 2 + 3);
    assert!(!page.contains("Training loss"));
}

#[test]
fn several_runs_are_overlaid_and_compared() {
    let bench = Bench::new();
    let better = metrics(0..31)
        .replace("\"val_kl\":0.6", "\"val_kl\":0.4")
        .replace("\"val_bound\":2", "\"val_bound\":1");
    let runs = [
        bench.run("a", &[("metrics.jsonl", &metrics(0..41)), ("config.toml", "seed = 1\nm = 2\n")]),
        bench.run(
            "b",
            &[
                ("metrics.jsonl", &better),
                ("timing.jsonl", &timing(31)),
                ("config.toml", "seed = 9\nm = 2\n"),
            ],
        ),
    ];
    let (summary, page) = bench.report(&runs);
    assert_eq!(summary.runs[1].name, "b");
    assert!(page.contains("Bound (nll + kl), validation"));
    assert!(
        page.contains("<i class=\"chip c1\"></i>b</th><td><b>1.797</b>"),
        "the best is not marked"
    );
    assert!(page.contains("<tr><th>seed</th><td>1</td><td>9</td></tr>"));
    assert!(!page.contains("<th>m</th>"), "equal settings are listed");
    assert!(page.contains("Validation bound over training tokens"));
    assert!(summary.notes.iter().any(|note| note.starts_with("a: timing.jsonl is missing")));
}
