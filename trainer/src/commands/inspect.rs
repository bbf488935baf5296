//! `ltm inspect`: a shard, a checkpoint or a run in words, and the kernels of the GPU backend.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use ltm::checkpoint::{self, Checkpoint, Purpose, TensorFile};
use ltm::config::{Config, Layers};
use ltm::latents::LatentsFile;
use ltm::metrics::{self, Metrics};
use ltm::run_dir::RunPaths;

use super::device::parse_threads;
use super::kernels;
use super::output::say;

/// Arguments of `ltm inspect`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A shard, a directory of shards, a checkpoint, a safetensors file, latents, or a run
    #[arg(required_unless_present = "kernels")]
    paths: Vec<PathBuf>,
    /// Every kernel of this build: registers, spills, shared memory, launch shape
    #[arg(long)]
    kernels: bool,
    /// Run them on the virtual GPU as well: bytes moved against the least, coalescing, bank
    /// conflicts, FLOPs
    #[arg(long, requires = "kernels")]
    measure: bool,
    /// Worker threads of the virtual GPU; 0 takes one per core
    #[arg(long, default_value_t = 0, value_parser = parse_threads, requires = "measure")]
    threads: usize,
}

/// Prints what each path is.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    for path in &args.paths {
        say!("{}", describe(path)?.trim_end())?;
    }
    if args.kernels {
        kernels::print(args.measure.then_some(args.threads))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(path: &Path) -> anyhow::Result<String> {
    if !path.exists() {
        bail!("{}: no such file or directory", path.display());
    }
    if path.join("config.toml").is_file() {
        return describe_run(path);
    }
    if path.join("model.safetensors").is_file() || path.join("state.json").is_file() {
        return describe_checkpoint(path);
    }
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return describe_tensors(path);
    }
    match ltm_tools::shard::describe(path) {
        Err(ltm_tools::Error::NoShards { .. }) => bail!(
            "{} is neither a run nor a checkpoint, and holds no shard; give one of these",
            path.display()
        ),
        other => Ok(other?),
    }
}

fn model_line(config: &Config) -> String {
    let m = &config.model;
    let latents = match m.is_autoregressive() {
        true => "no latents (autoregressive)".to_owned(),
        false => format!("{} latents ({} a layer)", m.latents, m.latents_per_layer()),
    };
    format!(
        "{:.2}M parameters: {} layers, width {}, {} heads, feed-forward {}, vocabulary {}, \
         {latents}, window {}, up to {} tokens",
        config.parameter_count() as f64 / 1e6,
        m.layers,
        m.dim,
        m.heads,
        m.ffn_dim(),
        m.vocab_size,
        m.window,
        m.max_seq_len
    )
}

fn describe_run(path: &Path) -> anyhow::Result<String> {
    let paths = RunPaths::new(path);
    let config = Layers::from_toml(&paths.config())?.finish(None)?;
    let reading = format!("{:?}", config.reading).to_lowercase();
    let fast = match config.model.is_autoregressive() {
        true => String::new(),
        false => format!(
            ", {} fast steps, weight gradients of {} of them",
            config.fast.steps,
            config.trajectory_samples()
        ),
    };
    let mut lines = vec![
        format!("{}: a run, reading {reading}", path.display()),
        format!("  model: {}", model_line(&config)),
        format!(
            "  training: {} iterations of {} sequences of {} tokens{fast}",
            config.train.iterations,
            config.train.batch,
            config.seq_len(),
        ),
    ];
    if paths.metrics().is_file() {
        let all: Vec<Metrics> = metrics::read(&paths.metrics())?;
        lines.push(match all.last() {
            None => "  no iteration yet".to_owned(),
            Some(last) => format!(
                "  iteration {}: nll {:.4} + kl {:.4} = bound {:.4} nats/token",
                last.iteration, last.nll, last.kl, last.bound
            ),
        });
        let mut validations =
            all.iter().filter_map(|m| Some((m.iteration, m.validation.as_ref()?)));
        if let Some((iteration, v)) = validations.next_back() {
            lines.push(format!("  last validation, iteration {iteration}: {}", v.in_words()));
        }
    }
    for (iteration, checkpoint) in checkpoint::list(&paths.checkpoints()).unwrap_or_default() {
        lines.push(format!("  checkpoint of iteration {iteration}: {}", checkpoint.display()));
    }
    Ok(lines.join("\n"))
}

fn describe_checkpoint(path: &Path) -> anyhow::Result<String> {
    let checkpoint = Checkpoint::open(path, Purpose::Training)
        .with_context(|| format!("{} is no whole checkpoint", path.display()))?;
    let state = checkpoint.state();
    let mut lines = vec![
        format!("{}: a checkpoint after {} iterations", path.display(), state.iteration),
        format!("  model: {}", model_line(checkpoint.config())),
        format!(
            "  data: tokenizer {}, {} of {} windows an epoch consumed",
            state.tokenizer, state.windows_consumed, state.windows
        ),
        format!("  seed {}, {} updates of the weights", state.seed, state.optimizer_steps),
    ];
    if let Some(best) = &state.best_validation {
        let (bound, iteration) = (best.bound, best.iteration);
        lines.push(format!(
            "  best validation bound {bound:.4} nats/token, after iteration {iteration}"
        ));
    }
    Ok(lines.join("\n"))
}

fn describe_tensors(path: &Path) -> anyhow::Result<String> {
    if let Ok(latents) = LatentsFile::open(path) {
        return Ok(describe_latents(path, &latents));
    }
    let file = TensorFile::open(path)?;
    let names = file.names();
    let mut lines = vec![format!("{}: {} tensors", path.display(), names.len())];
    lines.extend(names.into_iter().map(|name| format!("  {name}")));
    Ok(lines.join("\n"))
}

fn describe_latents(path: &Path, file: &LatentsFile) -> String {
    /// Texts that are shown.
    const SHOWN: usize = 5;
    let (header, entries) = (file.header(), file.entries());
    let mut lines = vec![
        format!(
            "{}: latents of {} texts, {} vectors of width {} each{}",
            path.display(),
            entries.len(),
            header.latents,
            header.dim,
            if header.complete { "" } else { "; not complete, encoding was stopped" }
        ),
        format!(
            "  model {:.12} after {} iterations, tokenizer {}, {} fast steps",
            header.model, header.iteration, header.tokenizer, header.fast_steps
        ),
    ];
    for entry in entries.iter().take(SHOWN) {
        let per_token = |nats: f64| nats / entry.tokens as f64;
        lines.push(format!(
            "  text {}: {}, piece {}, {} tokens, nll {:.4} + kl {:.4} nats/token",
            entry.text,
            entry.source,
            entry.piece,
            entry.tokens,
            per_token(entry.nll),
            per_token(entry.kl)
        ));
    }
    if entries.len() > SHOWN {
        lines.push(format!("  and {} more", entries.len() - SHOWN));
    }
    lines.join("\n")
}
