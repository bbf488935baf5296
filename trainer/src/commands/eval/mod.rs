//! `ltm eval`.

mod sets;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use clap::CommandFactory;
use clap::error::ErrorKind;
use ltm::atomic_file;
use ltm::data::Split;
use ltm::evaluate::{Averages, Cut, Measurement, Subject, View, measure, token_bytes};
use ltm_tools::text::Detokenizer;

use super::Cli;
use super::device::DeviceArgs;
use super::interrupt;
use super::model::Model;
use super::output::{self, tell};
use super::progress::Meter;
use sets::{Reading, Set, Spec, open_all, repeated_name};
use table::{Form, Row, Table};

/// Arguments of `ltm eval`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run directory, or a checkpoint directory
    run: PathBuf,
    /// A set, repeat for several: a directory of shards of the run's tokenizer, or text (txt, jsonl,
    /// parquet, tar, also in gz, zst or xz) to be tokenized; PATH, NAME=PATH, or
    /// NAME:DETOKENIZER=PATH
    #[arg(long, required = true, value_name = "[NAME=]PATH")]
    data: Vec<Spec>,
    /// Which shards of directories: val or train
    #[arg(long, default_value = "val", value_parser = parse_split)]
    split: Split,
    /// Documents of text sets: pack (one after the other behind end-of-text tokens, cut every T
    /// tokens) or each (for itself, its last sequence as short as it comes)
    #[arg(long, default_value = "pack", value_parser = parse_cut)]
    documents: Cut,
    /// Tokenization to undo in text sets that name none: none, ptb, wikitext, lm1b or lambada
    #[arg(long, default_value = "none", value_parser = parse_detokenizer)]
    detokenize: Detokenizer,
    /// Field of JSON lines, or column of parquet files, that holds the text
    #[arg(long, default_value = "text")]
    field: String,
    /// Leaves out documents with fewer tokens, with --documents each
    #[arg(long, default_value_t = 1)]
    min_tokens: usize,
    /// Tokens per sequence, T, instead of the run's
    #[arg(long)]
    length: Option<usize>,
    /// Sequences of each set, spread evenly over it; 0 takes all
    #[arg(long, default_value_t = 64)]
    sequences: usize,
    /// Fast steps instead of the run's; several, such as 4,8,16, make a row each
    #[arg(long, value_delimiter = ',')]
    fast_steps: Vec<usize>,
    /// Draws of z, K: averaged in causal rows, weighted in the importance-weighted bound
    #[arg(long, default_value_t = 8, value_parser = parse_samples)]
    samples: usize,
    /// A causal row with z fitted on the first P tokens of each sequence, the others scored, and
    /// one of the same tokens with z from the prior; several make rows each
    #[arg(long, value_delimiter = ',', value_name = "P")]
    context: Vec<usize>,
    /// A causal row that scores each block of so many tokens with z fitted on the blocks before
    /// it, the first with z from the prior; several make a row each
    #[arg(long, value_delimiter = ',', value_name = "TOKENS")]
    block: Vec<usize>,
    /// Sequences at once; changes memory and speed, and the result by rounding at most
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["csv", "markdown"])]
    json: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "markdown")]
    csv: bool,
    /// Print Markdown
    #[arg(long)]
    markdown: bool,
    /// Also write the table to a file: .json, .csv or .md; repeat for several
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

fn parse_split(name: &str) -> Result<Split, String> {
    match name {
        "train" => Ok(Split::Train),
        "val" => Ok(Split::Val),
        _ => Err("expected train or val".to_owned()),
    }
}

fn parse_cut(name: &str) -> Result<Cut, String> {
    let found = [Cut::Pack, Cut::Each].into_iter().find(|cut| cut.name() == name);
    found.ok_or_else(|| "expected pack or each".to_owned())
}

fn parse_detokenizer(name: &str) -> Result<Detokenizer, String> {
    name.parse().map_err(|error: ltm_tools::Error| error.to_string())
}

fn parse_samples(text: &str) -> Result<usize, String> {
    // Draws are a 32-bit word of the random numbers' counter.
    match text.parse() {
        Ok(samples) if (1..1 << 31).contains(&samples) => Ok(samples),
        _ => Err("expected at least 1 draw of z".to_owned()),
    }
}

impl Args {
    fn views(&self) -> Vec<View> {
        let fronts = self.context.iter().flat_map(|&n| [View::PriorAfter(n), View::Front(n)]);
        let blocks = self.block.iter().map(|&block| View::Blocks(block));
        [View::All, View::Prior].into_iter().chain(fronts).chain(blocks).collect()
    }

    fn form(&self) -> Form {
        match (self.json, self.csv, self.markdown) {
            (true, ..) => Form::Json,
            (_, true, _) => Form::Csv,
            (.., true) => Form::Markdown,
            _ => Form::Plain,
        }
    }

