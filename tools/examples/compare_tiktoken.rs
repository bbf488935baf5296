//! Checks our GPT-2 tokens against tiktoken's, document by document.
//!
//!     cargo run -p ltm-tools --release --example compare_tiktoken -- FILE...
//!
//! JSON files are read by the field "text", or "question" and "answer" where
//! the lines have these instead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ltm_tools::Error;
use ltm_tools::text::{Documents, ReadOptions, expand_inputs};
use ltm_tools::tokenizer::{Tokenizer, TokenizerKind};

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match compare(&paths) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(differences) => {
            eprintln!("{differences} documents differ");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(paths: &[PathBuf]) -> Result<u64, Error> {
    let mut differences = 0;
    for file in expand_inputs(paths)?.files {
        match compare_field(&file, "text") {
            Err(Error::MissingField { .. }) => {
                differences += compare_field(&file, "question")? + compare_field(&file, "answer")?;
            }
            result => differences += result?,
        }
    }
    Ok(differences)
}

fn compare_field(file: &Path, field: &str) -> Result<u64, Error> {
    let tokenizer = Tokenizer::new(TokenizerKind::Gpt2)?;
    let mut encoder = tokenizer.encoder();
    let reference = tiktoken_rs::r50k_base_singleton();
    let (mut documents, mut bytes, mut tokens, mut differences) = (0, 0, 0, 0);
    let (mut our_time, mut their_time) = (Duration::ZERO, Duration::ZERO);
    let options = ReadOptions { field: field.to_owned(), skip_bad: false };
    let mut ids = Vec::new();
    for document in Documents::open(vec![file.to_path_buf()], options) {
        let document = document?;
        ids.clear();
        let start = Instant::now();
        encoder.encode_into(document.text.as_bytes(), &mut ids);
        our_time += start.elapsed();
        let start = Instant::now();
        let expected = reference.encode_ordinary(&document.text);
        their_time += start.elapsed();
        if !ids.iter().map(|&id| u32::from(id)).eq(expected) {
            differences += 1;
            eprintln!("{}: differs", document.place);
        }
        documents += 1;
        bytes += document.text.len();
        tokens += ids.len();
    }
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!(
        "{} {field}: {documents} documents, {bytes} bytes, {tokens} tokens, {differences} differ; \
         {:.1} MB/s, tiktoken {:.1} MB/s",
        file.display(),
        rate(our_time),
        rate(their_time),
    );
    Ok(differences)
}
