//! Latents of texts: encoding them, and probing what they know.

use ltm_tests::program::Sandbox;
use safetensors::SafeTensors;
use serde_json::Value;

fn trained() -> Sandbox {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox
}

#[track_caller]
fn run(sandbox: &Sandbox, args: &str) -> String {
    sandbox.run(args.split_whitespace()).succeeds()
}

/// The index of a file of latents.
fn index(sandbox: &Sandbox, file: &str) -> Vec<Value> {
    let bytes = sandbox.read(file);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let index = tensors.tensor("index").unwrap();
    let lines = index.data().split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn texts_become_latents() {
    let sandbox = trained();
    let said = run(&sandbox, "encode run --data corpus.jsonl --out a.safetensors --limit 12");
    assert!(said.contains("a.safetensors: 12 texts") && said.contains("4 x 16 latents"), "{said}");
    let encoded = sandbox.read("a.safetensors");
    let tensors = SafeTensors::deserialize(&encoded).unwrap();
    assert_eq!(tensors.tensor("mu").unwrap().shape(), [12, 4, 16]);
    // A document of the corpus is longer than a sequence of this model.
    let entries = index(&sandbox, "a.safetensors");
    assert_eq!(entries[1]["source"], "corpus.jsonl line 1");
    assert_eq!((&entries[1]["piece"], &entries[1]["tokens"]), (&1.into(), &32.into()));

    run(&sandbox, "encode run --data corpus.jsonl --out b.safetensors --limit 12 --threads 2");
    assert!(encoded == sandbox.read("b.safetensors"));
    // Over itself, with windows of shards, and from a checkpoint.
    let checkpoint = "run/checkpoints/iter_00000003";
    run(&sandbox, &format!("encode {checkpoint} --data shards --out b.safetensors --limit 5"));
    let windows = index(&sandbox, "b.safetensors");
    assert_eq!((windows.len(), &windows[0]["source"]), (5, &"shards val window 0".into()));
    let told = run(&sandbox, "inspect a.safetensors");
    for words in ["latents of 12 texts", "after 3 iterations", "corpus.jsonl line 1"] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn layers_are_probed() {
    let sandbox = trained();
    let args = "probe run --data corpus.jsonl --limit 6 --absent prior --report p.html";
    let said = run(&sandbox, args);
    for words in ["6 texts of corpus.jsonl", "draws from the prior", "accuracy", "p.html"] {
        assert!(said.contains(words), "{said}");
    }
    let page = String::from_utf8(sandbox.read("p.html")).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    let json = |absent: &str| -> Value {
        let args = format!("probe run --data corpus.jsonl --limit 6 --json --absent {absent}");
        serde_json::from_str(&run(&sandbox, &args)).unwrap()
    };
    let (mean, prior) = (json("mean"), json("prior"));
    for found in [&mean, &prior] {
        let levels = |key: &str| found["probe"][key].as_array().unwrap().clone();
        let (first, last) = (levels("first_layers"), levels("last_layers"));
        assert_eq!((first.len(), last.len()), (3, 3));
        assert_eq!((&first[0], &first[2]), (&last[0], &last[2]));
    }
    assert_eq!(mean["probe"]["first_layers"][2], prior["probe"]["first_layers"][2]);
    assert_ne!(mean["probe"]["first_layers"][0], prior["probe"]["first_layers"][0]);
}

#[test]
fn what_cannot_be_encoded_or_probed() {
    let sandbox = trained();
    let refuses = |args: &str, words: &[&str]| sandbox.refuses(args.split(' '), words);
    sandbox.write("empty.jsonl", "{\"text\": \"\"}\n");
    sandbox.write("bad.jsonl", "{\"text\": \"fine\"}\n{\"text\": 7}\n");
    sandbox.write("notes.txt", "to keep");
    for command in ["encode run --out new.safetensors", "probe run"] {
        let with = |args: &str, words: &[&str]| refuses(&format!("{command} {args}"), words);
        with("--data nothing.jsonl", &["nothing.jsonl", "No such file"]);
        with("--data empty.jsonl", &["empty.jsonl", "no text in it", "at least one document"]);
        with("--data bad.jsonl", &["bad.jsonl line 2", "expected a string"]);
        with("--data corpus.jsonl --field body", &["line 1", "\"body\""]);
        with("--data corpus.jsonl --limit 0", &["--limit is 0; expected at least 1"]);
        with("--data corpus.jsonl --batch 0", &["--batch is 0; expected at least 1"]);
        with("--data run", &["run"]);
    }
    refuses("encode run --data corpus.jsonl --out notes.txt", &["notes.txt", "another name"]);
    let weights = "run/checkpoints/iter_00000003/model.safetensors";
    let args = format!("encode run --data corpus.jsonl --out {weights}");
    refuses(&args, &["model.safetensors exists and is no file of latents"]);
    refuses("encode run --data corpus.jsonl --out no/where", &["cannot create", "no/where"]);
    refuses("probe run --data corpus.jsonl --limit 1 --report shards", &["shards", "cannot write"]);
    refuses("encode nothing --data corpus.jsonl --out new", &["nothing", "run directory"]);
    let misused = |args: &str, words: &[&str]| sandbox.run(args.split(' ')).is_misused(words);
    misused("encode run --data corpus.jsonl", &["--out"]);
    misused("encode run --out x", &["--data"]);
    misused("probe run --data corpus.jsonl --absent none", &["none", "mean, prior"]);

    let tokenize = "tokenize corpus.jsonl --tokenizer gpt2 --out other";
    sandbox.run(tokenize.split(' ')).succeeds();
    refuses("probe run --data other", &["other", "gpt2"]);
}

/// The same z is the same text, wherever it comes from; a z of its own is another one.
#[test]
fn latents_become_texts() {
    let sandbox = trained();
    sandbox.write("two.jsonl", "{\"text\": \"an old bridge\"}\n{\"text\": \"birds sing\"}\n");
    run(&sandbox, "encode run --data two.jsonl --out two.safetensors");
    let write = |args: &str| {
        let rest = "--temperature 0 --max-tokens 12 --ignore-end";
        run(&sandbox, &format!("generate run --jsonl - {rest} {args}"))
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .collect::<Vec<_>>()
    };
    let tokens = |texts: &[Value]| texts.iter().map(|t| t["tokens"].clone()).collect::<Vec<_>>();
    let both = write("--latents two.safetensors --index 0,1");
    assert_eq!(both[1]["latents_of"], "text 1: two.jsonl line 2");
    assert_eq!(tokens(&write("--latents two.safetensors")), tokens(&both[..1]));

    let way = write("--latents two.safetensors --mix 0 1 --steps 3");
    assert_eq!((way.len(), &way[1]["latents_of"]), (3, &"50 % A, 50 % B".into()));
    let (ends, way) = (tokens(&both), tokens(&way));
    assert_eq!((&way[0], &way[2]), (&ends[0], &ends[1]));
    // The latents of a text are the same outside of a file.
    let outcome = sandbox.run([
        "generate",
        "run",
        "--jsonl",
        "-",
        "--temperature",
        "0",
        "--max-tokens",
        "12",
        "--ignore-end",
        "--mix",
        "an old bridge",
        "birds sing",
        "--steps",
        "3",
    ]);
    let in_words: Vec<Value> =
        outcome.succeeds().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(tokens(&in_words), way);
    let shown = run(&sandbox, "generate run --latents two.safetensors --z sample --max-tokens 3");
    assert!(shown.starts_with("[text 0: two.jsonl line 1]"), "{shown}");
}

#[test]
fn latents_that_cannot_be_used() {
    let sandbox = trained();
    let encode = "encode run --data corpus.jsonl --limit 2 --out two.safetensors";
    sandbox.run(encode.split(' ')).succeeds();
    let refuses = |args: &str, words: &[&str]| {
        sandbox.refuses(format!("generate {args}").split(' '), words);
    };
    refuses("run --latents two.safetensors --index 2", &["2 texts", "0 to 1, not 2"]);
    refuses("run --latents nothing", &["cannot open nothing", "No such file"]);
    refuses("run --latents corpus.jsonl", &["corpus.jsonl: no file of latents", "ltm encode"]);
    refuses("run --latents two.safetensors --mix 0 birds", &["\"birds\"", "number of a text"]);
    refuses("run --mix a b --steps 1", &["--steps is 1; expected at least 2"]);
    let long = "x".repeat(40);
    refuses(&format!("run --mix a {long}"), &["text B: 40 tokens; expected at most 32"]);

    sandbox.train("longer", "--set train.iterations=4").succeeds();
    let of_other = ["two.safetensors: latents of another model", "--force"];
    refuses("longer --latents two.safetensors", &of_other);
    refuses("run/checkpoints/iter_00000002 --latents two.safetensors", &of_other);
    let forced = "generate longer --latents two.safetensors --force --max-tokens 3";
    run(&sandbox, forced);
    sandbox.train("wider", "--set model.dim=32").succeeds();
    refuses("wider --latents two.safetensors --force", &["[4, 16]", "takes [4, 32]"]);

    let whole = sandbox.read("two.safetensors");
    sandbox.write("cut.safetensors", &whole[..whole.len() - 100]);
    refuses("run --latents cut.safetensors", &["cut.safetensors", "cut short", "encode again"]);
    let misused = |args: &str, words: &[&str]| sandbox.run(args.split(' ')).is_misused(words);
    misused("generate run --mix a", &["--mix"]);
    misused("generate run --force", &["--latents"]);
    misused("generate run --index 1", &["--latents"]);
    misused("generate run --latents two.safetensors --prior", &["--prior", "cannot be used"]);
    misused("generate run --mix a b --path round", &["round", "spherical, linear"]);
}
