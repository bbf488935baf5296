//! `ltm eval`: one table of any sets, in every form, and what it refuses.

use std::process::{Command, Stdio};

use ltm_tests::program::{Outcome, Sandbox};
use serde_json::Value;

/// A trained micro model, and texts beside its shards.
fn trained() -> Sandbox {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let line = |text: &str| format!("{{\"text\": \"{text}\", \"other\": \"{text}\"}}\n");
    let texts = ["it 's a text of some forty letters, is n't it", "short", "the river runs"];
    sandbox.write("texts.jsonl", texts.map(line).concat());
    sandbox
}

fn rows(sandbox: &Sandbox, args: &str) -> Vec<Value> {
    let args = format!("eval run --threads 1 --json {args}");
    let said = sandbox.run(args.split_whitespace()).succeeds();
    let table: Value = serde_json::from_str(&said).unwrap();
    let rows = table["rows"].as_array().unwrap().clone();
    let keys: Vec<_> = table["columns"].as_object().unwrap().keys().collect();
    assert!(rows.iter().all(|row| row.as_object().unwrap().keys().eq(keys.iter().copied())));
    rows
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"))
}

#[test]
fn every_row_says_what_z_has_seen() {
    let sandbox = trained();
    let args = "--data shards --data short=texts.jsonl --fast-steps 1,3 --context 8 --block 10";
    let rows = rows(&sandbox, &format!("{args} --sequences 3 --samples 2"));
    let seen: Vec<_> =
        rows.iter().map(|row| row["z_has_seen"].as_str().unwrap().to_owned()).collect();
    let of = |words: &str| seen.iter().filter(|seen| seen.contains(words)).count();
    // Two sets; two numbers of fast steps wherever there is a fit.
    assert_eq!(of("the scored tokens included"), 4);
    assert_eq!(of("nothing: z from the prior"), 4);
    assert_eq!(of("nothing: z from the prior; the first 8 tokens are not scored"), 2);
    assert_eq!(of("the first 8 tokens, which are not scored"), 4);
    assert_eq!(of("the blocks of 10 tokens before"), 4);
    assert_eq!(rows.len(), 16);
    for row in &rows {
        let tokens = number(row, "tokens");
        let nats = number(row, "bound") * tokens;
        let bits = nats / std::f64::consts::LN_2 / number(row, "bytes");
        assert!((number(row, "bits_per_byte") / bits - 1.0).abs() < 1e-12, "{row}");
        assert!((number(row, "perplexity_corpus") / (nats / tokens).exp() - 1.0).abs() < 1e-12);
        assert!(number(row, "flops_per_token") > 0.0);
        let causal = !row["z_has_seen"].as_str().unwrap().contains("included");
        for key in ["kl", "bound_fresh", "bound_weighted", "accuracy"] {
            assert_eq!(row[key].is_null(), causal, "{key} in {row}");
        }
        if !causal {
            assert!((number(row, "nll") + number(row, "kl") - number(row, "bound")).abs() < 1e-12);
        }
    }
    let steps: Vec<_> = rows[..4].iter().map(|row| number(row, "fast_steps")).collect();
    assert_eq!(steps, [1.0, 3.0, 1.0, 3.0]);
    assert!(number(&rows[1], "flops_per_token") > number(&rows[0], "flops_per_token"));
}

/// Text that is packed here is cut into the sequences that its shards have.
#[test]
fn packed_text_scores_as_its_shards() {
    let sandbox = trained();
    let args = "tokenize texts.jsonl --tokenizer bytes --out few --val-docs 0";
    sandbox.run(args.split(' ')).succeeds();
    let rows = rows(&sandbox, "--data few --data texts.jsonl --split train --sequences 0");
    for (shards, text) in [(&rows[0], &rows[1]), (&rows[2], &rows[3])] {
        assert_eq!((&shards["set"], &text["set"]), (&"few".into(), &"texts".into()));
        for key in ["tokens", "bytes", "nll", "bound", "perplexity_mean", "flops_per_token"] {
            assert_eq!(shards[key], text[key], "{key}");
        }
    }
}

#[test]
fn documents_and_detokenizers_are_as_asked_and_stated() {
    let sandbox = trained();
    let data = "--data a=texts.jsonl --data b:ptb=texts.jsonl";
    let each = rows(&sandbox, &format!("{data} --documents each --field other"));
    assert_eq!((&each[0]["text"], &each[0]["sequences"]), (&"each document".into(), &4.into()));
    assert_eq!((&each[0]["detokenizer"], &each[1]["detokenizer"]), (&"none".into(), &"ptb".into()));
    // Every letter of every document is scored once; two blanks less without their tokenization.
    assert_eq!((number(&each[0], "tokens"), number(&each[1], "tokens")), (64.0, 62.0));
    let all = rows(&sandbox, &format!("{data} --documents each --detokenize ptb --min-tokens 10"));
    assert_eq!(number(&all[0], "tokens"), 57.0);
    assert_eq!(all[0]["nll"], all[1]["nll"]);
    let packed = rows(&sandbox, "--data texts.jsonl --length 16");
    assert_eq!((&packed[0]["length"], &packed[0]["tokens"]), (&16.into(), &64.into()));
}

