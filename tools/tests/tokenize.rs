//! The pipeline from files to shards.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{compressed, json_lines, names, tar, write};
use ltm_tools::Error;
use ltm_tools::shard::{ShardSet, Split};
use ltm_tools::text::SkipReason;
use ltm_tools::tokenize::{TokenizeOptions, TokenizeReport, tokenize};
use ltm_tools::tokenizer::{Tokenizer, TokenizerInfo, TokenizerKind};
use tempfile::{TempDir, tempdir};

fn run(inputs: &[PathBuf], out: &Path, options: &TokenizeOptions) -> Result<TokenizeReport, Error> {
    tokenize(inputs, out, options, &mut |_| {})
}

fn tokens(out: &Path, split: Split) -> Vec<u16> {
    match ShardSet::open(out, split) {
        Ok(set) => set.shards().iter().flat_map(|shard| shard.tokens().to_vec()).collect(),
        Err(Error::NoShards { .. }) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// Inputs of three kinds with several hundred batches' worth of documents, and their texts.
fn corpus() -> (TempDir, Vec<String>) {
    let dir = tempdir().unwrap();
    let text = |n: usize| {
        format!("Document {n}, it's {} long.\n{}", n % 97, "some words; ".repeat(n % 97))
    };
    let texts: Vec<String> = (0..6000).map(text).collect();
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    write(dir.path(), "1.jsonl.zst", &compressed(".zst", &json_lines(&borrowed[..3000])));
    let members: Vec<(String, Vec<u8>)> = texts[3000..5999]
        .iter()
        .enumerate()
        .map(|(n, text)| (format!("{n}.txt"), text.clone().into_bytes()))
        .collect();
    let members: Vec<(&str, Vec<u8>)> =
        members.iter().map(|(name, text)| (&**name, text.clone())).collect();
    write(dir.path(), "2.tar.gz", &compressed(".gz", &tar(&members)));
    let mut texts = texts;
    // One large text, in several pieces.
    texts[5999] = texts[..5999].concat();
    write(dir.path(), "3.txt", texts[5999].as_bytes());
    (dir, texts)
}

fn expected(texts: &[String], kind: TokenizerKind) -> Vec<u16> {
    let tokenizer = Tokenizer::new(kind).unwrap();
    let mut encoder = tokenizer.encoder();
    let mut ids = Vec::new();
    for text in texts {
        ids.push(tokenizer.end_of_text() as u16);
        encoder.encode_into(text.as_bytes(), &mut ids);
    }
    ids
}

#[test]
fn shards_hold_the_documents_in_order_whatever_the_threads() {
    let (corpus, texts) = corpus();
    for kind in [TokenizerKind::Gpt2, TokenizerKind::Bytes] {
        let all = expected(&texts, kind);
        let train = expected(&texts[..5900], kind);
        let mut outputs = Vec::new();
        for threads in [1, 2, 5] {
            let out = tempdir().unwrap();
            let options = TokenizeOptions {
                tokenizer: kind,
                val_docs: 100,
                tokens_per_shard: 100_000,
                threads,
                ..TokenizeOptions::default()
            };
            let report = run(&[corpus.path().to_path_buf()], out.path(), &options).unwrap();
            assert!(tokens(out.path(), Split::Train) == train);
            assert!(tokens(out.path(), Split::Val) == all[train.len()..]);
            assert_eq!((report.documents, report.val_documents), (6000, 100));
            assert_eq!(report.text_bytes, texts.iter().map(|text| text.len() as u64).sum::<u64>());
            assert_eq!(report.tokens(), all.len() as u64);
            assert_eq!(report.train_tokens, train.len() as u64);
            assert_eq!(report.shards.len() + 1, names(out.path()).len());
            assert_eq!(TokenizerInfo::read(out.path()).unwrap().tokenizer, kind);
            let files: Vec<Vec<u8>> = names(out.path())
                .iter()
                .map(|name| fs::read(out.path().join(name)).unwrap())
                .collect();
            outputs.push(files);
        }
        assert!(outputs.iter().all(|files| *files == outputs[0]));
    }
}

#[test]
fn progress_ends_at_the_totals() {
    let (corpus, _) = corpus();
    let out = tempdir().unwrap();
    let mut last = None;
    let inputs = [corpus.path().to_path_buf()];
    let report = tokenize(&inputs, out.path(), &TokenizeOptions::default(), &mut |progress| {
        last = Some(progress);
    })
    .unwrap();
    let last = last.unwrap();
    assert_eq!((last.documents, last.tokens), (report.documents, report.tokens()));
    assert_eq!(last.input_bytes, last.input_bytes_total);
}

#[test]
fn used_directories_are_refused_or_overwritten() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("deep/out");
    let input = [write(dir.path(), "a.txt", b"a b c d e f")];
    let small = TokenizeOptions { tokens_per_shard: 2, ..TokenizeOptions::default() };
    assert_eq!(run(&input, &out, &small).unwrap().shards.len(), 4);
    let error = run(&input, &out, &small).unwrap_err();
    assert!(matches!(error, Error::DirectoryInUse { .. }));
    assert!(error.to_string().contains("--overwrite"), "{error}");
    let again = TokenizeOptions { overwrite: true, ..TokenizeOptions::default() };
    // A run that fails leaves the shards there were.
    let missing = [dir.path().join("missing.txt")];
    run(&missing, &out, &again).unwrap_err();
    assert_eq!(names(&out).len(), 5);
    run(&input, &out, &again).unwrap();
    assert_eq!(names(&out), ["tokenizer.json", "train_000000.bin"]);
}

#[test]
fn bad_documents_stop_the_run_or_are_counted() {
    let dir = tempdir().unwrap();
    let lines = b"{\"text\":\"a\"}\n{\"text\":\"\"}\n{\"text\":3}\n{\"other\":1}\n{\"te\n\xFF\n{\"text\":\"b\"}\n";
    let mut cut = compressed(".gz", &json_lines(&["x"; 5000]));
    cut.truncate(cut.len() - 20);
    let inputs = [
        write(dir.path(), "1.jsonl", lines),
        write(dir.path(), "2.txt", b"\xFF"),
        write(dir.path(), "3.txt.gz", &cut),
        write(dir.path(), "4.tar", &tar(&[("a.jpg", vec![1]), ("b.txt", b"c".to_vec())])),
    ];
    let out = dir.path().join("out");
    for threads in [1, 3] {
        let options = TokenizeOptions { threads, ..TokenizeOptions::default() };
        // The first in input order, although the reader meets the damage elsewhere sooner.
        let message = run(&inputs, &out, &options).unwrap_err().to_string();
        assert!(message.contains("1.jsonl line 3"), "{message}");
        assert!(names(&out).is_empty());
    }
    let options = TokenizeOptions { skip_bad: true, ..TokenizeOptions::default() };
    let report = run(&inputs, &out, &options).unwrap();
    assert_eq!((report.documents, report.empty_documents), (3, 1));
    for (reason, count) in [
        (SkipReason::NotText, 1),
        (SkipReason::MissingField, 1),
        (SkipReason::BrokenJson, 1),
        (SkipReason::InvalidUtf8, 2),
        (SkipReason::Unreadable, 1),
    ] {
        assert_eq!(report.skipped.count(reason), count, "{reason}: {}", report.skipped);
    }
    assert_eq!(report.skipped.total(), 6);
    assert_eq!(report.ignored_count, 1);
    assert!(report.ignored[0].ends_with("4.tar > a.jpg"));
    let texts = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(tokens(&out, Split::Train), expected(&texts, TokenizerKind::Gpt2));
}

#[test]
fn too_few_documents() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("out");
    let input = [write(dir.path(), "a.jsonl", &json_lines(&["a", "b"]))];
    for val_docs in [2, 3, u64::MAX] {
        let options = TokenizeOptions { val_docs, ..TokenizeOptions::default() };
        let error = run(&input, &out, &options).unwrap_err();
        assert!(matches!(error, Error::NothingToTrainOn { documents: 2, .. }));
    }
    let empty = [write(dir.path(), "empty.txt", b"")];
    let error = run(&empty, &out, &TokenizeOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NoDocuments { .. }), "{error}");
    let error = run(&[], &out, &TokenizeOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NoDocuments { .. }), "{error}");
    assert!(names(&out).is_empty());
}

