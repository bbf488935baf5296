//! Questions and answers: the same whatever interrupts them.

use std::process::{Command, Stdio};

use ltm_tests::program::{Outcome, Sandbox, wait_for_lines};
use serde_json::Value;

const QUESTIONS: &str = "{\"question\": \"1 + 1?\", \"answer\": \"It is <<1+1=2>>2.\\n#### 2\"}\n\
                         {\"question\": \"10 x 100?\", \"answer\": \"#### 1,000\"}\n\n\
                         {\"question\": \"3 - 5?\", \"answer\": \"#### -2\"}\n";

fn trained() -> Sandbox {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox.write("q.jsonl", QUESTIONS);
    sandbox
}

fn ask(sandbox: &Sandbox, further: &str) -> Outcome {
    let args = format!("gsm8k run --data q.jsonl --max-tokens 9 {further}");
    sandbox.run(args.split_whitespace())
}

fn lines(sandbox: &Sandbox, file: &str) -> Vec<String> {
    String::from_utf8(sandbox.read(file)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn answers_do_not_depend_on_the_batch_the_threads_or_interruptions() {
    let sandbox = trained();
    for way in ["--latents question", "--latents sample --fast-steps 1", "--latents prior"] {
        let name = way.split(' ').nth(1).unwrap();
        let three = format!("--samples 3 --k 1,3 --json {way}");
        let all = format!("{name}.jsonl");
        let said = ask(&sandbox, &format!("{three} --out {all} --threads 1")).succeeds();
        let summary: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&summary["questions"], &summary["answers"]), (&3.into(), &9.into()));
        assert_eq!(summary["pass_at_k"][1]["k"], 3);
        let whole = sandbox.read(&all);
        for batch in ["--batch 1", "--batch 4 --threads 2", "--batch 100"] {
            ask(&sandbox, &format!("{three} --out other.jsonl {batch}")).succeeds();
            assert!(sandbox.read("other.jsonl") == whole, "{batch} {way}");
            std::fs::remove_file(sandbox.path("other.jsonl")).unwrap();
        }
        // As a crash leaves it; then once more, when there is nothing left to do.
        for left in [whole.len() * 2 / 3, 10, whole.len()] {
            sandbox.write("cut.jsonl", &whole[..left]);
            assert_eq!(ask(&sandbox, &format!("{three} --out cut.jsonl")).succeeds(), said);
            assert!(sandbox.read("cut.jsonl") == whole, "{left} bytes left, {way}");
        }
        // Fewer questions and samples first, and the others later.
        let few = format!("--samples 2 --limit 2 --out parts.jsonl {way}");
        assert!(ask(&sandbox, &few).succeeds().contains("2 questions, 2 answers each"));
        assert_eq!(ask(&sandbox, &format!("{three} --out parts.jsonl")).succeeds(), said);
        let sorted = |file: &str| {
            let mut lines = lines(&sandbox, file);
            lines.sort();
            lines
        };
        assert_eq!(sorted("parts.jsonl"), sorted(&all));
        std::fs::remove_file(sandbox.path("parts.jsonl")).unwrap();
        let mut texts: Vec<_> = lines(&sandbox, &all)[1..].to_vec();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 9);
    }
}

#[test]
fn an_interrupted_evaluation_goes_on_without_repeating() {
    let sandbox = trained();
    let args = |out: &str| {
        let args = format!("gsm8k run --data q.jsonl --samples 400 --k 1,400 --out {out}");
        args.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let mut command = sandbox.command(args("a.jsonl"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(&sandbox.path("a.jsonl"), 4, &mut child);
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").arg("-c").arg(interrupt).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    Outcome::new("interrupted".to_owned(), output).fails(&["interrupted", "goes on"]);
    let before = sandbox.read("a.jsonl");
    assert!(before.last() == Some(&b'\n'));
    let said = sandbox.run(args("a.jsonl")).succeeds();
    assert!(said.contains("pass@400"), "{said}");
    let after = sandbox.read("a.jsonl");
    assert!(after.starts_with(&before) && after.len() > before.len());
    let mut keys: Vec<_> = lines(&sandbox, "a.jsonl")[1..]
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["question"].as_u64(), line["sample"].as_u64())
        })
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1200);
}

