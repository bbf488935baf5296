//! The sets of an evaluation, as the command line names them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use ltm::data::{Loader, Split};
use ltm::evaluate::{Cut, Portion, TextOptions, TextSet, View};
use ltm_tools::text::Detokenizer;

use crate::commands::model::Model;

/// `[NAME[:DETOKENIZER]=]PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    name: String,
    path: PathBuf,
    detokenizer: Option<Detokenizer>,
}

impl FromStr for Spec {
    type Err = String;

    /// Before the first `=` stands a name; a path with that sign in it goes without one as
    /// `./a=b.txt`.
    fn from_str(text: &str) -> Result<Self, String> {
        let of_name = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
        let (label, path) = match text.split_once('=') {
            Some((label, path)) if label.chars().all(of_name) => (Some(label), Path::new(path)),
            _ => (None, Path::new(text)),
        };
        let (name, detokenizer) = match label
            .map(|label| label.split_once(':').unwrap_or((label, "")))
        {
            None => (name_of(path), None),
            Some((name, "")) => (name.to_owned(), None),
            Some((name, detokenizer)) => {
                let parsed = detokenizer.parse().map_err(|e: ltm_tools::Error| e.to_string())?;
                (name.to_owned(), Some(parsed))
            }
        };
        if name.is_empty() || path.as_os_str().is_empty() {
            return Err("expected PATH, NAME=PATH or NAME:DETOKENIZER=PATH".to_owned());
        }
        Ok(Self { name, path: path.to_owned(), detokenizer })
    }
}

/// The name of a file without what tells its format, or of a directory.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut name = name.as_ref();
    for ending in [".gz", ".zst", ".xz", ".txt", ".jsonl", ".json", ".parquet", ".tar"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    name.to_owned()
}

/// Two sets of one name, which a table could not tell apart.
pub fn repeated_name(specs: &[Spec]) -> Option<&str> {
    let mut names = HashSet::new();
    specs.iter().map(|spec| spec.name.as_str()).find(|name| !names.insert(*name))
}

/// What all sets of a command share.
pub struct Reading<'a> {
    /// The model that they are for.
    pub model: &'a Model,
    /// Which shards of directories.
    pub split: Split,
    /// T.
    pub seq: usize,
    /// How documents become sequences.
    pub cut: Cut,
    /// Of text sets that name none.
    pub detokenizer: Detokenizer,
    /// The JSON field or parquet column of the text.
    pub field: &'a str,
    /// Shorter documents are left out of [`Cut::Each`].
    pub min_tokens: usize,
    /// Most sequences of a set.
    pub sequences: usize,
    /// Ends the reading.
    pub stop: &'a AtomicBool,
}

enum Source {
    Shards(Loader),
    Text(TextSet),
}

/// A set that has been opened.
pub struct Set {
    /// Its name in tables.
    pub name: String,
    /// What its sequences are, for tables.
    pub text: &'static str,
    /// What was undone before tokenizing.
    pub detokenizer: Detokenizer,
    source: Source,
    sequences: usize,
    longest: usize,
}

impl Set {
    /// Opens shards or reads text.
    pub fn open(spec: &Spec, reading: &Reading<'_>) -> anyhow::Result<Self> {
        let detokenizer = spec.detokenizer.unwrap_or(reading.detokenizer);
        let path = spec.path.as_path();
        if !path.exists() {
            bail!("{}: no such file or directory; give shards or text", path.display());
        }
        if path.extension().is_some_and(|ending| ending == "bin") {
            bail!(
                "{}: a shard is read with its directory, for tokenizer.json tells its tokenizer: \
                 give the directory",
                path.display()
            );
        }
        let (name, sequences) = (spec.name.clone(), reading.sequences);
        if is_of_shards(path) {
            if spec.detokenizer.is_some_and(|detokenizer| detokenizer != Detokenizer::None) {
                bail!(
                    "{}: shards hold tokens, and {detokenizer} rewrites text; give the text itself",
                    path.display()
                );
            }
            let config = &reading.model.config;
            let (seed, vocab) = (config.train.seed, config.model.vocab_size);
            let loader = Loader::open(path, reading.split, reading.seq, seed, vocab)?;
            loader.expect_tokenizer(reading.model.tokenizer.kind().name())?;
            let text = match reading.split {
                Split::Train => "train shards, packed",
                Split::Val => "val shards, packed",
            };
            let (source, detokenizer) = (Source::Shards(loader), Detokenizer::None);
            return Ok(Self { name, text, detokenizer, source, sequences, longest: reading.seq });
        }
        let options = TextOptions {
            field: reading.field.to_owned(),
            detokenizer,
            cut: reading.cut,
            seq: reading.seq,
            min_tokens: reading.min_tokens,
        };
        let set = TextSet::read(path, &reading.model.tokenizer, &options, reading.stop)?;
        let text = match reading.cut {
            Cut::Pack => "documents, packed",
            Cut::Each => "each document",
        };
        let longest = set.longest();
        Ok(Self { name, text, detokenizer, source: Source::Text(set), sequences, longest })
    }

