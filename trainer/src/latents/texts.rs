//! Texts to infer latents of: documents of files, or windows of shards.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use ltm_tools::text::{Documents, ReadOptions, expand_inputs};
use ltm_tools::tokenizer::{Encoder, Tokenizer};

use super::LatentsError;
use crate::Result;
use crate::config::Config;
use crate::data::{Loader, Split};

/// Tokens that one z stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its place among the texts it was read with, from 0.
    pub number: u64,
    /// Where it comes from: a file and a line, or shards and the number of a window.
    pub source: String,
    /// Which part of its document it is, from 0; a document longer than a sequence has several.
    pub piece: u64,
    /// `[n + 1]` tokens, of which the last n are predicted; n is at least 1.
    pub ids: Vec<i32>,
    /// Bytes that the predicted tokens stand for, without end-of-text tokens.
    pub bytes: u64,
}

impl Text {
    /// Tokens predicted.
    pub fn tokens(&self) -> usize {
        self.ids.len() - 1
    }

    /// A whole text as a document of its own: the end-of-text token before it, as in training.
    ///
    /// # Errors
    /// [`LatentsError::EmptyText`], [`LatentsError::TooLong`] beyond `most` tokens.
    pub fn whole(tokenizer: &Tokenizer, name: &str, text: &str, most: usize) -> Result<Self> {
        let mut ids = vec![tokenizer.end_of_text() as i32];
        ids.extend(tokenizer.encode(text).into_iter().map(|id| id as i32));
        let (tokens, source_name) = (ids.len() - 1, name.to_owned());
        match tokens {
            0 => Err(LatentsError::EmptyText { source_name }.into()),
            _ if tokens > most => Err(LatentsError::TooLong { source_name, tokens, most }.into()),
            _ => {
                let bytes = text.len() as u64;
                Ok(Self { number: 0, source: source_name, piece: 0, ids, bytes })
            }
        }
    }
}

/// Texts one after another. After an error there are no more.
pub struct Texts {
    inner: Box<dyn Iterator<Item = Result<Text>>>,
    taken: u64,
    path: PathBuf,
    /// How many there are, where that is known without reading them.
    pub count: Option<u64>,
}

/// Which texts to take.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Which shards of a directory of shards.
    pub split: Split,
    /// Field of JSON lines, or column of parquet files, that holds the text.
    pub field: &'a str,
    /// Texts at most: the first ones of files, of shards windows spread evenly; `None` takes all.
    pub limit: Option<usize>,
}

impl Texts {
    /// Opens a directory of shards, or a file or directory of text as `ltm tokenize` reads it.
    ///
    /// A window of shards is a text. So is a document, behind an end-of-text token as in training;
    /// one that is longer than `train.seq_len` is cut into pieces that overlap by a token, so that
    /// every token of it is predicted once, by the tokens before it in its piece.
    ///
    /// # Errors
    /// Missing or damaged shards, shards of another tokenizer, missing or unreadable files; the
    /// texts of files bring later errors themselves.
    pub fn open(
        path: &Path,
        tokenizer: Tokenizer,
        config: &Config,
        selection: Selection<'_>,
    ) -> Result<Self> {
        let Selection { split, field, limit } = selection;
        if limit == Some(0) {
            return Err(LatentsError::TooFew { name: "--limit", found: 0, least: 1 }.into());
        }
        let seq = config.seq_len();
        let limit = limit.unwrap_or(usize::MAX);
        if holds_shards(path) {
            let loader =
                Loader::open(path, split, seq, config.train.seed, config.model.vocab_size)?;
            loader.expect_tokenizer(tokenizer.kind().name())?;
            let windows = loader.fixed_windows(limit);
            let count = windows.len() as u64;
            let name = format!("{} {split} window", path.display());
            let read = move |window| read_window(&loader, &tokenizer, &name, window);
            return Ok(Self::new(path, windows.into_iter().map(read), Some(count)));
        }
        let files = expand_inputs(&[path.to_owned()])?.files;
        let options = ReadOptions { field: field.to_owned(), skip_bad: false };
        let pieces = Pieces {
            documents: Documents::open(files, options),
            tokenizer,
            encoder: tokenizer.encoder(),
            seq,
            source: String::new(),
            piece: 0,
            pending: Vec::new(),
            ready: VecDeque::new(),
            ended: false,
        };
        Ok(Self::new(path, pieces.take(limit), None))
    }

