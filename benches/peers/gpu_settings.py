"""Shapes and schedules of a run: the presets of `ltm`, or the config.toml that `ltm train` leaves in a run."""
from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from cpu_ltm import Config

_PUBLISHED = dict(dim=512, n_heads=8, vocab=50258, seq=1024, window=256)
PRESETS = {
    "small": dict(_PUBLISHED, n_layers=3, n_latents=24, fast_steps=16, batch=64),
    "medium": dict(_PUBLISHED, n_layers=6, n_latents=24, fast_steps=16, batch=64),
    "large": dict(_PUBLISHED, n_layers=12, n_latents=96, fast_steps=64, batch=64),
    "tiny": dict(dim=128, n_layers=2, n_heads=4, vocab=256, seq=256, window=256, n_latents=8, fast_steps=16, batch=8),
}


@dataclass
class Fast:
    lr: float = 0.34
    floor: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    schedule_steps: int = 0
    ramp: str = "auto"
    ramp_from: float = 0.30
    ramp_to: float = 0.34


@dataclass
class Slow:
    lr: float = 4e-4
    min_lr: float = 4e-5
    warmup: int = 1000
    total: int = 60000
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0
    first_lr: str = "auto"


@dataclass
class Posterior:
    mu_std: float = 0.01
    logvar_mean: float = -5.0
    logvar_std: float = 0.1


@dataclass
class Settings:
    model: Config
    reading: str = "released"
    samples: int = 0                # fast steps whose weight gradients are used
    batch: int = 64                 # sequences an iteration
    micro_batch: int = 64           # sequences at once
    seed: int = 1
    iterations: int = 60000
    dtype: str = "bf16"
    fast: Fast = field(default_factory=Fast)
    slow: Slow = field(default_factory=Slow)
    posterior: Posterior = field(default_factory=Posterior)

    def fast_peak(self, iteration):
        f = self.fast
        ramps = f.ramp == "on" or (f.ramp == "auto" and self.reading == "paper")
        if not ramps:
            return f.lr
        done = min(iteration, self.slow.total) / max(1, self.slow.total - 1)
        return f.ramp_from + (f.ramp_to - f.ramp_from) * done

    def fast_lr(self, step, peak):
        low, span = self.fast.floor * peak, self.fast.schedule_steps or self.model.fast_steps
        return low + cosine(step / span) * (peak - low) if step < span else low

    def slow_lr(self, iteration):
        s = self.slow
        if iteration < s.warmup:
            zero = s.first_lr == "zero" or (s.first_lr == "auto" and self.reading == "released")
            return s.lr * (iteration + (not zero)) / s.warmup
        if iteration > s.total:
            return s.min_lr
        return s.min_lr + cosine((iteration - s.warmup) / max(1, s.total - s.warmup)) * (s.lr - s.min_lr)


def cosine(fraction):
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


def of_preset(name, reading, samples=None):
    model = Config(**PRESETS[name])
    s = Settings(model, reading, batch=model.batch, micro_batch=model.batch)
    s.samples = samples if samples is not None else (model.fast_steps if reading == "released" else 0)
    return s


def _taken(kind, table):
    known = {f.name for f in fields(kind)}
    return kind(**{k: v for k, v in table.items() if k in known})


def of_config(path):
    """From a config.toml with every setting resolved."""
    try:
        import tomllib
    except ImportError:
        raise SystemExit("--config needs Python 3.11 or later (tomllib)") from None
    with open(path, "rb") as f:
        t = tomllib.load(f)
    m, train = t["model"], t["train"]
    for key, known in (("latent_rope", True), ("latent_spacing", "total")):
        if m.get(key, known) != known:
            raise SystemExit(f"{path}: model.{key} = {m[key]!r} is not written here, only {known!r}")
    batch = train["batch"]
    model = Config(m["dim"], m["layers"], m["heads"], m["vocab_size"], train.get("seq_len") or m["max_seq_len"],
                   m["window"], m["latents"], t["fast"]["steps"], batch, max_seq_len=m["max_seq_len"],
                   norm_eps=m.get("norm_eps", 1e-5), theta=m.get("rope_theta", 1e4))
    multiple = m.get("multiple_of", 32)
    model.ffn_dim = m.get("ffn_dim") or -(-int(8 * m["dim"] / 3) // multiple) * multiple
    reading = t.get("reading", "released")
    samples = t["slow"].get("trajectory_samples", "auto")
    if samples == "auto":
        samples = model.fast_steps if reading == "released" else 0
    s = Settings(model, reading, min(samples, model.fast_steps), batch, train.get("micro_batch") or batch,
                 train["seed"], train["iterations"], train.get("dtype", "f32"), _taken(Fast, t["fast"]),
                 _taken(Slow, t["slow"]), _taken(Posterior, t.get("posterior", {})))
    s.slow.total = s.slow.total or train["iterations"]
    return s
