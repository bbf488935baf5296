//! `ltm bench`: whole training iterations, single operations, and where the time goes.

mod kernels;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::ValueEnum;
use ltm::Trainer;
use ltm::config::{Config, Layers, Preset, Reading};
use ltm::data::{Loader, Split};
use ltm::traffic::FastStep;
use ltm::trainer::NEVER;
use ltm_autograd::{Profile, Segment};
use ltm_engine::DeviceKind;
use ltm_engine::cpu::matmul_usage;
use ltm_engine::philox::Stream;

use super::device::{DeviceArgs, ProfileArgs, parse_bytes};
use super::output::say;

/// Arguments of `ltm bench`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Shape: small, medium and large are T 1024, batch 1, or 64 on an NVIDIA GPU; tiny is D 128,
    /// 2 layers, V 256, T 256, batch 8
    #[arg(long, value_enum, default_value = "tiny")]
    shape: Shape,
    /// Which reading of the algorithm; both if absent
    #[arg(long, value_enum)]
    reading: Option<ReadingArg>,
    /// Iterations to time
    #[arg(long, default_value_t = 5)]
    iterations: u64,
    /// Iterations before them that are not timed
    #[arg(long, default_value_t = 1)]
    warmup: u64,
    /// Shards to train on; random tokens if absent
    #[arg(long)]
    data: Option<PathBuf>,
    /// Change a setting of the shape, as in `ltm train`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Time each operation of a fast step, of one with weight gradients, and of the slow step
    #[arg(long)]
    by_operation: bool,
    /// Time every operation at the shape, beside what a large copy and a large product reach, and
    /// then iterations part by part; on the virtual GPU everything is small, to see that it works
    #[arg(long, conflicts_with_all = ["count", "by_operation"])]
    kernels: bool,
    /// With --kernels: samples of an operation [default: 20 on an NVIDIA GPU, else 3]
    #[arg(long, requires = "kernels")]
    samples: Option<usize>,
    /// With --kernels: bytes of the arguments that the calls of an operation take in turn, so that
    /// no cache holds them [default: 256MiB on an NVIDIA GPU, else two sets of them]
    #[arg(long, requires = "kernels", value_parser = parse_bytes)]
    rotate: Option<u64>,
    /// Instead of timing, count what the kernels of a fast step move and compute, on the virtual
    /// GPU; --set model.dim=256 and the like for another shape
    #[arg(long)]
    count: bool,
    /// Print JSON lines: one per reading, and with --kernels one per operation
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    Tiny,
    Small,
    Medium,
    Large,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReadingArg {
    Paper,
    Released,
}