#[test]
fn other_settings_do_not_go_on() {
    let sandbox = trained();
    ask(&sandbox, "--samples 2 --out a.jsonl").succeeds();
    let refuses = |further: &str, words: &[&str]| {
        let args = format!("gsm8k run --data q.jsonl --out a.jsonl {further}");
        let words = [words, &["a.jsonl", "--out"]].concat();
        sandbox.refuses(args.split_whitespace(), &words);
    };
    refuses("--samples 2 --max-tokens 9 --seed 2", &["seed was 1, is now 2"]);
    refuses("--samples 2 --max-tokens 8", &["max_tokens was 9, is now 8"]);
    refuses("--samples 1 --max-tokens 9", &["temperature was 0.8, is now 0.0"]);
    let prior = "--samples 2 --max-tokens 9 --latents prior";
    refuses(prior, &["latents was \"question\", is now \"prior\""]);
    sandbox.write("q.jsonl", QUESTIONS.replace("1 + 1", "1 + 2"));
    refuses("--samples 2 --max-tokens 9", &["questions was"]);
    sandbox.write("q.jsonl", QUESTIONS);
    sandbox.train("run2", "--set train.seed=2").succeeds();
    let args = "gsm8k run2 --data q.jsonl --out a.jsonl --samples 2 --max-tokens 9";
    sandbox.refuses(args.split(' '), &["model was"]);
    let args = "gsm8k run --data q.jsonl --out q.jsonl";
    sandbox.refuses(args.split(' '), &["q.jsonl line 1", "expected the settings"]);
}

#[test]
fn what_cannot_be_asked() {
    let sandbox = trained();
    let refuses = |args: &str, words: &[&str]| {
        let args = format!("gsm8k run --out a.jsonl {args}");
        sandbox.refuses(args.split_whitespace(), words);
    };
    refuses("--data q.jsonl --samples 3 --k 1,5", &["--k 5", "1 to the number of samples, 3"]);
    refuses("--data q.jsonl --k 0", &["--k 0"]);
    refuses("--data q.jsonl --samples 0", &["--samples is 0"]);
    refuses("--data q.jsonl --batch 0", &["--batch is 0"]);
    refuses("--data nothing.jsonl", &["nothing.jsonl", "No such file"]);
    refuses("--data q.jsonl --shots 5", &["--shots 5", "--train"]);
    let words = ["q.jsonl: 3 questions", "at least 5"];
    refuses("--data q.jsonl --shots 5 --train q.jsonl", &words);
    let words = ["line 1: the question with 1 example(s) has 76 tokens", "max_seq_len = 32"];
    refuses("--data q.jsonl --shots 1 --train q.jsonl", &words);
    for (line, words) in [
        ("{\"question\": \"a\"}", &["no field \"answer\"", "\"question\""][..]),
        ("{\"question\": \"a\", \"answer\": \"4\"}", &["no number after \"#### \""]),
        ("{\"question\": \" \", \"answer\": \"#### 4\"}", &["\"question\" is empty"]),
        ("{\"question\": 1, \"answer\": \"#### 4\"}", &["\"question\" holds no string"]),
        ("what?", &["expected one JSON object"]),
    ] {
        sandbox.write("bad.jsonl", format!("{QUESTIONS}{line}\n"));
        refuses("--data bad.jsonl", &[&["bad.jsonl line 5"], words].concat());
    }
    sandbox.write("blank.jsonl", "\n");
    refuses("--data blank.jsonl", &["blank.jsonl: 0 questions", "at least 1"]);
    refuses("--data q.jsonl --temperature=-1", &["temperature = -1"]);
    let args = "gsm8k run --data q.jsonl --out nowhere/a.jsonl";
    sandbox.refuses(args.split(' '), &["cannot open nowhere/a.jsonl"]);
    // Examples that are too much are left out if that is wanted.
    let args = "gsm8k run --data q.jsonl --shots 1 --train q.jsonl --drop-shots --out b.jsonl";
    let said = sandbox.run(args.split(' ')).succeeds();
    assert!(said.contains("0 shots"), "{said}");
}
