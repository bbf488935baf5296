//! The cells of a sweep: their names, settings and budgets.

use std::fmt;

use toml::Value;

use super::file::{Block, Budget, Setting, SweepFile};
use super::{Result, SweepError};
use crate::config::{Config, ConfigError, Layers, Origin};
use crate::plan::Work;

/// One point of a sweep, trained once per seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Unique in the sweep.
    pub name: String,
    /// Its own settings: keys and values as written.
    pub settings: Vec<(String, String)>,
    /// What it may spend.
    pub budget: Budget,
    /// Settings with the first seed, and as many iterations as the budget pays for.
    pub config: Config,
    /// Training tokens of a run.
    pub tokens: f64,
    /// FLOPs of one iteration.
    pub iteration_flops: f64,
}

impl Cell {
    /// FLOPs of the training of a run.
    pub fn flops(&self) -> f64 {
        self.iteration_flops * self.config.train.iterations as f64
    }

    /// Tokens of an iteration.
    pub fn iteration_tokens(&self) -> f64 {
        (self.config.train.batch * self.config.seq_len()) as f64
    }

    /// Settings of the run with `seed`.
    pub fn with_seed(&self, seed: u64) -> Config {
        let mut config = self.config.clone();
        config.train.seed = seed;
        config
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
            Self::Flops(flops) => write!(f, "{flops:.3e} FLOPs"),
        }
    }
}

/// Every cell of a file, in its order; `change` is put over the settings of each.
///
/// # Errors
/// Settings that do not work, a budget below one iteration, or two cells that are one.
pub fn cells(
    file: &SweepFile,
    change: impl Fn(Layers) -> std::result::Result<Layers, ConfigError>,
) -> Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    for block in &file.blocks {
        for settings in combinations(block) {
            let name = name(block, &settings);
            let cell = cell(file, block, &name, &settings, &change)?;
            if cells.iter().any(|other| other.name == name) {
                return Err(SweepError::SameName { name }.into());
            }
            if let Some(other) = cells.iter().find(|other| other.config == cell.config) {
                let (first, second) = (other.name.clone(), name);
                return Err(SweepError::SameSettings { first, second }.into());
            }
            cells.push(cell);
        }
    }
    Ok(cells)
}

/// Every combination of the values of a grid, the last key running fastest; the one of a cell.
fn combinations(block: &Block) -> Vec<Vec<Setting>> {
    let mut combined: Vec<Vec<Setting>> = vec![Vec::new()];
    for setting in &block.settings {
        let values = match &setting.value {
            Value::Array(values) if block.grid => values.clone(),
            value => vec![value.clone()],
        };
        let with = |front: &Vec<Setting>, value: &Value| {
            let mut settings = front.clone();
            settings.push(Setting { value: value.clone(), ..setting.clone() });
            settings
        };
        combined = combined
            .iter()
            .flat_map(|front| values.iter().map(move |value| with(front, value)))
            .collect();
    }
    combined
}

/// The name given, or `steps=4,latents=16` from the settings.
fn name(block: &Block, settings: &[Setting]) -> String {
    let short = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let part = |setting: &Setting| {
        let ambiguous = settings
            .iter()
            .any(|other| other.key != setting.key && short(&other.key) == short(&setting.key));
        let key = if ambiguous { setting.key.clone() } else { short(&setting.key) };
        format!("{key}={}", shown(&setting.value))
    };
    match (&block.name, block.grid) {
        (Some(name), false) => name.clone(),
        (front, _) => {
            let parts = settings.iter().map(part);
            let name = front.iter().cloned().chain(parts).collect::<Vec<_>>().join(",");
            // The name of a directory: nothing that a path or a table could misread.
            let plain = |c: char| c.is_ascii_alphanumeric() || "._=,+-".contains(c);
            name.chars().map(|c| if plain(c) { c } else { '-' }).collect()
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // Exponents where the number is far from 1.
        Value::Float(number) => format!("{number:?}"),
        value => value.to_string(),
    }
}

fn cell(
    file: &SweepFile,
    block: &Block,
    name: &str,
    settings: &[Setting],
    change: &impl Fn(Layers) -> std::result::Result<Layers, ConfigError>,
) -> Result<Cell> {
    let refused = |source: ConfigError| SweepError::Settings {
        cell: name.to_owned(),
        source: Box::new(source),
    };
    let layered = |iterations: u64| -> std::result::Result<Config, ConfigError> {
        let mut layers = Layers::preset(file.preset)?;
        for Setting { key, value, origin } in file.base.iter().chain(settings) {
            layers = layers.value(key, value.clone(), origin.clone())?;
        }
        let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        change(layers)?
            .value("train.seed", number(file.seeds[0]), Origin::Default)?
            .value("train.iterations", number(iterations), Origin::Default)?
            .finish(None)
    };
    // What an iteration takes does not depend on how many there are.
    let one = layered(1).map_err(refused)?;
    let iteration_flops = Work::of_iteration(&one).iteration;
    let iteration_tokens = (one.train.batch * one.seq_len()) as f64;
    let Some(budget) = block.budget.or(file.budget) else {
        let (budget, least) = ("nothing".to_owned(), format!("{iteration_tokens} tokens"));
        return Err(SweepError::Budget { cell: name.to_owned(), budget, least }.into());
    };
    let (iterations, least) = match budget {
        Budget::Tokens(tokens) => (tokens / iteration_tokens, format!("{iteration_tokens} tokens")),
        Budget::Flops(flops) => (flops / iteration_flops, format!("{iteration_flops:.3e} FLOPs")),
    };
    if iterations < 1.0 {
        let (cell, budget) = (name.to_owned(), budget.to_string());
        return Err(SweepError::Budget { cell, budget, least }.into());
    }
    let config = layered(iterations as u64).map_err(refused)?;
    Ok(Cell {
        name: name.to_owned(),
        settings: settings.iter().map(|s| (s.key.clone(), shown(&s.value))).collect(),
        budget,
        tokens: iteration_tokens * config.train.iterations as f64,
        iteration_flops,
        config,
    })
}