impl Shape {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl ReadingArg {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl Args {
    fn config(&self, reading: ReadingArg) -> anyhow::Result<Config> {
        let preset = match self.shape {
            Shape::Tiny => Preset::Tiny,
            Shape::Small => Preset::Small,
            Shape::Medium => Preset::Medium,
            Shape::Large => Preset::Large,
        };
        let mut config = Layers::preset(preset)?.finish(None)?;
        config.reading = match reading {
            ReadingArg::Paper => Reading::Paper,
            ReadingArg::Released => Reading::Released,
        };
        // The measured shapes, whatever the presets are tuned to.
        config.train.micro_batch = 0;
        match self.shape {
            Shape::Small | Shape::Medium | Shape::Large => {
                config.train.batch = if self.device.kind() == DeviceKind::Cuda { 64 } else { 1 };
            }
            Shape::Tiny => {
                let m = &mut config.model;
                (m.dim, m.heads, m.layers, m.vocab_size) = (128, 4, 2, 256);
                (m.max_seq_len, m.window, m.latents) = (256, 256, 8);
                config.fast.steps = 16;
                config.train.batch = 8;
                config.train.seq_len = 0;
            }
        }
        let mut layers = Layers::from_config(config);
        if self.is_reduced() {
            layers = kernels::reduced(layers, self.shape)?;
        }
        for setting in &self.set {
            layers = layers.set(setting)?;
        }
        let config = self.device.layer(layers)?.finish(None)?;
        self.device.check(&config)?;
        Ok(config)
    }
}

impl Args {
    /// Whether the shape is made small: of every operation at its own, the virtual GPU would take
    /// hours.
    fn is_reduced(&self) -> bool {
        self.kernels && self.device.kind() == DeviceKind::Vm
    }
}

/// Times training.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.profile.apply();
    let readings = match args.reading {
        Some(reading) => vec![reading],
        None => vec![ReadingArg::Paper, ReadingArg::Released],
    };
    if args.count {
        return count(&args, readings[0]);
    }
    if args.kernels {
        return kernels::run(&args, &readings);
    }
    for reading in readings {
        measure(&args, reading)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The fast step is the same in both readings.
fn count(args: &Args, reading: ReadingArg) -> anyhow::Result<ExitCode> {
    let config = args.config(reading)?;
    if config.model.is_autoregressive() {
        bail!("model.latents is 0, and --count counts a fast step; leave one of them out");
    }
    let step = FastStep::count(&config, args.device.threads)?;
    if args.json {
        say!("{}", serde_json::to_string(&step)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (batch, seq) = (config.train.batch, config.seq_len());
    say!("one fast step of {batch} sequences of {seq} tokens, {}", config.train.dtype)?;
    step.lines().iter().try_for_each(|line| say!("{line}"))?;
    say!(
        "least: arguments once, no logits or scores; memory: 32-byte sectors, once a launch; \
         cache: as often as blocks ask for them"
    )?;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args, reading: ReadingArg) -> anyhow::Result<()> {
    let config = args.config(reading)?;
    let (batch, seq) = (config.train.batch, config.seq_len());
    let mut trainer = Trainer::new(args.device.open_for(&config)?, config.clone())?;
    let seed = config.train.seed;
    trainer.parameters.initialise(trainer.device.as_mut(), &config.model, seed)?;
    let mut source = Source::open(args, &config)?;
    let (mut seconds, mut matmul) = (Vec::new(), (0.0, 0.0));
    let mut loss = f64::NAN;
    for iteration in 0..args.warmup + args.iterations {
        let (tokens, targets) = source.next(batch, iteration)?;
        let (before, start) = (matmul_usage(), Instant::now());
        loss = trainer.iterate(iteration, &tokens, &targets, &NEVER)?.loss;
        if iteration >= args.warmup {
            seconds.push(start.elapsed().as_secs_f64());
            let after = matmul_usage();
            matmul.0 += after.seconds - before.seconds;
            matmul.1 += after.flops - before.flops;
        }
    }
    if seconds.is_empty() {
        bail!("--iterations is 0, expected at least 1");
    }
    let total: f64 = seconds.iter().sum();
    seconds.sort_by(f64::total_cmp);
    let tokens = (batch * seq) as f64;
    let rate = |s: f64| tokens / s;
    let threads = thread_count(args)?;
    let shares = matmul.0 / (total * threads as f64);
    let gflops = matmul.1 / matmul.0 / 1e9;
    let (median, slowest) = (seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
    let rss = ltm::resources::peak_rss_bytes().unwrap_or(0);
    if args.json {
        let line = serde_json::json!({
            "impl": "ltm",
            "shape": args.shape.name(),
            "reading": reading.name(),
            "device": trainer.device.name(),
            "dtype": config.train.dtype.name(),
            "threads": threads,
            "iterations": args.iterations,
            "tokens_per_second": rate(median),
            "tokens_per_second_min": rate(slowest),
            "tokens_per_second_max": rate(seconds[0]),
            "peak_rss_bytes": rss,
            "matmul_share": shares,
            "matmul_gflops_per_thread": gflops,
            "loss": loss,
        });
        say!("{line}")?;
        return Ok(());
    }
    say!("{:?} {reading:?} on {}", args.shape, trainer.device.name())?;
    say!(
        "  {:.1} tokens/s (median of {}, {:.1} to {:.1}), peak RSS {:.0} MB",
        rate(median),
        args.iterations,
        rate(slowest),
        rate(seconds[0]),
        rss as f64 / 1e6
    )?;
    // Only the CPU's products are counted.
    if matmul.1 > 0.0 {
        say!(
            "  matrix products: {:.0}% of the thread time, {gflops:.1} GFLOP/s a thread; \
             {:.1} GFLOP/s over everything",
            100.0 * shares,
            matmul.1 / total / 1e9
        )?;
    }
    say!("  last loss {loss:.4} nats/token")?;
    if args.by_operation {
        print_operations(&mut trainer)?;
    }
    Ok(())
}

fn print_operations(trainer: &mut Trainer) -> anyhow::Result<()> {
    let mut programs = Vec::new();
    if !trainer.config.model.is_autoregressive() {
        programs.push(("fast step", &trainer.passes.fast));
    }
    if let Some(training) = &trainer.passes.training {
        if let Some((program, _)) = &training.fast_with_weights {
            programs.push(("fast step with weight gradients", program));
        }
        programs.push(("slow step", &training.slow));
    }
    for (name, program) in programs {
        let mut profile = Profile::default();
        for _ in 0..3 {
            program.run_profiled(Segment::All, trainer.device.as_mut(), &mut profile)?;
        }
        let total: f64 = profile.by_operation.values().map(|(_, t)| t.as_secs_f64()).sum();
        say!("  {name}: {:.2} ms", total / 3.0 * 1e3)?;
        for (operation, (calls, time)) in &profile.by_operation {
            let time = time.as_secs_f64();
            say!(
                "    {operation:<28} {:>4} calls {:>9.3} ms {:>5.1}%",
                calls / 3,
                time / 3.0 * 1e3,
                100.0 * time / total
            )?;
        }
    }
    Ok(())
}

fn thread_count(args: &Args) -> anyhow::Result<usize> {
    match args.device.threads {
        0 => Ok(std::thread::available_parallelism().context("cannot count the cores")?.get()),
        n => Ok(n),
    }
}

/// Where the tokens come from.
enum Source {
    Shards(Box<Loader>),
    Random { vocab: usize, seq: usize },
}

impl Source {
    fn open(args: &Args, config: &Config) -> anyhow::Result<Self> {
        let (vocab, seq) = (config.model.vocab_size, config.seq_len());
        Ok(match &args.data {
            None => Source::Random { vocab, seq },
            Some(dir) => Source::Shards(Box::new(Loader::open(
                dir,
                Split::Train,
                seq,
                config.train.seed,
                vocab,
            )?)),
        })
    }

    fn next(&mut self, batch: usize, iteration: u64) -> anyhow::Result<(Vec<i32>, Vec<i32>)> {
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        match self {
            Source::Shards(loader) => loader.next_batch(batch, &mut tokens, &mut targets)?,
            Source::Random { vocab, seq } => {
                let iteration = iteration as u32;
                for sample in 0..batch as u32 {
                    let stream = Stream { seed: 1, site: u32::MAX, sample, iteration };
                    let words = (0..=*seq as u32).map(|i| stream.block(i)[0] as usize % *vocab);
                    let row: Vec<i32> = words.map(|w| w as i32).collect();
                    tokens.extend(&row[..*seq]);
                    targets.extend(&row[1..]);
                }
            }
        }
        Ok((tokens, targets))
    }
}
