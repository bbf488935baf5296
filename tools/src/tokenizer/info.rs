//! `tokenizer.json`, the file that says a shard directory is complete and how to read it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TokenizerKind;
use crate::Error;

/// Name of the file in a shard directory.
pub(crate) const FILE_NAME: &str = "tokenizer.json";

/// What `tokenizer.json` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerInfo {
    /// The tokenizer that made the shards.
    pub tokenizer: TokenizerKind,
    /// Every token in the shards is below this.
    pub vocab_size: u32,
    /// The token that precedes each document.
    pub end_of_text: u32,
}

impl From<TokenizerKind> for TokenizerInfo {
    fn from(tokenizer: TokenizerKind) -> Self {
        Self { tokenizer, vocab_size: tokenizer.vocab_size(), end_of_text: tokenizer.end_of_text() }
    }
}

impl TokenizerInfo {
    /// Reads `dir/tokenizer.json`. Without it the directory is incomplete
    /// ([`Error::IncompleteDirectory`]); its numbers must fit the tokenizer it names.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::IncompleteDirectory { dir: dir.to_path_buf() });
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let wrong = |reason: String| Error::TokenizerFile { path: path.clone(), reason };
        let info: TokenizerInfo =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let expected = TokenizerInfo::from(info.tokenizer);
        if info != expected {
            return Err(wrong(format!(
                "{} has vocab_size {} and end_of_text {}, the file says {} and {}",
                info.tokenizer,
                expected.vocab_size,
                expected.end_of_text,
                info.vocab_size,
                info.end_of_text
            )));
        }
        Ok(info)
    }

    /// Writes `dir/tokenizer.json` under a temporary name, syncs and renames it.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE_NAME);
        let temporary = dir.join(format!("{FILE_NAME}.tmp"));
        let write = || -> io::Result<()> {
            let mut file = fs::File::create(&temporary)?;
            let mut text = serde_json::to_string(self)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            fs::File::open(dir)?.sync_all()
        };
        write().map_err(Error::io("write", &path))
    }
}