#[test]
fn all_forms_have_the_same_columns() {
    let sandbox = trained();
    let outs = "--out t.json --out t.csv --out t.md";
    let args = format!("eval run --data a,b=shards --sequences 2 --context 3 {outs}");
    // A comma is no letter of a name, so this is the path `a,b=shards`.
    sandbox.run(args.split(' ')).fails(&["a,b=shards", "no such file"]);
    let args = args.replace("a,b=", "");
    let said = sandbox.run(args.split(' ')).succeeds();
    assert!(said.contains("z has seen the first 3 tokens, which are not scored:"), "{said}");
    let read = |name: &str| String::from_utf8(sandbox.read(name)).unwrap();
    let table: Value = serde_json::from_str(&read("t.json")).unwrap();
    let (csv, markdown) = (read("t.csv"), read("t.md"));
    let header: Vec<_> = csv.lines().next().unwrap().split(',').collect();
    let columns = table["columns"].as_object().unwrap();
    assert!(header.len() == columns.len() && header.iter().all(|key| columns.contains_key(*key)));
    let lines: Vec<_> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    // Header, ruler, and a row for each view; a bar more than columns.
    assert_eq!((lines.len(), csv.lines().count()), (6, 5));
    assert!(lines.iter().all(|line| line.matches('|').count() == header.len() + 1), "{markdown}");
    assert!(csv.contains("\"the whole sequence, the scored tokens included\""), "{csv}");
    assert!(lines[2].contains("the whole sequence, the scored tokens included"));
    for form in ["csv", "markdown"] {
        let args = format!("eval run --data shards --sequences 2 --context 3 --{form}");
        let name = if form == "csv" { "t.csv" } else { "t.md" };
        assert_eq!(sandbox.run(args.split(' ')).succeeds(), read(name));
    }
}

#[test]
fn evaluations_that_cannot_be_are_refused_before_they_begin() {
    let sandbox = trained();
    sandbox.write("empty.jsonl", "");
    sandbox.write("shard.bin", "x");
    let refuses = |args: &str, words: &[&str]| {
        sandbox.refuses(format!("eval run {args}").split(' '), words);
    };
    refuses("--data shards --context 32", &["--context", "context of 32", "1 to 31"]);
    refuses("--data shards --block 0", &["--block", "blocks of 0", "1 to 31"]);
    refuses("--data shards --length 33", &["--length is 33", "max_seq_len = 32"]);
    refuses("--data shards --length 0", &["--length is 0"]);
    refuses("--data nothing.txt", &["set nothing", "nothing.txt", "no such file"]);
    refuses("--data shard.bin", &["shard.bin", "give the directory"]);
    refuses("--data x:ptb=shards", &["set x", "shards hold tokens"]);
    refuses("--data empty.jsonl", &["empty.jsonl", "0 documents"]);
    refuses("--data texts.jsonl --field body", &["texts.jsonl line 1", "\"body\"", "--field"]);
    let each = "--data texts.jsonl --documents each";
    refuses(&format!("{each} --min-tokens 99"), &["none of its 3 documents has 99 tokens"]);
    refuses(&format!("{each} --length 20 --context 20"), &["context of 20", "1 to 19"]);
    sandbox.write("short.jsonl", "{\"text\": \"word\"}\n{\"text\": \"two words\"}\n");
    let words = ["set short", "longest sequence has 9 tokens", "--context 9"];
    refuses("--data short.jsonl --documents each --context 9", &words);
    let words = ["short.jsonl", "15 tokens", "takes 33", "--documents each"];
    refuses("--data short.jsonl", &words);
    refuses("--data shards --out no/t.json", &["no/t.json", "no directory no"]);

    let misused = |args: &str, words: &[&str]| {
        sandbox.run(format!("eval run {args}").split(' ')).is_misused(words);
    };
    misused("--data shards --samples 0", &["at least 1 draw"]);
    misused("--data shards --detokenize treebank", &["treebank", "none, ptb, wikitext"]);
    misused("--data x:treebank=texts.jsonl", &["treebank", "none, ptb, wikitext"]);
    misused("--data shards --documents some", &["some", "pack or each"]);
    misused("--data shards --fast-steps 4,many", &["many"]);
    misused("--data shards --data shards", &["two sets are called shards", "NAME=PATH"]);
    misused("--data shards --json --csv", &["--json", "--csv"]);
    misused("--data shards --out t.txt", &["t.txt", ".json, .csv or .md"]);
}

/// What is finished is shown, and a table with rows missing is not written to a file.
#[test]
fn ctrl_c_shows_the_rows_that_are_finished() {
    let sandbox = trained();
    let args = "eval run --data shards --sequences 0 --fast-steps 1,1000000 --threads 1 --out t.md";
    let mut command = sandbox.command(args.split(' '));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first row is finished when the meter has come to its end.
    let mut progress = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("1 fast steps") || !whole(&line) {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut progress, &mut line).unwrap() > 0);
    }
    let status = Command::new("sh").arg("-c").arg(format!("kill -INT {}", child.id())).status();
    assert!(status.unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut progress, &mut rest).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stderr = rest.into_bytes();
    let outcome = Outcome::new("interrupted".to_owned(), output);
    assert_eq!(outcome.stdout.lines().filter(|line| line.contains("val shards")).count(), 1);
    outcome.fails(&["interrupted", "no file is written"]);
    assert!(!sandbox.path("t.md").exists());
}

/// Whether a line of the meter says that all is done: `8/8 sequences: ...`.
fn whole(line: &str) -> bool {
    let counts = line.split_whitespace().next().and_then(|word| word.split_once('/'));
    counts.is_some_and(|(done, total)| done == total)
}
