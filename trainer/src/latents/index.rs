//! What a file of latents says of each text.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LatentsError;

/// One line of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Number of the text, from 0: its row in `mu` and `logvar`.
    pub text: u64,
    /// Where it comes from: a file and a line, or shards and the number of a window.
    pub source: String,
    /// Which part of its document it is, from 0.
    pub piece: u64,
    /// Tokens that z was inferred from; `nll` is theirs.
    pub tokens: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
    /// Nats of the tokens in all, at one z drawn from the posterior.
    pub nll: f64,
    /// Nats of KL from the prior in all; -log p(z) where z is a point, as of Langevin dynamics.
    pub kl: f64,
}

/// Reads the index of a file of `texts` texts.
pub(super) fn parse(path: &Path, lines: &[u8], texts: u64) -> Result<Vec<Entry>, LatentsError> {
    let broken = |line, message| LatentsError::BrokenIndex { path: path.to_owned(), line, message };
    let mut entries = Vec::new();
    for (place, line) in lines.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let entry: Entry =
            serde_json::from_slice(line).map_err(|error| broken(place + 1, error.to_string()))?;
        if entry.text != place as u64 {
            let message = format!("is about text {}, expected {place}", entry.text);
            return Err(broken(place + 1, message));
        }
        entries.push(entry);
    }
    if entries.len() as u64 != texts {
        let message = format!("is the last, expected {texts} lines, one for each text");
        return Err(broken(entries.len(), message));
    }
    Ok(entries)
}