    /// Texts that are at hand.
    pub fn given(texts: Vec<Text>) -> Self {
        let count = Some(texts.len() as u64);
        Self::new(Path::new("the texts given"), texts.into_iter().map(Ok), count)
    }

    /// The error of there being none.
    pub fn none(&self) -> LatentsError {
        LatentsError::NoText { path: self.path.clone() }
    }

    fn new(
        path: &Path,
        texts: impl Iterator<Item = Result<Text>> + 'static,
        count: Option<u64>,
    ) -> Self {
        Self { inner: Box::new(texts), taken: 0, path: path.to_owned(), count }
    }
}

impl Iterator for Texts {
    type Item = Result<Text>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.taken;
        self.taken += 1;
        Some(self.inner.next()?.map(|text| Text { number, ..text }))
    }
}

/// A directory with a `tokenizer.json` or a `.bin` file is one of shards, whole or not.
fn holds_shards(path: &Path) -> bool {
    let shard = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "bin"))
    };
    path.join("tokenizer.json").is_file()
        || path.read_dir().is_ok_and(|mut entries| entries.any(shard))
}

fn read_window(loader: &Loader, tokenizer: &Tokenizer, name: &str, window: u64) -> Result<Text> {
    let (mut ids, mut targets) = (Vec::new(), Vec::new());
    loader.read_windows(&[window], &mut ids, &mut targets)?;
    ids.extend(targets.last());
    let bytes = bytes_of(tokenizer, &ids[1..])?;
    Ok(Text { number: window, source: format!("{name} {window}"), piece: 0, ids, bytes })
}

fn bytes_of(tokenizer: &Tokenizer, ids: &[i32]) -> Result<u64> {
    let end = tokenizer.end_of_text();
    let ids: Vec<u32> = ids.iter().map(|&id| id as u32).filter(|&id| id != end).collect();
    Ok(tokenizer.decode_bytes(&ids)?.len() as u64)
}

/// Documents, cut to the length of a sequence.
struct Pieces {
    documents: Documents,
    tokenizer: Tokenizer,
    encoder: Encoder,
    seq: usize,
    /// Of the present document.
    source: String,
    piece: u64,
    /// Tokens of the present document that are in no text yet, and the one before them.
    pending: Vec<i32>,
    ready: VecDeque<Text>,
    ended: bool,
}

impl Pieces {
    /// Makes a text of the first `count` pending tokens; the last of them begins the next one.
    fn cut(&mut self, count: usize) -> Result<()> {
        let ids = self.pending[..count].to_vec();
        self.pending.drain(..count - 1);
        let bytes = bytes_of(&self.tokenizer, &ids[1..])?;
        let source = self.source.clone();
        self.ready.push_back(Text { number: 0, source, piece: self.piece, ids, bytes });
        self.piece += 1;
        Ok(())
    }

    /// Makes a text of what is left of the present document.
    fn finish(&mut self) -> Result<()> {
        match self.pending.len() {
            0 | 1 => Ok(()),
            count => self.cut(count),
        }
    }

    fn read(&mut self) -> Result<()> {
        let Some(document) = self.documents.next() else {
            self.ended = true;
            return self.finish();
        };
        let document = document?;
        if document.starts_document {
            self.finish()?;
            self.source = document.place.to_string();
            self.piece = 0;
            self.pending = vec![self.tokenizer.end_of_text() as i32];
        }
        let mut ids = Vec::new();
        self.encoder.encode_into(document.text.as_bytes(), &mut ids);
        self.pending.extend(ids.into_iter().map(i32::from));
        while self.pending.len() > self.seq {
            self.cut(self.seq + 1)?;
        }
        Ok(())
    }
}

impl Iterator for Pieces {
    type Item = Result<Text>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            if let Err(error) = self.read() {
                self.ended = true;
                self.ready.clear();
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
