//! `ltm tokenize`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use ltm_tools::tokenize::{TokenizeOptions, tokenize};
use ltm_tools::tokenizer::TokenizerKind;

use super::interrupt;
use super::output::say;
use super::progress::Meter;

/// Arguments of `ltm tokenize`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files or directories: txt, jsonl, either in gz, zst or xz, tar of these, parquet
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Directory for the shards
    #[arg(long)]
    out: PathBuf,
    /// gpt2 or bytes
    #[arg(long, default_value = "gpt2")]
    tokenizer: TokenizerKind,
    /// Field of a JSON line, or column of a parquet file, that holds the text
    #[arg(long, default_value = "text")]
    field: String,
    /// Documents at the end of the input that become validation shards
    #[arg(long, default_value_t = 0)]
    val_docs: u64,
    /// Tokens per shard
    #[arg(long, default_value_t = 100_000_000)]
    tokens_per_shard: u64,
    /// Count documents that cannot be read instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Replace the shards of a directory that has some
    #[arg(long)]
    overwrite: bool,
    /// Encoding threads; 0 takes one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// Tokenizes.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = TokenizeOptions {
        tokenizer: args.tokenizer,
        field: args.field,
        val_docs: args.val_docs,
        tokens_per_shard: args.tokens_per_shard,
        skip_bad: args.skip_bad,
        threads: args.threads,
        overwrite: args.overwrite,
        cancel: interrupt::flag()?,
    };
    let meter = Meter::bytes();
    let start = Instant::now();
    let result = tokenize(&args.inputs, &args.out, &options, &mut |progress| {
        let rate = progress.text_bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
        meter.set(
            progress.input_bytes,
            progress.input_bytes_total,
            &format!(
                "{} documents, {} tokens, {rate:.1} MB/s of text",
                progress.documents, progress.tokens
            ),
        );
    });
    meter.finish();
    let report = result?;
    say!("{report}")?;
    say!("shards are in {}", args.out.display())?;
    Ok(ExitCode::SUCCESS)
}
