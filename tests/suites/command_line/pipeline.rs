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

/// A plain autoregressive model on the way of every other one.
#[test]
fn a_model_without_latents() {
    let sandbox = Sandbox::with_corpus();
    let run = |args: &str| sandbox.run(args.split_whitespace()).succeeds();
    sandbox.train("run", "--latents 0").succeeds();
    let metrics = String::from_utf8(sandbox.read("run/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = metrics.lines().map(json).collect();
    for line in &lines {
        assert_eq!((&line["kl"], &line["bound"]), (&json("0.0"), &line["nll"]));
        assert_eq!((&line["fast_nll"], &line["fast_kl"]), (&json("[]"), &json("[]")));
    }
    assert_eq!(lines[2]["val_bound"], lines[2]["val_nll"]);
    let tensors = run("inspect run/checkpoints/iter_00000003/model.safetensors");
    assert!(tensors.contains("attention.wq") && !tensors.contains("cross"), "{tensors}");
    assert!(run("inspect run").contains("no latents (autoregressive)"));

    let greedy = "--prompt morning --temperature 0 --max-tokens 12";
    let text = run(&format!("generate run {greedy}"));
    assert_eq!(text, run(&format!("generate run --prior {greedy}")));
    assert_eq!(text, run(&format!("generate run --device vm {greedy}")));

    let figures = |args: &str| json(&run(&format!("eval run --data shards --json {args}")));
    let all = figures("--context 8 --block 8 --samples 3");
    let rows = all["rows"].as_array().unwrap();
    let plain = &rows[0];
    assert_eq!((&plain["kl"], &plain["bound"]), (&json("0.0"), &plain["nll"]));
    assert_eq!((&plain["fast_steps"], &plain["draws"]), (&json("0"), &json("1")));
    // z has nothing to say, so that every view is the plain cross-entropy of what it scores.
    let bounds: Vec<_> = rows.iter().map(|row| row["bound"].as_f64().unwrap()).collect();
    let [all_tokens, prior, after, front, blocks] = bounds[..] else { panic!("{rows:?}") };
    assert!((prior - all_tokens).abs() < 1e-12 && (blocks - all_tokens).abs() < 1e-6, "{bounds:?}");
    assert!((after - front).abs() < 1e-12 && after != prior, "{bounds:?}");
    let seen = |row: &Value| row["z_has_seen"].as_str().unwrap().contains("no z in this model");
    assert!(rows.iter().all(seen));
    assert_eq!(figures("--fast-steps 7 --context 8 --block 8 --samples 3"), all);

    run("report run");
    let plan = json(&run("plan --preset tiny --set model.latents=0 --json"));
    let attention = &plan["groups"][2];
    assert_eq!(
        (&attention["name"], &attention["parameters"]),
        (&json("\"latent attention\""), &json("0"))
    );
    assert!(run("plan --preset tiny --set model.latents=0").contains("of the slow step"));
    run("bench --set model.latents=0 --iterations 1 --warmup 0 --reading paper --by-operation");
    let counted = ["bench", "--count", "--set", "model.latents=0"];
    sandbox.refuses(counted, &["model.latents is 0", "--count"]);

    // Interrupted after two iterations and resumed, it gets where it would have got.
    sandbox.train("cut", "--latents 0 --set train.iterations=2 --set slow.total=3").succeeds();
    sandbox.train("cut", "--latents 0 --set train.iterations=3 --resume").succeeds();
    let weights =
        |run: &str| sandbox.read(format!("{run}/checkpoints/iter_00000003/model.safetensors"));
    assert!(weights("cut") == weights("run"));
    // The weights of one kind are none of the other.
    let words = ["model.latents was 0, is now 4"];
    sandbox.refuses(sandbox.training("run", "--resume --latents 4 --set fast.steps=2"), &words);
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
        let views = "--context 16 --block 12 --samples 2";
        let args = format!("eval run --data shards --sequences 9 {views} --json {args}");
        json(&sandbox.run(args.split_whitespace()).succeeds())
    };
    let whole = eval("--threads 1");
    let scored = |row: usize| (&whole["rows"][row]["sequences"], &whole["rows"][row]["tokens"]);
    assert_eq!(scored(0), (&9.into(), &(9 * 32).into()));
    assert_eq!(scored(3), (&9.into(), &(9 * 16).into()));
    assert_eq!(whole, eval("--threads 2"));
    for batch in ["1", "4", "9", "100"] {
        // Matrix products of other shapes round differently.
        let off = distance(&whole, &eval(&format!("--batch {batch}")));
        assert!(off < 1e-5, "--batch {batch}: {off:e}");
    }
}

/// In every view. The virtual GPU adds in another order and has exponentials of its own.
#[test]
fn evaluation_on_a_gpu_finds_what_the_cpu_finds() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let eval = |device: &str| {
        let views = "--fast-steps 2 --context 16 --block 12 --samples 2";
        let args = format!("eval run --data shards --sequences 3 {views} --json --device {device}");
        json(&sandbox.run(args.split_whitespace()).succeeds())
    };
    let off = distance(&eval("cpu"), &eval("vm"));
    assert!(off < 1e-4, "{off:e}");
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
