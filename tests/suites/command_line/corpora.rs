//! Shards that cannot be trained on or evaluated.

use std::fs;

use ltm_tests::program::{Sandbox, Shard, tokens_of};

const TRAIN: &str = "bad/train_000000.bin";
const VAL: &str = "bad/val_000000.bin";

/// The shards of the corpus as `bad`, the file `name` of them replaced.
fn with(sandbox: &Sandbox, name: &str, content: &[u8]) {
    sandbox.copy("shards", "bad");
    sandbox.write(name, content);
}

/// Neither training, inspecting nor evaluating takes this training shard.
#[track_caller]
fn unusable(sandbox: &Sandbox, content: &[u8], words: &[&str]) {
    let words = [&[TRAIN], words].concat();
    with(sandbox, TRAIN, content);
    sandbox.refuses(sandbox.training("new", "--data bad"), &words);
    sandbox.refuses(["inspect", TRAIN], &words);
    sandbox.refuses(["inspect", "bad"], &words);
    sandbox.refuses("eval run --data bad --split train".split(' '), &words);
    assert!(!sandbox.path("new/config.toml").exists());
}

#[test]
fn damaged_shards() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let whole = sandbox.read("shards/train_000000.bin");
    unusable(&sandbox, b"", &["empty", "tokenize again"]);
    unusable(&sandbox, &whole[..600], &["1024 bytes", "600", "cut short"]);
    unusable(&sandbox, &whole[..whole.len() - 2], &["cut short or damaged", "tokenize again"]);
    let tokens = tokens_of(&whole);
    let header = |magic: i32, count: i32| Shard { magic, count, tokens: tokens.clone() }.bytes();
    let count = tokens.len() as i32;
    unusable(&sandbox, &header(7, count), &["magic 20240520", "found 7"]);
    unusable(&sandbox, &header(20240801, count), &["32-bit tokens"]);
    unusable(&sandbox, &header(20240520, -1), &["token count is -1"]);
    unusable(&sandbox, &header(20240520, count + 1), &["cut short or damaged"]);
    unusable(&sandbox, &Shard::of(Vec::new()).bytes(), &["empty"]);
}

#[test]
fn missing_shards() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox.copy("shards", "bad");
    fs::remove_file(sandbox.path("bad/tokenizer.json")).unwrap();
    let training = || sandbox.training("new", "--data bad");
    sandbox.refuses(training(), &["bad: no tokenizer.json", "ltm tokenize"]);
    sandbox.write("bad/tokenizer.json", "{\"tokenizer\":\"by");
    sandbox.refuses(training(), &["bad/tokenizer.json", "line 1 column"]);
    sandbox.write("bad/tokenizer.json", sandbox.read("shards/tokenizer.json"));
    fs::remove_file(sandbox.path(TRAIN)).unwrap();
    sandbox.refuses(training(), &["bad: no train shard", "ltm tokenize"]);
    fs::remove_file(sandbox.path(VAL)).unwrap();
    sandbox.refuses("eval run --data bad".split(' '), &["bad: no val shard"]);
}

#[test]
fn a_corpus_shorter_than_a_sequence() {
    let sandbox = Sandbox::with_corpus();
    with(&sandbox, TRAIN, &Shard::of(vec![5; 32]).bytes());
    let words = ["bad", "32 tokens", "one window needs 33", "add text", "train.seq_len"];
    sandbox.refuses(sandbox.training("new", "--data bad"), &words);
    with(&sandbox, TRAIN, &Shard::of(vec![5; 33]).bytes());
    sandbox.train("new", "--data bad").succeeds();
}

/// A validation shard that is damaged is an error; one that is too short is merely not used.
#[test]
fn validation_shards() {
    let sandbox = Sandbox::with_corpus();
    with(&sandbox, VAL, &sandbox.read("shards/val_000000.bin")[..1100]);
    sandbox.refuses(sandbox.training("new", "--data bad"), &[VAL, "cut short"]);
    with(&sandbox, VAL, &Shard::of(vec![5; 9]).bytes());
    let said = sandbox.train("new", "--data bad").succeeds();
    assert!(said.contains("no validation") && said.contains("longest val shard"), "{said}");
}

#[test]
fn tokens_beyond_the_vocabulary() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    let mut tokens = tokens_of(&sandbox.read("shards/train_000000.bin"));
    let at = tokens.len() - 40;
    tokens[at] = 300;
    with(&sandbox, TRAIN, &Shard::of(tokens).bytes());
    let position = format!("token 300 at position {at}");
    let words = [TRAIN, &position, "vocabulary of 256", "another tokenizer"];
    let args = "eval run --data bad --split train --sequences 0";
    sandbox.refuses(args.split(' '), &words);
    // Training meets it when its window comes up, and keeps what it has learned until then.
    let bookkeeping = "--set train.iterations=1000 --set train.checkpoint_every=0";
    let quiet = "--set train.validate_every=0 --set train.sample_every=0";
    sandbox.train("new", &format!("--data bad {bookkeeping} {quiet}")).fails(&words);
    let lines = sandbox.read("new/metrics.jsonl").iter().filter(|&&b| b == b'\n').count();
    assert!(lines > 0);
    let saved = format!("new/checkpoints/iter_{lines:08}");
    sandbox.run(["inspect", &saved]).succeeds();
}

#[test]
fn another_tokenizer_than_the_runs() {
    let sandbox = Sandbox::with_corpus();
    sandbox.train("run", "").succeeds();
    sandbox.run(["tokenize", "corpus.jsonl", "--out", "gpt2", "--val-docs", "4"]).succeeds();
    let words = ["gpt2", "50257 ids", "model.vocab_size = 256", "another tokenizer"];
    sandbox.refuses("eval run --data gpt2".split(' '), &words);
    sandbox.refuses(sandbox.training("run", "--data gpt2 --resume"), &words);
    sandbox.refuses(sandbox.training("new", "--data gpt2"), &words);
    // A model that has room for both is not fooled either.
    let room = "--set model.vocab_size=50257 --set train.sample_every=0";
    sandbox.train("wide", &format!("--data gpt2 {room}")).succeeds();
    let words = ["shards: tokenized with bytes", "trained on gpt2", "--tokenizer gpt2"];
    sandbox.refuses("eval wide --data shards".split(' '), &words);
    sandbox.refuses(sandbox.training("wide", &format!("--resume {room}")), &words);
}
