//! `config.toml` and `summary.json`: what a run was, as text and as key/value pairs.

use std::io;
use std::path::Path;

use super::Error;

/// The resolved configuration of a run.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The file as it is; `None` where there is none.
    pub(super) text: Option<String>,
    /// Dotted keys and their values, in the order of the file.
    pub(super) values: Vec<(String, String)>,
}

impl Config {
    /// Reads the file. One that is not TOML is an error, as the trainer wrote it.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let Some(text) = read_text(path)? else {
            return Ok(Self::default());
        };
        let table: toml::Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            Error::Line {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                message: error.message().to_owned(),
            }
        })?;
        let mut values = Vec::new();
        flatten("", &table, &mut values);
        Ok(Self { text: Some(text), values })
    }
}

fn flatten(prefix: &str, table: &toml::Table, out: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, out),
            toml::Value::String(text) => out.push((key, text.clone())),
            other => out.push((key, other.to_string())),
        }
    }
}

/// The pairs of `summary.json`; a missing file has none.
pub(super) fn read_summary(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let Some(text) = read_text(path)? else {
        return Ok(Vec::new());
    };
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).map_err(|error| Error::json(path, 1, &error))?;
    Ok(object
        .into_iter()
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, text),
            other => (key, other.to_string()),
        })
        .collect())
}

/// Pairs of several runs side by side: each key that any of them has, with the value of each run.
pub(super) fn side_by_side<'a>(
    runs: &[&'a [(String, String)]],
) -> Vec<(&'a str, Vec<Option<&'a str>>)> {
    let mut rows: Vec<(&str, Vec<Option<&str>>)> = Vec::new();
    for (column, pairs) in runs.iter().enumerate() {
        for (key, value) in *pairs {
            let row = match rows.iter().position(|(known, _)| known == key) {
                Some(row) => row,
                None => {
                    rows.push((key, vec![None; runs.len()]));
                    rows.len() - 1
                }
            };
            rows[row].1[column] = Some(value);
        }
    }
    rows
}

/// A text file, with bytes that are not UTF-8 replaced: the report shows it, nothing more.
fn read_text(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn configurations_are_flattened_to_dotted_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "seed = 1\n[model]\nname = \"tiny\"\nm = [1, 2]\n").unwrap();
        let config = Config::read(&path).unwrap();
        let pairs: Vec<_> = config.values.iter().map(|(k, v)| (&**k, &**v)).collect();
        for pair in [("seed", "1"), ("model.name", "tiny"), ("model.m", "[1, 2]")] {
            assert!(pairs.contains(&pair), "{pair:?} in {pairs:?}");
        }
    }

    #[test]
    fn broken_files_are_named_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "seed = 1\nname = = 2\n").unwrap();
        let error = Config::read(&path).unwrap_err();
        assert!(matches!(error, Error::Line { line: 2, column: 8, .. }), "{error}");
        let path = dir.path().join("summary.json");
        fs::write(&path, "{\"a\": 1,\n\"b\": }").unwrap();
        let error = read_summary(&path).unwrap_err();
        assert!(matches!(error, Error::Line { line: 2, .. }), "{error}");
    }

    #[test]
    fn runs_are_laid_side_by_side_by_key() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let (a, b) = ([pair("x", "1"), pair("y", "2")], [pair("y", "3"), pair("z", "4")]);
        assert_eq!(
            side_by_side(&[&a, &b]),
            [
                ("x", vec![Some("1"), None]),
                ("y", vec![Some("2"), Some("3")]),
                ("z", vec![None, Some("4")]),
            ]
        );
    }
}
