//! One table in every form: the same columns for the terminal, JSON, CSV and Markdown.

use std::fmt::Write;
use std::path::Path;

use ltm::evaluate::Averages;
use serde_json::{Map, Value, json};

/// A set under one view.
pub struct Row {
    /// Name of the set.
    pub set: String,
    /// What its sequences are.
    pub text: &'static str,
    /// What was undone before tokenizing.
    pub detokenizer: &'static str,
    /// What z has seen, in words.
    pub words: String,
    /// Fast steps of each fit.
    pub fast_steps: usize,
    /// Draws of z.
    pub samples: usize,
    /// T.
    pub seq: usize,
    /// Figures.
    pub averages: Averages,
    /// Of fitting and scoring, per scored token.
    pub flops_per_token: f64,
}

/// What stands in one place of a table.
enum Cell {
    Text(String),
    Count(usize),
    /// A number, and the decimals that people are shown.
    Number(f64, usize),
    /// A number that people are shown in powers of ten.
    Large(f64),
    /// Not defined for this view.
    Missing,
}

impl Cell {
    fn optional(value: Option<f64>, decimals: usize) -> Self {
        value.map_or(Cell::Missing, |value| Cell::Number(value, decimals))
    }

    /// For people.
    fn shown(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            // A perplexity of 1e20 says that the model is broken, not its hundredths.
            Cell::Number(value, _) if value.abs() >= 1e7 => format!("{value:.3e}"),
            Cell::Number(value, decimals) => format!("{value:.decimals$}"),
            Cell::Large(value) => format!("{value:.2e}"),
            Cell::Missing => "-".to_owned(),
        }
    }

    /// For programs: numbers in full.
    fn value(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Count(count) => json!(count),
            Cell::Number(value, _) | Cell::Large(value) => json!(value),
            Cell::Missing => Value::Null,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Cell::Text(_))
    }
}

/// A column of every form of the table.
struct Column {
    /// Its name for programs.
    key: &'static str,
    /// Its name for people.
    title: &'static str,
    /// What it is.
    help: &'static str,
    cell: fn(&Row) -> Cell,
}

const COLUMNS: &[Column] = &[
    Column {
        key: "set",
        title: "set",
        help: "name of the set",
        cell: |r| Cell::Text(r.set.clone()),
    },
    Column {
        key: "text",
        title: "text",
        help: "what the sequences are: packed are documents one after the other, each behind an \
               end-of-text token that is scored too, cut every T tokens; each document for itself \
               begins with an end-of-text token that is not scored",
        cell: |r| Cell::Text(r.text.to_owned()),
    },
    Column {
        key: "detokenizer",
        title: "detok.",
        help: "the tokenization that was undone before tokenizing anew",
        cell: |r| Cell::Text(r.detokenizer.to_owned()),
    },
    Column {
        key: "z_has_seen",
        title: "z has seen",
        help: "what z knew of the text when its tokens were scored: holds for every figure of the row",
        cell: |r| Cell::Text(r.words.clone()),
    },
    Column {
        key: "fast_steps",
        title: "steps",
        help: "fast steps of each fit of z; 0 where z is not fitted",
        cell: |r| Cell::Count(r.fast_steps),
    },
    Column {
        key: "draws",
        title: "draws",
        help: "K draws of z: causal rows score the mean of their probabilities (log-mean-exp); \
               with z from the whole sequence they serve `fresh` and `weighted` alone",
        cell: |r| Cell::Count(r.samples),
    },
    Column {
        key: "sequences",
        title: "seqs",
        help: "sequences with a scored token",
        cell: |r| Cell::Count(r.averages.sequences),
    },
    Column {
        key: "length",
        title: "T",
        help: "most tokens of a sequence",
        cell: |r| Cell::Count(r.seq),
    },
    Column {
        key: "tokens",
        title: "tokens",
        help: "scored tokens",
        cell: |r| Cell::Count(r.averages.tokens),
    },
    Column {
        key: "bytes",
        title: "bytes",
        help: "bytes of text of the scored tokens, after the detokenizer; end of text has none",
        cell: |r| Cell::Count(r.averages.bytes),
    },
    Column {
        key: "nll",
        title: "nll",
        help: "nats per token given z: a reconstruction where z has seen the tokens (at the noise \
               that the fast loop used), else a prediction",
        cell: |r| Cell::Number(r.averages.nll, 4),
    },
    Column {
        key: "kl",
        title: "kl",
        help: "nats per token of the posterior's KL from the prior: the price of z; causal rows \
               pay none",
        cell: |r| Cell::optional(r.averages.kl, 4),
    },
    Column {
        key: "bound",
        title: "bound",
        help: "nll + kl, nats per token",
        cell: |r| Cell::Number(r.averages.bound, 4),
    },
    Column {
        key: "bound_error",
        title: "±",
        help: "standard error of the bound over the choice of sequences",
        cell: |r| Cell::optional(r.averages.bound_error, 4),
    },
    Column {
        key: "bound_fresh",
        title: "fresh",
        help: "the bound with nll at K fresh draws from the posterior: unbiased, where `bound` \
               flatters by the fast loop's having adapted to its one draw of noise",
        cell: |r| Cell::optional(r.averages.fresh_bound, 4),
    },
    Column {
        key: "bound_weighted",
        title: "weighted",
        help: "importance-weighted bound of K draws, -log mean p(x|z) p(z) / q(z|x), nats per token",
        cell: |r| Cell::optional(r.averages.importance_bound, 4),
    },
    Column {
        key: "perplexity_mean",
        title: "ppl mean",
        help: "mean over sequences of exp(bound of the sequence), as the released code averages it",
        cell: |r| Cell::Number(r.averages.mean_perplexity, 3),
    },
    Column {
        key: "perplexity_corpus",
        title: "ppl corpus",
        help: "exp(bound), all tokens alike",
        cell: |r| Cell::Number(r.averages.corpus_perplexity, 3),
    },
    Column {
        key: "bits_per_byte",
        title: "bits/byte",
        help: "bits of the bound per byte of text",
        cell: |r| Cell::optional(r.averages.bits_per_byte, 4),
    },
    Column {
        key: "accuracy",
        title: "accuracy",
        help: "share of tokens that are the most probable ones at the posterior mean",
        cell: |r| Cell::optional(r.averages.accuracy, 4),
    },
    Column {
        key: "flops_per_token",
        title: "FLOPs/tok",
        help: "arithmetic of fitting z and of the scoring passes (one where z has seen the whole \
               sequence, K in causal rows) per scored token, paddings included",
        cell: |r| Cell::Large(r.flops_per_token),
    },
];

