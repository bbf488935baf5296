//! Building a configuration from a preset, a file and single keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::{Config, ConfigError, Origin, Preset, TrajectorySamples};

/// A configuration under construction; later layers override earlier ones.
#[derive(Debug, Clone)]
pub struct Layers {
    config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Starts from a preset.
    ///
    /// # Errors
    /// None for the presets as shipped, which the tests read.
    pub fn preset(preset: Preset) -> Result<Self, ConfigError> {
        Self::from_config(Config::default()).toml(preset.toml(), |_| Origin::Preset(preset.name()))
    }

    /// Starts from a configuration, such as a run's own.
    pub fn from_config(config: Config) -> Self {
        Self { config, origins: BTreeMap::new() }
    }

    /// Starts from a run's `config.toml`. Keys that it lacks take their defaults.
    ///
    /// # Errors
    /// As [`Layers::file`].
    pub fn from_toml(path: &Path) -> Result<Self, ConfigError> {
        Self::from_config(Config::default()).file(path)
    }

    /// Puts the keys of a TOML file on top.
    ///
    /// # Errors
    /// An unreadable file, invalid TOML, an unknown key or a value of the wrong type.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        self.toml(&text, |line| Origin::File { path: path.to_owned(), line })
    }

    /// Puts one `key=value` on top. The key is dotted; the value is TOML, and a value that is not
    /// is taken as a string, so that `reading=paper` needs no quotes.
    ///
    /// # Errors
    /// No `=`, an unknown key, or a value of the wrong type.
    pub fn set(mut self, argument: &str) -> Result<Self, ConfigError> {
        let (key, text) = argument
            .split_once('=')
            .map(|(key, text)| (key.trim(), text.trim()))
            .filter(|(key, text)| !key.is_empty() && !text.is_empty())
            .ok_or_else(|| ConfigError::NotAnAssignment { argument: argument.to_owned() })?;
        let value = toml::from_str::<Table>(&format!("value = {text}"))
            .ok()
            .filter(|table| table.len() == 1)
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(text.to_owned()));
        self.assign(key, value, Origin::Set)?;
        Ok(self)
    }

    /// Puts one dotted key with a value that is read already on top; `origin` says where it was
    /// written.
    ///
    /// # Errors
    /// An unknown key, or a value of the wrong type.
    pub fn value(mut self, key: &str, value: Value, origin: Origin) -> Result<Self, ConfigError> {
        self.assign(key, value, origin)?;
        Ok(self)
    }

    /// Resolves and checks the result. `stored` is the configuration of the run being resumed:
    /// a `slow.total` left at 0 keeps its value there, so that prolonging a run does not bend the
    /// schedule it has already followed. Without latents there is no fast loop, so `fast.steps` and
    /// `slow.trajectory_samples` become 0 whatever was written.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every problem found.
    pub fn finish(mut self, stored: Option<&Config>) -> Result<Config, ConfigError> {
        if self.config.slow.total == 0 {
            self.config.slow.total = stored.unwrap_or(&self.config).slow_total();
        }
        if self.config.model.is_autoregressive() {
            self.config.fast.steps = 0;
            self.config.slow.trajectory_samples = TrajectorySamples::Count(0);
        }
        self.config.validate(&self.origins)?;
        Ok(self.config)
    }

    fn toml(mut self, text: &str, origin: impl Fn(usize) -> Origin) -> Result<Self, ConfigError> {
        let line_at =
            |offset: usize| 1 + text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count();
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            origin: origin(error.span().map_or(1, |span| line_at(span.start))),
            message: error.message().to_owned(),
        })?;
        let mut leaves = Vec::new();
        collect_leaves(table.get_ref(), "", &mut leaves);
        for (key, offset, value) in leaves {
            self.assign(&key, value, origin(line_at(offset)))?;
        }
        Ok(self)
    }

    /// One key at a time, so that a refusal can name the key and where it was written.
    fn assign(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let mut known = flatten(&self.config)?;
        let Some(slot) = known.iter_mut().find(|(name, _)| name == key) else {
            return Err(ConfigError::UnknownKey {
                origin,
                key: key.to_owned(),
                nearest: nearest(key, known.iter().map(|(name, _)| name.as_str())),
            });
        };
        slot.1 = value.clone();
        self.config = unflatten(known).map_err(|error| ConfigError::WrongValue {
            origin: origin.clone(),
            key: key.to_owned(),
            value: value.to_string(),
            expected: in_words(error.message()),
        })?;
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }
}

/// The names of Rust types, with which a refusal ends, in plain words.
fn in_words(refusal: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number, 0 or above"),
        ("expected u64", "expected a whole number, 0 or above"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
    ];
    match words.iter().find(|(name, _)| refusal.ends_with(name)) {
        Some((name, words)) => refusal.replace(name, words),
        None => refusal.to_owned(),
    }
}

/// Every dotted key of a configuration with its value.
fn flatten(config: &Config) -> Result<Vec<(String, Value)>, ConfigError> {
    let table =
        Table::try_from(config).map_err(|error| ConfigError::Unwritable(error.to_string()))?;
    let mut leaves = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(section) => leaves
                .extend(section.into_iter().map(|(key, value)| (format!("{name}.{key}"), value))),
            scalar => leaves.push((name, scalar)),
        }
    }
    Ok(leaves)
}

fn unflatten(leaves: Vec<(String, Value)>) -> Result<Config, toml::de::Error> {
    let mut root = Table::new();
    for (key, value) in leaves {
        match key.split_once('.') {
            None => {
                root.insert(key, value);
            }
            Some((section, name)) => {
                let section = root.entry(section).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(name.to_owned(), value);
                }
            }
        }
    }
    Config::deserialize(root)
}

/// Dotted key, byte offset of the key, value; tables are entered, everything else is a leaf.
pub(crate) fn collect_leaves(
    table: &DeTable<'_>,
    prefix: &str,
    leaves: &mut Vec<(String, usize, Value)>,
) {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            _ => format!("{prefix}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) if inner.is_empty() && is_section(&path) => {}
            DeValue::Table(inner) if !inner.is_empty() => collect_leaves(inner, &path, leaves),
            _ => leaves.push((path, key.span().start, owned(value))),
        }
    }
}

fn is_section(path: &str) -> bool {
    ["model", "posterior", "fast", "slow", "train"].contains(&path)
}

/// A number too large for TOML becomes its parser's complaint, which no numeric key accepts.
fn owned(value: &Spanned<DeValue<'_>>) -> Value {
    Value::deserialize(ValueDeserializer::from(value.clone()))
        .unwrap_or_else(|error| Value::String(error.message().to_owned()))
}

fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = key.rsplit('.').next().unwrap_or(key);
    known
        .map(|name| {
            let bare = name.rsplit('.').next().unwrap_or(name);
            // A key written in the wrong section is as likely as a misspelt one.
            let score =
                strsim::jaro_winkler(key, name).max(0.99 * strsim::jaro_winkler(last, bare));
            (score, name)
        })
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}
