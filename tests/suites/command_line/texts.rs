//! Text that cannot be tokenized.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ltm_tests::program::Sandbox;

/// Tokenizing `input` fails with these words and publishes nothing; with `--skip-bad` it counts
/// `left_out` and keeps `kept` documents.
#[track_caller]
fn spoils(sandbox: &Sandbox, input: &str, words: &[&str], kept: usize, left_out: &str) {
    let args = ["tokenize", input, "--tokenizer", "bytes", "--out", "new"];
    sandbox.refuses(args, &[&[input, "--skip-bad"], words].concat());
    let report = sandbox.run(args.into_iter().chain(["--skip-bad"])).succeeds();
    assert!(report.contains(&format!("left out: {left_out}")), "{report}");
    assert!(report.contains(&format!("{kept} documents")), "{report}");
    fs::remove_dir_all(sandbox.path("new")).unwrap();
}

#[test]
fn text_that_is_no_utf8() {
    let sandbox = Sandbox::with_corpus();
    sandbox.write("bad.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n{\"text\": \"c\"}\n");
    spoils(&sandbox, "bad.jsonl", &["line 2", "UTF-8"], 2, "1 not UTF-8");
    sandbox.write("bad.txt", b"good\n\xff\xfe bad\n");
    let args = ["tokenize", "bad.txt", "--out", "new"];
    sandbox.refuses(args, &["bad.txt line 2", "UTF-8", "--skip-bad"]);
}

#[test]
fn lines_that_are_no_json() {
    let sandbox = Sandbox::with_corpus();
    let lines = "{\"text\": \"a\"}\n\n{\"text\": \"b\"\nhello\n{\"text\": \"c\"}\n";
    sandbox.write("bad.jsonl", lines);
    spoils(&sandbox, "bad.jsonl", &["line 3", "JSON"], 2, "2 broken JSON");
    sandbox.write("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 7}\n");
    spoils(&sandbox, "bad.jsonl", &["line 2", "\"text\"", "expected a string"], 1, "1 ");
    sandbox.write("bad.jsonl", "{\"text\": \"a\"}\n{\"body\": \"b\"}\n");
    spoils(&sandbox, "bad.jsonl", &["line 2", "\"text\"", "\"body\"", "--field"], 1, "1 ");
}

#[test]
fn compressed_text_that_was_cut_short() {
    let sandbox = Sandbox::with_corpus();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&sandbox.read("corpus.jsonl")).unwrap();
    let packed = packed.finish().unwrap();
    sandbox.write("whole.jsonl.gz", &packed);
    let args = "tokenize whole.jsonl.gz --tokenizer bytes --val-docs 4 --out same";
    sandbox.run(args.split(' ')).succeeds();
    assert_eq!(sandbox.read("same/train_000000.bin"), sandbox.read("shards/train_000000.bin"));
    sandbox.write("cut.jsonl.gz", &packed[..packed.len() / 2]);
    let words = ["cut.jsonl.gz line", "cut short or damaged", "--skip-bad"];
    sandbox.refuses(["tokenize", "cut.jsonl.gz", "--out", "new"], &words);
}

#[test]
fn inputs_that_give_no_corpus() {
    let sandbox = Sandbox::with_corpus();
    let refuses = |args: &str, words: &[&str]| sandbox.refuses(args.split(' '), words);
    sandbox.write("empty.txt", "");
    refuses("tokenize empty.txt --out new", &["no document in empty.txt"]);
    sandbox.write("picture.png", "x");
    refuses("tokenize picture.png --out new", &["picture.png", "expected .txt, .jsonl"]);
    refuses("tokenize corpus.jsonl --out new --val-docs 40", &["40 documents", "ask for fewer"]);
    refuses("tokenize corpus.jsonl --out shards", &["shards", "--overwrite"]);
    refuses("tokenize corpus.jsonl --out corpus.jsonl", &["cannot create corpus.jsonl"]);
    refuses("tokenize corpus.jsonl --out corpus.jsonl/x", &["cannot create corpus.jsonl/x"]);
}

/// A replaced corpus is gone only once the new one is there.
#[test]
fn a_failed_replacement_leaves_the_old_shards() {
    let sandbox = Sandbox::with_corpus();
    sandbox.write("bad.jsonl", "{\"text\": \"a\"}\n{");
    let args = ["tokenize", "bad.jsonl", "--out", "shards", "--overwrite"];
    sandbox.refuses(args, &["bad.jsonl line 2"]);
}
