//! Writing texts: what they depend on, what is told of them, what is refused.

use ltm_tests::program::Sandbox;
use serde_json::Value;

/// Prompts of different lengths, one of them as long as a prompt may be.
const PROMPTS: &str = "{\"text\": \"rain falls\"}\n{\"text\": \"an\", \"id\": 7}\n\n\
                       {\"text\": \"birds sing of an old bridge an\"}\n";

fn trained() -> Sandbox {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox.write("prompts.jsonl", PROMPTS);
    sandbox
}

fn texts(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn texts_do_not_depend_on_the_batch_the_threads_or_what_follows() {
    let sandbox = trained();
    let write = |further: &str| {
        let args = format!("generate run --prompts prompts.jsonl --samples 2 --seed 5 {further}");
        sandbox.run(args.split_whitespace()).succeeds()
    };
    for way in ["", "--refit 4 --refit-last 20", "--min-p 0.05 --repetition-penalty 1.2 --prior"] {
        let json = format!("--max-tokens 14 --jsonl - {way}");
        let alone = write(&format!("--batch 1 --threads 1 {json}"));
        for together in ["--batch 6 --threads 2", "--batch 4", "--batch 100 --threads 1"] {
            assert!(write(&format!("{together} {json}")) == alone, "{together} {way}");
        }
        let shorter = texts(&write(&format!("--max-tokens 9 --jsonl - {way}")));
        let whole = texts(&alone);
        assert_eq!((whole.len(), shorter.len()), (6, 6));
        for (shorter, whole) in shorter.iter().zip(&whole) {
            let (shorter, whole) = (&shorter["tokens"], &whole["tokens"]);
            let most = whole.as_array().unwrap().len().min(9);
            assert_eq!(shorter.as_array().unwrap()[..], whole.as_array().unwrap()[..most]);
        }
        // The same texts for people.
        let shown = write(&format!("--max-tokens 14 {way}"));
        let expected: Vec<String> = whole
            .iter()
            .map(|text| [&text["prompt"], &text["text"]].map(|x| x.as_str().unwrap()).concat())
            .collect();
        assert_eq!(shown, expected.join("\n") + "\n");
    }
}

/// On a GPU too, here the virtual one.
#[test]
fn texts_written_together_on_a_gpu_are_those_written_alone() {
    let sandbox = trained();
    let write = |further: &str| {
        let args = format!(
            "generate run --device vm --prompts prompts.jsonl --max-tokens 5 --fast-steps 1 \
             --jsonl - {further}"
        );
        sandbox.run(args.split_whitespace()).succeeds()
    };
    assert!(write("--batch 1") == write("--batch 3"));
}

#[test]
fn lines_of_json_tell_everything() {
    let sandbox = trained();
    let args = "generate run --prompts prompts.jsonl --limit 2 --prompt-tokens 4 --max-tokens 20 \
                --temperature 1 --min-p 0.05 --refit 15 --jsonl out.jsonl --summary summary.json";
    let outcome = sandbox.run(args.split_whitespace());
    assert!(outcome.stderr.contains("distinct-1 to 4"), "{}", outcome.stderr);
    assert_eq!(outcome.succeeds(), "");
    let lines = String::from_utf8(sandbox.read("out.jsonl")).unwrap();
    let texts = texts(&lines);
    assert_eq!(texts.len(), 2);
    let mut draws = 0.0;
    for text in &texts {
        let count = text["tokens"].as_array().unwrap().len();
        let end = text["end"].as_str().unwrap();
        assert_eq!(text["draws"], count + usize::from(end == "end_of_text"));
        draws += text["draws"].as_f64().unwrap();
        let per_draw = text["nll"].as_f64().unwrap() / text["draws"].as_f64().unwrap();
        assert!((per_draw - text["figures"]["nll"].as_f64().unwrap()).abs() < 1e-9);
        // A young model of 256 bytes: hardly better than chance.
        assert!(per_draw > 3.0 && per_draw < 8.0, "{per_draw}");
        let entropy = text["figures"]["entropy"].as_f64().unwrap();
        assert!(entropy > 3.0 && entropy < 256_f64.ln(), "{entropy}");
        assert_eq!(text["figures"]["distinct"].as_array().unwrap().len(), 4);
        assert_eq!(text["settings"]["refit"]["last"], 32);
        assert_eq!(text["settings"]["min_p"], 0.05);
        assert_eq!(text["thought"]["fast_steps"], 2);
    }
    assert_eq!((&texts[0]["prompt"], &texts[1]["prompt"]), (&"rain".into(), &"an".into()));
    assert_eq!(texts[0]["thought"]["tokens"], 4);
    let summary: Value = serde_json::from_slice(&sandbox.read("summary.json")).unwrap();
    let nll: f64 = texts.iter().map(|text| text["nll"].as_f64().unwrap()).sum();
    assert!((summary["figures"]["nll"].as_f64().unwrap() - nll / draws).abs() < 1e-9);
}

#[test]
fn prompts_that_cannot_be_continued() {
    let sandbox = trained();
    let refuses = |args: &str, words: &[&str]| {
        let args: Vec<_> =
            args.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        sandbox.refuses(args, words);
    };
    refuses("generate run --prompt ''", &["the prompt is empty", "leave --prompt out"]);
    sandbox.write("blank.txt", "one\n\nthree\n");
    refuses("generate run --prompts blank.txt", &["blank.txt line 2", "empty prompt"]);
    sandbox.write("none.txt", "");
    refuses("generate run --prompts none.txt", &["none.txt", "no prompt"]);
    sandbox.write("long.txt", format!("one\n{}\n", "x".repeat(32)));
    let words = ["long.txt line 2", "33 tokens", "model.max_seq_len = 32", "shorten"];
    refuses("generate run --prompts long.txt", &words);
    sandbox.write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}\n");
    refuses("generate run --prompts bad.jsonl", &["bad.jsonl line 2", "no string"]);
    refuses("generate run --prompts bad.jsonl --field body", &["line 1", "no field \"body\""]);
    refuses("generate run --prompts nothing.txt", &["nothing.txt", "No such file"]);
    refuses("generate run --batch 0", &["--batch is 0"]);
    refuses("generate run --min-p 2", &["min_p = 2", "0 to 1"]);
    refuses("generate run --repetition-penalty 0", &["repetition_penalty = 0", "above 0"]);
    refuses("generate run --refit 3 --refit-last 33", &["refit_last = 33", "max_seq_len = 32"]);
    refuses("generate run --prompt a --jsonl nowhere/out.jsonl", &["cannot write nowhere/out"]);
    let misused = |args: &str, words: &[&str]| sandbox.run(args.split(' ')).is_misused(words);
    misused("generate run --prompt a --prompts blank.txt", &["--prompt", "--prompts"]);
    misused("generate run --refit-last 8", &["--refit"]);
}
