//! A run from inputs to published shards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::options::TokenizeOptions;
use super::pipeline::Pipeline;
use super::report::{Progress, TokenizeReport};
use super::tail::LastDocuments;
use crate::Error;
use crate::shard::{OutputDirectory, Split};
use crate::text::expand_inputs;
use crate::tokenizer::{Tokenizer, TokenizerInfo};

/// Tokenizes files and directories (see [`crate::text`]) into shards in `out`.
///
/// `progress` is called from this thread about every quarter of a megabyte of
/// text. The shards appear in `out` all together at the end; on an error, or
/// when cancelled, it is left as it was.
pub fn tokenize(
    inputs: &[PathBuf],
    out: &Path,
    options: &TokenizeOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<TokenizeReport, Error> {
    let started = Instant::now();
    let threads = options.encoding_threads()?;
    let expanded = expand_inputs(inputs)?;
    let tokenizer = Tokenizer::new(options.tokenizer)?;
    let directory = OutputDirectory::create(out, options.overwrite)?;
    let mut train = directory.writer(Split::Train, options.tokens_per_shard)?;
    let mut val = directory.writer(Split::Val, options.tokens_per_shard)?;

    let bytes_read = AtomicU64::new(0);
    let mut report = TokenizeReport::default();
    let mut last = LastDocuments::new(options.val_docs);
    let input_bytes_total = expanded.files.iter().map(|file| file_size(file)).sum();
    let mut train_tokens = 0;
    let pipeline = Pipeline {
        files: &expanded.files,
        tokenizer,
        field: &options.field,
        skip_bad: options.skip_bad,
        threads,
        cancel: &options.cancel,
        bytes_read: &bytes_read,
    };
    let mut tally = pipeline.run(&mut |encoded| {
        for &start in &encoded.starts {
            last.push(train_tokens + start as u64);
        }
        train.write(&encoded.tokens)?;
        train_tokens += encoded.tokens.len() as u64;
        report.text_bytes += encoded.text_bytes;
        report.empty_documents += encoded.empty_documents;
        report.skipped.merge(&encoded.skipped);
        progress(Progress {
            documents: last.documents(),
            text_bytes: report.text_bytes,
            tokens: train_tokens,
            input_bytes: bytes_read.load(Ordering::Relaxed),
            input_bytes_total,
        });
        Ok(())
    })?;

    if last.documents() == 0 {
        let names: Vec<_> = inputs.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::NoDocuments { inputs: names.join(", ") });
    }
    if let Some(start) = last.first()? {
        train.move_tail(start, &mut val)?;
        report.val_documents = options.val_docs;
    }
    for path in &expanded.ignored {
        tally.ignore(path.display().to_string());
    }
    report.documents = last.documents();
    report.skipped.merge(&tally.skipped);
    report.ignored = tally.ignored;
    report.ignored_count = tally.ignored_count;
    report.train_tokens = train.tokens();
    report.val_tokens = val.tokens();
    report.shards = directory.publish(vec![train, val], TokenizerInfo::from(options.tokenizer))?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Size for the progress display; a file that cannot be looked at fails when it is read.
fn file_size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