/// A form of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
    Plain,
    /// One object.
    Json,
    /// A header and a line for each row.
    Csv,
    /// A table and the list of its columns.
    Markdown,
}

impl Form {
    /// The form that a file name asks for.
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Form::Json),
            "csv" => Some(Form::Csv),
            "md" => Some(Form::Markdown),
            _ => None,
        }
    }
}

/// The rows, and what they were computed with.
pub struct Table {
    /// Run or checkpoint.
    pub run: String,
    /// Iterations that its weights have seen.
    pub iteration: u64,
    /// Rows.
    pub rows: Vec<Row>,
    /// About sets, for people.
    pub notes: Vec<String>,
}

impl Table {
    /// In a form, with a line end.
    pub fn render(&self, form: Form) -> String {
        match form {
            Form::Plain => self.plain(),
            Form::Json => self.json(),
            Form::Csv => self.csv(),
            Form::Markdown => self.markdown(),
        }
    }

    /// A block for each view under what z has seen in it.
    fn plain(&self) -> String {
        let columns: Vec<_> = COLUMNS.iter().filter(|c| c.key != "z_has_seen").collect();
        let mut text = self.heading();
        let mut cells: Vec<Vec<Cell>> = Vec::new();
        for row in &self.rows {
            cells.push(columns.iter().map(|column| (column.cell)(row)).collect());
        }
        let widths: Vec<usize> = (0..columns.len())
            .map(|place| {
                let shown = cells.iter().map(|cells| cells[place].shown().chars().count());
                shown.chain([columns[place].title.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let line = |shown: &dyn Fn(usize) -> (String, bool)| {
            let parts = widths.iter().enumerate().map(|(place, &width)| match shown(place) {
                (text, true) => format!("{text:<width$}"),
                (text, false) => format!("{text:>width$}"),
            });
            format!("  {}", parts.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        };
        let mut views: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !views.contains(&row.words.as_str()) {
                views.push(&row.words);
            }
        }
        for view in views {
            let _ = writeln!(text, "\nz has seen {view}:");
            let is_text = |place: usize| cells.iter().all(|cells| cells[place].is_text());
            let title = |place: usize| (columns[place].title.to_owned(), is_text(place));
            let _ = writeln!(text, "{}", line(&title));
            let rows = self.rows.iter().zip(&cells).filter(|(row, _)| row.words == view);
            for (_, cells) in rows {
                let shown = |place: usize| (cells[place].shown(), cells[place].is_text());
                let _ = writeln!(text, "{}", line(&shown));
            }
        }
        text
    }

    fn heading(&self) -> String {
        let mut text =
            format!("{}, after {} iterations; nats per token\n", self.run, self.iteration);
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    fn json(&self) -> String {
        let help: Map<String, Value> =
            COLUMNS.iter().map(|column| (column.key.to_owned(), json!(column.help))).collect();
        let row = |row: &Row| -> Map<String, Value> {
            let cells = COLUMNS.iter().map(|c| (c.key.to_owned(), (c.cell)(row).value()));
            cells.collect()
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let table = json!({
            "run": self.run,
            "iteration": self.iteration,
            "columns": help,
            "rows": rows,
        });
        format!("{table}\n")
    }

    fn csv(&self) -> String {
        let line = |cells: Vec<String>| cells.join(",") + "\n";
        let mut text = line(COLUMNS.iter().map(|column| column.key.to_owned()).collect());
        for row in &self.rows {
            let cells = COLUMNS.iter().map(|column| match (column.cell)(row).value() {
                Value::String(text) => quoted(&text),
                Value::Null => String::new(),
                number => number.to_string(),
            });
            text += &line(cells.collect());
        }
        text
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.heading());
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let escaped = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let titles: Vec<_> = COLUMNS.iter().map(|column| column.title.to_owned()).collect();
        text += &line(&titles);
        let rulers: Vec<_> = COLUMNS
            .iter()
            .map(|column| match self.rows.iter().all(|row| (column.cell)(row).is_text()) {
                true => "---".to_owned(),
                false => "---:".to_owned(),
            })
            .collect();
        text += &line(&rulers);
        for row in &self.rows {
            let cells = COLUMNS.iter().map(|column| escaped(&(column.cell)(row).shown()));
            text += &line(&cells.collect::<Vec<_>>());
        }
        text.push('\n');
        for column in COLUMNS {
            let _ = writeln!(text, "- **{}**: {}", column.title, column.help);
        }
        text
    }
}

/// A field of CSV (RFC 4180).
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
