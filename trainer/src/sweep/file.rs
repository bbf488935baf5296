//! The file that describes a sweep.
//!
//! ```toml
//! tokens = 500_000            # or flops = 1e13: what each run may spend
//! seeds = [1, 2]              # default [1]
//!
//! [base]                      # settings of all cells
//! preset = "tiny"             # default small
//! train.batch = 8
//!
//! [grid]                      # every combination of these
//! fast.steps = [4, 8, 16]
//! model.latents = [4, 16]
//!
//! [[cell]]                    # and these one by one
//! name = "baseline"
//! model.latents = 0
//!
//! [evaluate]
//! sequences = 64              # of the validation shards; 0 takes all
//! samples = 8                 # draws of z: from the prior, and of the importance-weighted bound
//! context = 128               # tokens that z sees where the rest is predicted; 0: half of them
//! block = 64                  # tokens of a block where z sees the blocks before; 0: a quarter
//! ```
//!
//! Several grids are written as `[[grid]]`, each of them. A grid and a cell may have a `name`, and
//! `tokens` or `flops` in place of those above.

use std::fs;
use std::path::Path;

use toml::Value;

use super::SweepError;
use super::reader::Reader;
use crate::config::{Origin, Preset};

/// What a run may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Training tokens.
    Tokens(f64),
    /// FLOPs of training, as `ltm plan` counts them.
    Flops(f64),
}

/// A setting and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Dotted.
    pub key: String,
    /// As written.
    pub value: Value,
    /// Where.
    pub origin: Origin,
}

/// Settings that make one cell, or with lists of values a grid of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Name of the cell, or front of the names of a grid's cells.
    pub name: Option<String>,
    /// Over the budget of the file.
    pub budget: Option<Budget>,
    /// In the order written; the values of a grid are its lists.
    pub settings: Vec<Setting>,
    /// Whether it is a grid.
    pub grid: bool,
}

/// How finished runs are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scoring {
    /// Sequences of the validation shards, spread evenly; 0 takes all.
    pub sequences: usize,
    /// Draws of z: from the prior or a posterior whose predictions are averaged, and of the
    /// importance-weighted bound.
    pub samples: usize,
    /// Tokens of each sequence that z may see where the rest is predicted; 0 takes half of them.
    pub context: usize,
    /// Tokens of a block where z has seen the blocks before it; 0 takes a quarter of the sequence.
    pub block: usize,
}

impl Default for Scoring {
    fn default() -> Self {
        Self { sequences: 64, samples: 8, context: 0, block: 0 }
    }
}

/// A sweep as written.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepFile {
    /// Of every cell that has none of its own.
    pub budget: Option<Budget>,
    /// Seeds of the runs of every cell.
    pub seeds: Vec<u64>,
    /// What all cells start from.
    pub preset: Preset,
    /// Settings of all cells.
    pub base: Vec<Setting>,
    /// Cells and grids, in the order of the file.
    pub blocks: Vec<Block>,
    /// How runs are scored.
    pub scoring: Scoring,
}

impl SweepFile {
    /// Reads and checks a file, but for what its settings mean.
    ///
    /// # Errors
    /// [`SweepError::Unreadable`], or [`SweepError::Malformed`] with the line.
    pub fn read(path: &Path) -> Result<Self, SweepError> {
        let text = fs::read_to_string(path)
            .map_err(|source| SweepError::Unreadable { path: path.to_owned(), source })?;
        Reader::new(path, &text).file()
    }
}
