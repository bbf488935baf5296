//! Prompts from a file.

use std::path::{Path, PathBuf};

use ltm_tools::text::read_lines;
use serde_json::Value;

/// Why prompts cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ltm_tools::Error),
    /// A line is not what it should be.
    #[error("{} line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected, and what to do.
        reason: String,
    },
    /// There is nothing in the file.
    #[error("{}: no prompt; expected one a line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A text and the line that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// From 1.
    pub line: usize,
    /// The text.
    pub text: String,
}

/// Reads prompts, at most `limit`: the string in `field` of the object on each line of a file
/// whose name says `.jsonl` or `.json`, and the lines themselves of any other one. The name may
/// end in `.gz`, `.zst` or `.xz` on top. Blank lines between objects are passed over.
///
/// # Errors
/// A file or line that cannot be read, an empty prompt, or no prompt at all.
pub fn read_prompts(path: &Path, field: &str, limit: usize) -> Result<Vec<Prompt>, PromptError> {
    let lines = read_lines(path)?;
    let json = is_json(path);
    let mut prompts = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        if prompts.len() == limit {
            break;
        }
        let number = index + 1;
        let bad =
            |reason: String| PromptError::Line { path: path.to_owned(), line: number, reason };
        let text = match json {
            true if line.trim().is_empty() => continue,
            true => string_of(&line, field).map_err(bad)?,
            false => line,
        };
        if text.is_empty() {
            let reason = "an empty prompt; expected text to continue, or leave the line out";
            return Err(bad(reason.to_owned()));
        }
        prompts.push(Prompt { line: number, text });
    }
    match prompts.is_empty() {
        true => Err(PromptError::Empty { path: path.to_owned() }),
        false => Ok(prompts),
    }
}

fn is_json(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name =
        [".gz", ".zst", ".xz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    name.ends_with(".jsonl") || name.ends_with(".json")
}

/// The string in a field of a JSON object; else what is wrong.
pub(crate) fn string_of(line: &str, field: &str) -> Result<String, String> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(line)
        .map_err(|error| format!("expected one JSON object on the line, but {error}"))?;
    match object.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("field \"{field}\" holds no string")),
        None => {
            let names: Vec<_> = object.keys().map(|name| format!("\"{name}\"")).collect();
            Err(format!("no field \"{field}\"; the line has {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str) -> Result<Vec<Prompt>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_prompts(&path, "text", 3).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_or_fields_of_lines() {
        let prompt = |line: usize, text: &str| Prompt { line, text: text.to_owned() };
        assert_eq!(read("a.txt", "{\n b \n"), Ok(vec![prompt(1, "{"), prompt(2, " b ")]));
        let json = "{\"text\": \"a\\nb\"}\n\n{\"id\": 1, \"text\": \"c\"}\n";
        assert_eq!(read("a.jsonl", json), Ok(vec![prompt(1, "a\nb"), prompt(3, "c")]));
        assert_eq!(read("a.txt", "a\nb\nc\nd\n").unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_prompt_is_named_by_its_line() {
        let fails = |name: &str, content: &str, words: &str| {
            let error = read(name, content).unwrap_err();
            assert!(error.contains(name) && error.contains(words), "{error}");
        };
        fails("a.txt", "a\n\nb\n", "line 2: an empty prompt");
        fails("a.jsonl", "{\"text\": \"\"}\n", "line 1: an empty prompt");
        fails("a.jsonl", "{\"text\": \"a\"}\n{\"text\": 7}\n", "line 2: field \"text\" holds no");
        fails("a.jsonl", "{\"body\": \"a\"}\n", "no field \"text\"; the line has \"body\"");
        fails("a.jsonl", "[1]\n", "line 1: expected one JSON object");
        fails("a.txt", "", "no prompt");
    }
}