    /// Whether a view leaves something to score, before hours are spent on other sets.
    pub fn check(&self, view: View) -> anyhow::Result<()> {
        match view {
            View::Front(context) | View::PriorAfter(context) if context >= self.longest => bail!(
                "set {}: its longest sequence has {} tokens, so that none is left to score after \
                 --context {context}; take a smaller one, or longer documents",
                self.name,
                self.longest
            ),
            _ => Ok(()),
        }
    }

    /// Its sequences, or those of them that were asked for.
    pub fn portions(&self) -> Vec<Portion<'_>> {
        match &self.source {
            Source::Text(set) => set.portions(self.sequences),
            Source::Shards(loader) => vec![Portion {
                source: Box::new(loader),
                seq: self.longest,
                windows: loader.fixed_windows(self.sequences),
            }],
        }
    }

    /// What the table has no room for.
    pub fn note(&self) -> String {
        let name = &self.name;
        match &self.source {
            Source::Shards(loader) => format!("{name}: {} sequences there are", loader.windows()),
            Source::Text(set) => {
                let (documents, sequences) = (set.documents(), set.sequences());
                let left_out = match set.left_out() {
                    0 => String::new(),
                    n => format!(", {n} of them left out as too short"),
                };
                format!("{name}: {documents} documents{left_out}, {sequences} sequences there are")
            }
        }
    }
}

/// A directory is one of shards unless there is neither a shard nor a `tokenizer.json` in it.
fn is_of_shards(path: &Path) -> bool {
    let Ok(entries) = path.read_dir() else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name == "tokenizer.json" || Path::new(&name).extension().is_some_and(|e| e == "bin")
    })
}

/// Opens every set, and checks that every view has something to score in it.
pub fn open_all(specs: &[Spec], views: &[View], reading: &Reading<'_>) -> anyhow::Result<Vec<Set>> {
    let open = |spec: &Spec| {
        let set = Set::open(spec, reading).with_context(|| format!("set {}", spec.name))?;
        views.iter().try_for_each(|&view| set.check(view))?;
        Ok(set)
    };
    specs.iter().map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_names() {
        let parsed = |text: &str| {
            let spec: Spec = text.parse().unwrap();
            (spec.name, spec.path.display().to_string(), spec.detokenizer)
        };
        let set =
            |name: &str, path: &str, detokenizer| (name.to_owned(), path.to_owned(), detokenizer);
        assert_eq!(
            parsed("data/ptb_valid.jsonl.zst"),
            set("ptb_valid", "data/ptb_valid.jsonl.zst", None)
        );
        assert_eq!(parsed("shards/"), set("shards", "shards/", None));
        assert_eq!(parsed("a=b.txt"), set("a", "b.txt", None));
        assert_eq!(parsed("./a=b.txt"), set("a=b", "./a=b.txt", None));
        assert_eq!(parsed("p:ptb=x/y.txt"), set("p", "x/y.txt", Some(Detokenizer::Ptb)));
        assert_eq!(parsed("p:none=y"), set("p", "y", Some(Detokenizer::None)));
        for wrong in ["", "a=", "=b", "p:treebank=x"] {
            assert!(wrong.parse::<Spec>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_unique() {
        let specs =
            |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<Spec>>();
        assert_eq!(repeated_name(&specs(&["a.txt", "b.txt"])), None);
        assert_eq!(repeated_name(&specs(&["a.txt", "b.txt", "x/a.jsonl"])), Some("a"));
    }
}
