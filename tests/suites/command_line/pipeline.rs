//! From text to report.

use ltm_tests::program::Sandbox;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_command_of_the_way_works() {
    let sandbox = Sandbox::with_corpus();
    let run = |args: &str| sandbox.run(args.split(' ')).succeeds();
    let said = sandbox.train("run", "").succeeds();
    assert!(said.contains("3 iterations done"), "{said}");

    let metrics = String::from_utf8(sandbox.read("run/metrics.jsonl")).unwrap();
    let bounds: Vec<_> =
        metrics.lines().map(|line| json(line)["bound"].as_f64().unwrap()).collect();
    assert!(bounds.len() == 3 && bounds[2] < bounds[0], "{bounds:?}");
    let samples = String::from_utf8(sandbox.read("run/samples.jsonl")).unwrap();
    let kinds: Vec<_> = samples.lines().map(|line| json(line)["kind"].to_string()).collect();
    assert_eq!(&kinds[..2], ["\"prior\"", "\"posterior\""]);

    let plain = run("generate run --max-tokens 20");
    assert_eq!(plain, run("generate run --max-tokens 20"));
    assert_ne!(plain, run("generate run --max-tokens 20 --seed 2"));
    let continued = run("generate run --max-tokens 20 --prompt morning");
    assert!(continued.starts_with("morning"), "{continued}");
    run("generate run/checkpoints/iter_00000002 --temperature 0 --top-k 3 --max-tokens 4");

    let shards = run("inspect shards");
    assert!(shards.contains("bytes, 256 ids"), "{shards}");
    assert!(run("inspect run").contains("checkpoint of iteration 3"));
    let checkpoint = run("inspect run/checkpoints/iter_00000003");
    assert!(checkpoint.contains("after 3 iterations"), "{checkpoint}");
    let tensors = run("inspect run/checkpoints/iter_00000003/model.safetensors");
    assert!(tensors.contains("tok_embeddings.weight"), "{tensors}");

    run("report run");
    let page = String::from_utf8(sandbox.read("run/report.html")).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));

    assert!(run("plan --preset small --batch 4").contains("floor"));
    let plan = json(&run("plan --preset tiny --batch 4 --json"));
    assert!(plan["parameters"].as_u64().unwrap() > 0 && plan["batch"]["sequences"] == 4);
}

/// Largest relative distance between the numbers of two documents of one structure.
fn distance(a: &Value, b: &Value) -> f64 {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| distance(a, b)).fold(0.0, f64::max)
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()));
            a.values().zip(b.values()).map(|(a, b)| distance(a, b)).fold(0.0, f64::max)
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() / a.abs().max(b.abs()).max(1e-30)
        }
        _ => {
            assert_eq!(a, b);
            0.0
        }
    }
}

#[test]
fn evaluation_does_not_depend_on_the_batch_or_the_threads() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let eval = |args: &str| {
        let args = format!("eval run --data shards --sequences 9 --json {args}");
        json(&sandbox.run(args.split_whitespace()).succeeds())
    };
    let whole = eval("--threads 1");
    assert_eq!(whole["summary"]["sequences"], 9);
    assert_eq!(whole, eval("--threads 2"));
    for batch in ["1", "4", "9", "100"] {
        // Matrix products of other shapes round differently.
        let off = distance(&whole, &eval(&format!("--batch {batch}")));
        assert!(off < 1e-5, "--batch {batch}: {off:e}");
    }
    let unseen = eval("--context 16");
    assert_eq!(unseen["summary"]["continuation"]["tokens"], 9 * 16);
    let two = sandbox.run("eval run --data shards --data shards --json".split(' ')).succeeds();
    assert_eq!(two.lines().count(), 2);
}

#[test]
fn training_does_not_depend_on_the_threads() {
    let sandbox = Sandbox::with_corpus();
    for reading in ["paper", "released"] {
        let train = |threads: u32| {
            let run = format!("{reading}{threads}");
            let settings = format!("--threads {threads} --set reading={reading}");
            sandbox.train(&run, &settings).succeeds();
            sandbox.read(format!("{run}/metrics.jsonl"))
        };
        assert!(train(1) == train(2), "{reading}");
    }
}
