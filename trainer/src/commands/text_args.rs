//! Flags of the commands that infer the latents of texts.

use std::path::PathBuf;

use ltm::config::Config;
use ltm::data::Split;
use ltm::latents::{Selection, Texts};
use ltm_tools::tokenizer::Tokenizer;

/// Which texts, and how their latents are inferred.
#[derive(clap::Args, Debug)]
pub struct TextArgs {
    /// Texts: jsonl, txt and what else `ltm tokenize` reads, or a directory of shards, whose
    /// windows are texts. Longer ones than a sequence of the run are cut
    #[arg(long)]
    pub data: PathBuf,
    /// Which shards of a directory of shards: val or train
    #[arg(long, default_value = "val", value_parser = parse_split)]
    split: Split,
    /// JSON field or parquet column that holds the text
    #[arg(long, default_value = "text")]
    field: String,
    /// Fast steps instead of the run's
    #[arg(long)]
    pub fast_steps: Option<usize>,
    /// Texts at once. With 1 the latents of a text depend on itself alone; more differ by rounding,
    /// and are faster on a GPU
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
}

fn parse_split(name: &str) -> Result<Split, String> {
    match name {
        "train" => Ok(Split::Train),
        "val" => Ok(Split::Val),
        _ => Err("expected train or val".to_owned()),
    }
}

impl TextArgs {
    /// Opens the texts.
    pub fn open(
        &self,
        tokenizer: Tokenizer,
        config: &Config,
        limit: Option<usize>,
    ) -> ltm::Result<Texts> {
        let selection = Selection { split: self.split, field: &self.field, limit };
        Texts::open(&self.data, tokenizer, config, selection)
    }
}
