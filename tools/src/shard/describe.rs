//! A shard or a shard directory in words.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::header::ShardFormat;
use super::map::Shard;
use super::set::{ShardSet, Split};
use crate::Error;
use crate::tokenizer::{Tokenizer, TokenizerInfo};

/// Tokens shown from the beginning of a shard.
const SHOWN: usize = 40;

/// What a shard, or a directory of them, holds: layout, counts, range of ids,
/// the first tokens as text. Several lines, for people.
pub fn describe(path: &Path) -> Result<String, Error> {
    let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
    if metadata.is_dir() {
        describe_directory(path)
    } else {
        let beside = path.parent().and_then(|dir| TokenizerInfo::read(dir).ok());
        describe_shard(&Shard::open(path)?, beside)
    }
}

fn describe_directory(path: &Path) -> Result<String, Error> {
    let info = match TokenizerInfo::read(path) {
        Err(Error::IncompleteDirectory { .. }) => None,
        other => Some(other?),
    };
    let mut text = format!("{}: shard directory\n", path.display());
    match info {
        Some(info) => {
            let TokenizerInfo { tokenizer, vocab_size, end_of_text } = info;
            append(
                &mut text,
                format_args!(
                    "  tokenizer  {tokenizer}, {vocab_size} ids, end of text {end_of_text}"
                ),
            );
        }
        None => append(
            &mut text,
            format_args!("  tokenizer  unknown: no tokenizer.json, so the directory is incomplete"),
        ),
    }
    let mut found = false;
    for split in [Split::Train, Split::Val] {
        match ShardSet::open(path, split) {
            Ok(set) => {
                found = true;
                let (shards, tokens) = (set.shards().len(), set.tokens());
                append(&mut text, format_args!("  {split:<9}  {shards} shards, {tokens} tokens"));
                for shard in set.shards() {
                    text.push('\n');
                    text.push_str(&describe_shard(shard, info)?);
                }
            }
            Err(Error::NoShards { .. }) => {
                append(&mut text, format_args!("  {split:<9}  no shards"));
            }
            Err(error) => return Err(error),
        }
    }
    if !found {
        return Err(Error::NoShards { path: path.to_path_buf(), split: Split::Train.name() });
    }
    Ok(text)
}

fn describe_shard(shard: &Shard, info: Option<TokenizerInfo>) -> Result<String, Error> {
    let mut text = format!("{}\n", shard.path().display());
    let layout = match shard.format() {
        ShardFormat::LlmC => {
            "llm.c shard: 1024-byte header (magic 20240520, version 1), u16 tokens"
        }
        ShardFormat::Raw => "raw u16 tokens, no header",
    };
    append(&mut text, format_args!("  format     {layout}"));
    append(&mut text, format_args!("  size       {} bytes", shard.file_bytes()));
    append(&mut text, format_args!("  tokens     {}", shard.len()));
    let (least, most) = shard.scan(|tokens| {
        tokens
            .iter()
            .fold((u16::MAX, 0), |(least, most), &token| (token.min(least), token.max(most)))
    });
    append(&mut text, format_args!("  ids        {least} to {most}"));
    let first = &shard.tokens()[..shard.len().min(SHOWN)];
    let Some(info) = info else {
        append(&mut text, format_args!("  tokenizer  unknown (no tokenizer.json beside it)"));
        append(&mut text, format_args!("  begins     {first:?}"));
        return Ok(text);
    };
    let documents = shard.scan(|tokens| {
        let separator = info.end_of_text;
        tokens.iter().filter(|&&token| u32::from(token) == separator).count()
    });
    append(&mut text, format_args!("  tokenizer  {}", info.tokenizer));
    append(&mut text, format_args!("  documents  {documents} begin in it"));
    if u32::from(most) >= info.vocab_size {
        append(
            &mut text,
            format_args!("  WRONG      ids reach {most}, the tokenizer has {}", info.vocab_size),
        );
    }
    let tokenizer = Tokenizer::new(info.tokenizer)?;
    let known: Vec<u32> = first
        .iter()
        .map(|&token| u32::from(token))
        .filter(|&token| token < info.vocab_size)
        .collect();
    append(&mut text, format_args!("  begins     {:?}", tokenizer.decode(&known)?));
    Ok(text)
}

fn append(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