    /// What is wrong whatever the run and the sets are.
    fn check(&self) -> anyhow::Result<()> {
        let misused = |text: String| Cli::command().error(ErrorKind::ValueValidation, text);
        if self.batch == 0 {
            bail!("--batch is 0, expected at least 1");
        }
        if let Some(name) = repeated_name(&self.data) {
            return Err(misused(format!(
                "two sets are called {name}: the table could not tell them apart; name them with \
                 --data NAME=PATH"
            ))
            .into());
        }
        for file in &self.out {
            if Form::of_path(file).is_none() {
                let file = file.display();
                return Err(misused(format!("--out {file}: expected .json, .csv or .md")).into());
            }
            let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
                bail!("--out {}: there is no directory {}", file.display(), directory.display());
            }
        }
        Ok(())
    }

    /// T, with every view checked against it.
    fn length(&self, model: &Model) -> anyhow::Result<usize> {
        let most = model.config.model.max_seq_len;
        let seq = self.length.unwrap_or(model.config.seq_len());
        if !(1..=most).contains(&seq) {
            bail!("--length is {seq}, expected 1 to model.max_seq_len = {most}");
        }
        for view in self.views() {
            view.check(seq).with_context(|| match view {
                View::Blocks(_) => "--block",
                _ => "--context",
            })?;
        }
        Ok(seq)
    }
}

/// Evaluates every set under every view.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    let mut model = Model::open(&args.run, &args.device)?;
    let stop = interrupt::flag()?;
    let seq = args.length(&model)?;
    let reading = Reading {
        model: &model,
        split: args.split,
        seq,
        cut: args.documents,
        detokenizer: args.detokenize,
        field: &args.field,
        min_tokens: args.min_tokens,
        sequences: if args.sequences == 0 { usize::MAX } else { args.sequences },
        stop: &stop,
    };
    let sets = open_all(&args.data, &args.views(), &reading)?;
    let mut table = Table {
        run: args.run.display().to_string(),
        iteration: model.iteration,
        rows: Vec::new(),
        notes: sets.iter().map(Set::note).collect(),
    };
    let meter = Meter::sequences();
    let result = fill(&args, &mut model, &sets, (seq, &stop, &meter), &mut table);
    meter.finish();
    if let Err(error) = result {
        let interrupted = matches!(error.downcast_ref(), Some(ltm::Error::Interrupted));
        if interrupted && !table.rows.is_empty() {
            output::text(&table.render(args.form()))?;
            tell!(
                "interrupted: the rows above are whole, the others are missing; no file is written"
            );
        }
        return Err(error);
    }
    output::text(&table.render(args.form()))?;
    for file in &args.out {
        // `Args::check` has seen that each has a form.
        let form = Form::of_path(file).unwrap_or(Form::Json);
        atomic_file::write(file, table.render(form).as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A row to be measured.
struct Wanted<'a> {
    view: View,
    set: &'a Set,
    fast_steps: Option<usize>,
}

/// Every row, those of one view together.
fn wanted<'a>(args: &Args, sets: &'a [Set], latents: bool) -> Vec<Wanted<'a>> {
    let curve: Vec<_> = args.fast_steps.iter().map(|&steps| Some(steps)).collect();
    let mut rows = Vec::new();
    for view in args.views() {
        let curve = match view.fits() && latents && !curve.is_empty() {
            true => &curve[..],
            false => &[None],
        };
        for set in sets {
            rows.extend(curve.iter().map(|&fast_steps| Wanted { view, set, fast_steps }));
        }
    }
    rows
}

/// Measures row after row.
fn fill(
    args: &Args,
    model: &mut Model,
    sets: &[Set],
    (seq, stop, meter): (usize, &AtomicBool, &Meter),
    table: &mut Table,
) -> anyhow::Result<()> {
    let token_bytes = token_bytes(&model.tokenizer)?;
    let latents = !model.config.model.is_autoregressive();
    for Wanted { view, set, fast_steps } in wanted(args, sets, latents) {
        let mut words = if latents { view.words() } else { view.words_without_latents() };
        if latents && view == View::All && model.config.fast.method.is_point() {
            words += "; z is a point, and kl stands for -log p(z)";
        }
        let steps = fast_steps.map(|steps| format!("{steps} fast steps, ")).unwrap_or_default();
        let what = format!("of {}, {steps}z has seen {words}", set.name);
        let progress = |done: usize, total: usize| meter.set(done as u64, total as u64, &what);
        let how = Measurement {
            view,
            fast_steps,
            samples: args.samples,
            batch: args.batch,
            token_bytes: &token_bytes,
            stop,
            progress: &progress,
        };
        let mut subject = Subject {
            device: model.device.as_mut(),
            config: &model.config,
            parameters: &model.parameters,
        };
        let measured = measure(&mut subject, &set.portions(), &how);
        let measured = measured.with_context(|| format!("set {}", set.name))?;
        let averages = Averages::of(&measured.sequences);
        table.rows.push(Row {
            set: set.name.clone(),
            text: set.text,
            detokenizer: set.detokenizer.name(),
            words,
            fast_steps: measured.fast_steps,
            samples: measured.samples,
            seq,
            averages,
            flops_per_token: measured.flops / averages.tokens as f64,
        });
    }
    Ok(())
}
