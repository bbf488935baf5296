//! Latents that are given: those of a file, or on the way from one text to another.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::ValueEnum;
use ltm::generate::Latents;
use ltm::latents::{Encoder, LatentsFile, MixPath, Posterior, Text, fingerprint, mix};

use crate::commands::model::Model;

/// Which latents to write from.
#[derive(clap::Args, Debug)]
pub struct GivenArgs {
    /// Take z from a file that `ltm encode` wrote with this model
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prior", "prompts", "refit"])]
    latents: Option<PathBuf>,
    /// Texts of the file, such as 0,3,7 [default: 0]
    #[arg(long, value_delimiter = ',', requires = "latents", conflicts_with = "mix")]
    index: Vec<u64>,
    /// Go from the latents of one text to those of another: two texts, or two numbers of texts of
    /// --latents
    #[arg(long, num_args = 2, value_names = ["A", "B"],
        conflicts_with_all = ["prior", "prompts", "refit"])]
    mix: Vec<String>,
    /// Texts to write on the way from A to B, both included
    #[arg(long, default_value_t = 5, requires = "mix")]
    steps: usize,
    /// The way from A to B
    #[arg(long, value_enum, default_value_t = PathArg::Spherical, requires = "mix")]
    path: PathArg,
    /// Which z of the posteriors given
    #[arg(long, value_enum, default_value_t = PointArg::Mean)]
    z: PointArg,
    /// Take latents of another model of the same shape
    #[arg(long, requires = "latents")]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PathArg {
    /// Means turn from A to B, each vector at a length between theirs
    Spherical,
    /// Means on the straight line
    Linear,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PointArg {
    /// The mean
    Mean,
    /// A draw, the same noise for all texts of one number of a sample
    Sample,
}

/// Latents, and what they are of.
pub struct Given {
    /// In words.
    pub label: String,
    posterior: Posterior,
    point: PointArg,
}

impl Given {
    /// z of text `sample` of those that are written with it.
    pub fn latents(&self, seed: u64, sample: u32) -> Latents {
        Latents::Given(match self.point {
            PointArg::Mean => Arc::from(self.posterior.mu.as_slice()),
            PointArg::Sample => self.posterior.draw(seed, sample).into(),
        })
    }
}

impl GivenArgs {
    /// Whether z is given.
    pub fn any(&self) -> bool {
        self.latents.is_some() || !self.mix.is_empty()
    }

    /// Reads or infers the latents; none where none were asked for.
    pub fn read(
        &self,
        model: &mut Model,
        fast_steps: Option<usize>,
        stop: &AtomicBool,
    ) -> anyhow::Result<Vec<Given>> {
        let file = self.latents.as_ref().map(|path| LatentsFile::open(path)).transpose()?;
        if let Some(file) = &file {
            let own = fingerprint(model.device.as_mut(), &model.config.model, &model.parameters)?;
            file.expect_model(&model.config.model, &own, self.force)?;
        }
        let point = self.z;
        let [a, b] = self.mix.as_slice() else {
            let Some(file) = file else { return Ok(Vec::new()) };
            let first = [0];
            let texts = if self.index.is_empty() { &first[..] } else { &self.index };
            let given = |&text: &u64| {
                let posterior = file.posterior(text)?;
                let entry = &file.entries()[text as usize];
                let label = match entry.piece {
                    0 => format!("text {text}: {}", entry.source),
                    piece => format!("text {text}: {}, piece {piece}", entry.source),
                };
                Ok(Given { label, posterior, point })
            };
            return texts.iter().map(given).collect();
        };
        let ends = match &file {
            Some(file) => [self.of_file(file, a)?, self.of_file(file, b)?],
            None => {
                let mut encoder = Encoder::new(&model.config, &model.parameters, fast_steps)?;
                let mut of = |name: &str, words: &str| -> anyhow::Result<Posterior> {
                    let most = model.config.seq_len();
                    let text = Text::whole(&model.tokenizer, name, words, most)?;
                    let mut encoded = encoder.encode(model.device.as_mut(), &[&text], stop)?;
                    Ok(encoded.remove(0).posterior)
                };
                [of("--mix, text A", a)?, of("--mix, text B", b)?]
            }
        };
        let path = match self.path {
            PathArg::Spherical => MixPath::Spherical,
            PathArg::Linear => MixPath::Linear,
        };
        let way = mix(&ends[0], &ends[1], model.config.model.dim, self.steps, path)?;
        let given = |(share, posterior): (f64, Posterior)| {
            let label = format!("{:.0} % A, {:.0} % B", 100.0 * (1.0 - share), 100.0 * share);
            Given { label, posterior, point }
        };
        Ok(way.into_iter().map(given).collect())
    }

    fn of_file(&self, file: &LatentsFile, number: &str) -> anyhow::Result<Posterior> {
        let number = number.parse().with_context(|| {
            format!(
                "--mix {number:?}: expected the number of a text of --latents; leave --latents out \
                 to mix two texts in words"
            )
        })?;
        Ok(file.posterior(number)?)
    }
}