#[test]
fn cancelling_leaves_nothing() {
    let (corpus, _) = corpus();
    let out = tempdir().unwrap();
    let cancel = Arc::new(AtomicBool::new(false));
    let options = TokenizeOptions { cancel: Arc::clone(&cancel), ..TokenizeOptions::default() };
    let inputs = [corpus.path().to_path_buf()];
    let result = tokenize(&inputs, out.path(), &options, &mut |_| {
        cancel.store(true, Ordering::Relaxed);
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(names(out.path()).is_empty());
}

const KILLED_IN: &str = "LTM_TOOLS_TEST_KILLED_IN";

/// Not a test of its own: the process that the next one kills.
#[test]
fn process_to_be_killed() {
    let Some(dir) = std::env::var_os(KILLED_IN) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let options = TokenizeOptions { tokens_per_shard: 1000, ..TokenizeOptions::default() };
    let _ = tokenize(&[dir.join("in")], &dir.join("out"), &options, &mut |progress| {
        if progress.tokens > 5000 {
            println!("\nwriting");
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
    });
}

#[test]
fn a_killed_run_leaves_no_shard_and_the_next_one_completes() {
    let dir = tempdir().unwrap();
    let texts = vec!["some words and more of them"; 20_000];
    write(dir.path(), "in/a.jsonl", &json_lines(&texts));
    let out = dir.path().join("out");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_to_be_killed", "--nocapture"])
        .env(KILLED_IN, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap() == "writing"));
    let options = TokenizeOptions::default();
    let inputs = [dir.path().join("in")];
    assert!(matches!(run(&inputs, &out, &options), Err(Error::DirectoryLocked { .. })));
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(names(&out).len() > 5);
    assert!(names(&out).iter().all(|name| name.ends_with(".tmp")));
    assert!(matches!(TokenizerInfo::read(&out), Err(Error::IncompleteDirectory { .. })));
    run(&inputs, &out, &options).unwrap();
    assert_eq!(names(&out), ["tokenizer.json", "train_000000.bin"]);
}
