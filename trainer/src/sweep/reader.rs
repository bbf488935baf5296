//! From the text of a file to the sweep that it describes.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue};

use super::SweepError;
use super::file::{Block, Budget, Scoring, Setting, SweepFile};
use crate::config::{Origin, Preset, collect_leaves};

/// Settings that the sweep itself decides.
const DECIDED: [(&str, &str); 2] =
    [("train.iterations", "tokens or flops"), ("train.seed", "seeds = [...]")];

/// A table of the file.
type Table<'a> = DeTable<'a>;

/// A file, and its text for the numbers of lines.
pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text }
    }
    fn origin(&self, offset: usize) -> Origin {
        let newlines = self.text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n');
        Origin::File { path: self.path.to_owned(), line: 1 + newlines.count() }
    }

    fn malformed(
        &self,
        at: Range<usize>,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> SweepError {
        SweepError::Malformed {
            origin: self.origin(at.start),
            problem: problem.into(),
            expected: expected.into(),
        }
    }

    /// The whole file.
    pub(super) fn file(&self) -> Result<SweepFile, SweepError> {
        let root = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            let origin = self.origin(at.start);
            SweepError::Syntax { origin, message: error.message().to_owned() }
        })?;
        let mut file = SweepFile {
            budget: None,
            seeds: vec![1],
            preset: Preset::Small,
            base: Vec::new(),
            blocks: Vec::new(),
            scoring: Scoring::default(),
        };
        // Blocks in the order of the file, whatever the order of the parser's map.
        let mut blocks: Vec<(usize, Block)> = Vec::new();
        for (key, value) in root.get_ref() {
            let at = key.span();
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("tokens" | "flops", _) => {}
                ("seeds", value) => file.seeds = self.seeds(&at, value)?,
                ("base", DeValue::Table(table)) => {
                    (file.preset, file.base) = self.base(table)?;
                }
                ("grid", DeValue::Table(table)) => {
                    blocks.push((at.start, self.block(table, &at, true)?));
                }
                (name @ ("grid" | "cell"), DeValue::Array(tables)) => {
                    for table in tables.iter() {
                        let DeValue::Table(inner) = table.get_ref() else {
                            let expected = format!("tables: [[{name}]]");
                            return Err(self.malformed(
                                at,
                                format!("`{name}` is a list"),
                                expected,
                            ));
                        };
                        let at = table.span();
                        blocks.push((at.start, self.block(inner, &at, name == "grid")?));
                    }
                }
                ("evaluate", DeValue::Table(table)) => file.scoring = self.scoring(table)?,
                ("cell", _) => {
                    return Err(self.malformed(at, "`cell` is no list of tables", "[[cell]]"));
                }
                (name, _) => {
                    return Err(self.malformed(
                        at,
                        format!("`{name}`"),
                        "tokens or flops, seeds, [base], [grid], [[cell]] or [evaluate]; settings \
                         of all cells go into [base]",
                    ));
                }
            }
        }
        file.budget = self.budget(root.get_ref())?;
        blocks.sort_by_key(|(at, _)| *at);
        file.blocks = blocks.into_iter().map(|(_, block)| block).collect();
        if file.blocks.is_empty() {
            return Err(self.malformed(0..0, "there is no cell", "a [grid] or a [[cell]]"));
        }
        if file.budget.is_none() && file.blocks.iter().any(|block| block.budget.is_none()) {
            let expected = "tokens = 500_000 or flops = 1e13 at the top, or in every cell";
            return Err(self.malformed(0..0, "some cell has no budget", expected));
        }
        Ok(file)
    }

    /// `tokens` or `flops` of a table.
    fn budget(&self, table: &Table<'_>) -> Result<Option<Budget>, SweepError> {
        let mut found = None;
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let of: fn(f64) -> Budget = match key.get_ref().as_ref() {
                "tokens" => Budget::Tokens,
                "flops" => Budget::Flops,
                _ => continue,
            };
            let at = key.span();
            if found.is_some() {
                return Err(self.malformed(at, "both `tokens` and `flops`", "one of them"));
            }
            let amount = number(value.get_ref()).filter(|n| n.is_finite() && *n >= 1.0);
            let name = key.get_ref();
            let Some(amount) = amount else {
                let problem = format!("`{name}` is no number of at least 1");
                return Err(self.malformed(at, problem, "500_000 or 1e13, for example"));
            };
            found = Some(of(amount));
        }
        Ok(found)
    }

    fn seeds(&self, at: &Range<usize>, value: &DeValue<'_>) -> Result<Vec<u64>, SweepError> {
        let refused = |problem: &str| {
            self.malformed(at.clone(), problem, "whole numbers, 0 or above, none of them twice")
        };
        let DeValue::Array(values) = value else { return Err(refused("`seeds` is no list")) };
        let seeds: Option<Vec<u64>> = values
            .iter()
            .map(|value| match value.get_ref() {
                DeValue::Integer(digits) => {
                    let seed = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
                    u64::try_from(seed).ok()
                }
                _ => None,
            })
            .collect();
        let seeds = seeds.ok_or_else(|| refused("`seeds` has a value that is no seed"))?;
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        match (seeds.is_empty(), sorted.len() == seeds.len()) {
            (true, _) => Err(refused("`seeds` is empty")),
            (_, false) => Err(refused("`seeds` has a seed twice")),
            _ => Ok(seeds),
        }
    }

    fn base(&self, table: &Table<'_>) -> Result<(Preset, Vec<Setting>), SweepError> {
        let (mut preset, mut settings) = (Preset::Small, Vec::new());
        for (at, setting) in self.settings(table)? {
            match (setting.key.as_str(), &setting.value) {
                ("preset", Value::String(name)) => {
                    preset = name.parse().map_err(|error: crate::config::ConfigError| {
                        self.malformed(at..at, format!("`preset = \"{name}\"`"), error.to_string())
                    })?;
                }
                ("preset", _) => {
                    return Err(self.malformed(at..at, "`preset` is no text", "\"tiny\""));
                }
                ("tokens" | "flops" | "seeds" | "name", _) => {
                    let problem = format!("`{}` in [base]", setting.key);
                    return Err(self.malformed(at..at, problem, "it above all tables"));
                }
                _ => settings.push(setting),
            }
        }
        Ok((preset, settings))
    }

    fn block(&self, table: &Table<'_>, at: &Range<usize>, grid: bool) -> Result<Block, SweepError> {
        let mut block = Block { budget: self.budget(table)?, grid, ..Block::default() };
        for (at, setting) in self.settings(table)? {
            match (setting.key.as_str(), &setting.value) {
                ("tokens" | "flops", _) => {}
                ("name", Value::String(name)) if is_name(name) => block.name = Some(name.clone()),
                ("name", value) => {
                    return Err(self.malformed(
                        at..at,
                        format!("`name = {value}`"),
                        "letters, digits and any of . _ = , + -, the first no point, at most 80",
                    ));
                }
                ("preset" | "seeds", _) => {
                    let problem = format!("`{}` in a cell", setting.key);
                    let expected = "preset in [base], seeds above all tables";
                    return Err(self.malformed(at..at, problem, expected));
                }
                (key, Value::Array(values)) if grid && values.is_empty() => {
                    return Err(self.malformed(at..at, format!("`{key}` is empty"), "values"));
                }
                (key, value) if grid != value.is_array() => {
                    let (problem, expected) = match grid {
                        true => (format!("`{key} = {value}` in a grid"), "a list of values"),
                        false => (format!("a list of `{key}` in a cell"), "one value, or [[grid]]"),
                    };
                    return Err(self.malformed(at..at, problem, expected));
                }
                _ => block.settings.push(setting),
            }
        }
        if block.settings.is_empty() && (grid || block.name.is_none()) {
            return Err(self.malformed(at.clone(), "there is no setting", "some, or a name"));
        }
        Ok(block)
    }

    fn scoring(&self, table: &Table<'_>) -> Result<Scoring, SweepError> {
        let mut scoring = Scoring::default();
        for (at, setting) in self.settings(table)? {
            let place = match setting.key.as_str() {
                "sequences" => &mut scoring.sequences,
                "samples" => &mut scoring.samples,
                "context" => &mut scoring.context,
                "block" => &mut scoring.block,
                key => {
                    let problem = format!("`{key}` in [evaluate]");
                    return Err(self.malformed(
                        at..at,
                        problem,
                        "sequences, samples, context or block",
                    ));
                }
            };
            let number = setting.value.as_integer().and_then(|n| usize::try_from(n).ok());
            let Some(number) = number else {
                let problem = format!("`{} = {}`", setting.key, setting.value);
                return Err(self.malformed(at..at, problem, "a whole number, 0 or above"));
            };
            if setting.key == "samples" && number == 0 {
                return Err(self.malformed(at..at, "`samples = 0`", "at least 1"));
            }
            *place = number;
        }
        Ok(scoring)
    }

    /// Every leaf of a table with its place in the text.
    fn settings(&self, table: &Table<'_>) -> Result<Vec<(usize, Setting)>, SweepError> {
        let mut leaves = Vec::new();
        collect_leaves(table, "", &mut leaves);
        let mut settings = Vec::with_capacity(leaves.len());
        for (key, at, value) in leaves {
            if let Some((_, instead)) = DECIDED.iter().find(|(decided, _)| *decided == key) {
                let problem = format!("`{key}` is decided by the sweep");
                return Err(self.malformed(at..at, problem, *instead));
            }
            settings.push((at, Setting { key, value, origin: self.origin(at) }));
        }
        Ok(settings)
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let value = toml::de::ValueDeserializer::from(toml::Spanned::new(0..0, value.clone()));
    match Value::deserialize(value).ok()? {
        Value::Integer(n) => Some(n as f64),
        Value::Float(x) => Some(x),
        _ => None,
    }
}

/// Whether a name can be a directory's, on any system and in any table.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._=,+-".contains(c);
    (1..=80).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}
