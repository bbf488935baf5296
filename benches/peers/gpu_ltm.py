"""Latent Thought Model training in PyTorch on a GPU: the peers `ltm` is measured against.

One process, one JSON line on standard output. See README.md beside this file.

    python gpu_ltm.py --variant strongest --shape small --reading paper
    python gpu_ltm.py --variant released-eager --check GOLDEN_DIR --device cpu
    python gpu_ltm.py --variant strongest --config RUN/config.toml --init MODEL.safetensors --data DIR --curve FILE
"""
from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time

# All cores compile; the setting must be made before torch is imported.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(min(32, os.cpu_count() or 1)))

import torch  # noqa: E402

import ltm_data  # noqa: E402
from cpu_ltm import Weights  # noqa: E402
from gpu_check import check  # noqa: E402
from gpu_released import ReleasedTrainer  # noqa: E402
from gpu_settings import PRESETS, of_config, of_preset  # noqa: E402
from gpu_strongest import StrongestTrainer  # noqa: E402

VARIANTS = ("released-eager", "released-compiled", "strongest")


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--variant", choices=VARIANTS, default="strongest")
    a.add_argument("--shape", choices=list(PRESETS), default="small")
    a.add_argument("--config", help="config.toml of a run of ltm: its settings instead of --shape and --reading")
    a.add_argument("--reading", choices=("paper", "released"), default="paper")
    a.add_argument("--samples", type=int, help="fast steps whose weight gradients are used (trajectory samples)")
    a.add_argument("--batch", type=int, help="sequences an iteration")
    a.add_argument("--micro-batch", type=int, help="sequences at once; default all of the batch")
    a.add_argument("--seq", type=int, help="tokens of a sequence")
    a.add_argument("--dtype", choices=("bf16", "f32"), help="of the passes; default bf16, with --check f32")
    a.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    a.add_argument("--data", help="folder of llm.c shards (train_*.bin); random tokens without it")
    a.add_argument("--init", help="weights to start from: model.safetensors of a checkpoint of ltm")
    a.add_argument("--iterations", type=int, default=10, help="measured iterations; with --curve, all of them")
    a.add_argument("--warmup", type=int, default=3)
    a.add_argument("--seconds", type=float, default=math.inf, help="stop measuring after this long")
    a.add_argument("--curve", help="train, and write a line of JSON per iteration there")
    a.add_argument("--check", metavar="DIR", help="compare with micro.safetensors there, and stop")
    a.add_argument("--compile", choices=("none", "default", "max-autotune-no-cudagraphs"),
                   help="torch.compile of the variant strongest; default the last, without it on a CPU")
    a.add_argument("--attention", choices=("auto", "flash", "flex", "blocks", "mask"), default="auto")
    a.add_argument("--latent", choices=("auto", "sdpa", "diagonal"), default="auto")
    a.add_argument("--loss", choices=("auto", "chunked", "flash", "flex"), default="auto")
    a.add_argument("--chunk", type=int, default=8192, help="tokens in a chunk of logits")
    a.add_argument("--no-graphs", dest="graphs", action="store_false", help="launch the fast steps one by one")
    a.add_argument("--verbose", action="store_true")
    return a.parse_args()


def settings_of(args):
    s = of_config(args.config) if args.config else of_preset(args.shape, args.reading, args.samples)
    if args.config and args.samples is not None:
        s.samples = args.samples
    if args.seq:
        s.model.seq = args.seq
    if args.batch or args.micro_batch:
        s.batch = args.batch or s.batch
        s.micro_batch = args.micro_batch or min(s.micro_batch, s.batch)
    if s.micro_batch < 1 or s.batch % s.micro_batch:
        raise SystemExit(f"--micro-batch {s.micro_batch} does not divide the batch of {s.batch}")
    if not args.config:
        s.dtype = "bf16"
    s.dtype = args.dtype or s.dtype
    return s


def trainer_of(args, settings, named, device):
    if args.variant == "strongest":
        return StrongestTrainer(settings, named, device, args)
    return ReleasedTrainer(settings, named, device, args.variant == "released-compiled")


class Clock:
    """Marks on the device's time line; on a CPU its own clock."""

    def __init__(self, device):
        self.cuda, self.marks = device.type == "cuda", []

    def mark(self):
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def take(self):
        """Milliseconds between neighbouring marks; forgets them."""
        if self.cuda:
            torch.cuda.synchronize()
            out = [a.elapsed_time(b) for a, b in zip(self.marks, self.marks[1:])]
        else:
            out = [1e3 * (b - a) for a, b in zip(self.marks, self.marks[1:])]
        self.marks = []
        return out


def quantiles(name, values):
    """Median, extremes and quartiles, milliseconds."""
    at = lambda q: round(sorted(values)[min(len(values) - 1, int(q * len(values)))], 4)
    return {f"{name}_ms": round(statistics.median(values), 4), f"{name}_ms_min": at(0.0), f"{name}_ms_p25": at(0.25),
            f"{name}_ms_p75": at(0.75), f"{name}_ms_max": round(max(values), 4)}


class Source:
    """Batches with their noise, as `ltm train` draws them; random tokens where there is no data."""

    def __init__(self, settings, folder, device):
        self.s, self.device = settings, device
        cfg = settings.model
        self.shards = ltm_data.Shards(folder, cfg.seq, cfg.vocab, settings.seed) if folder else None
        if not folder:
            g = torch.Generator().manual_seed(settings.seed)
            self.random = torch.randint(0, cfg.vocab, (settings.batch, cfg.seq + 1), generator=g).to(device)

    def tokens(self):
        if self.shards is None:
            return self.random[:, :-1].contiguous(), self.random[:, 1:].contiguous()
        return tuple(t.to(self.device) for t in self.shards.batch(self.s.batch))

    def noise(self, iteration, first, count):
        """mu, logvar and eps of these sequences."""
        cfg, start = self.s.model, self.s.posterior
        draw = lambda site: ltm_data.normals(self.s.seed, site, iteration, first, count, cfg.n_latents * cfg.dim,
                                             self.device).view(count, cfg.n_latents, cfg.dim)
        return (start.mu_std * draw(ltm_data.MU0), start.logvar_mean + start.logvar_std * draw(ltm_data.LOGVAR0),
                draw(ltm_data.EPS))


def iterate(trainer, source, iteration, clock):
    """One iteration; nll and KL per token, norm, still on the device. A mark at its start and end."""
    s = trainer.s
    tokens, targets = source.tokens()
    drawn = ltm_data.trajectory(s.samples, s.model.fast_steps, s.seed, iteration)
    noise = [source.noise(iteration, at, s.micro_batch) for at in range(0, s.batch, s.micro_batch)]
    total, nll, kl, steps = s.batch * s.model.seq, 0.0, 0.0, []
    clock.mark()
    trainer.zero()
    inner = Clock(trainer.device)
    for index, start in enumerate(noise):
        part = slice(index * s.micro_batch, (index + 1) * s.micro_batch)
        a, b = trainer.accumulate(tokens[part], targets[part], *start, iteration, drawn, total, mark=inner.mark)
        steps.append(inner.marks)
        inner.marks = []
        nll, kl = nll + a, kl + b
    norm = trainer.update(iteration)
    clock.mark()
    return nll / total, kl / total, norm, steps


def run(args, settings, named, device):
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    trainer, source, clock = trainer_of(args, settings, named, device), Source(settings, args.data, device), Clock(device)
    whole, fast, losses, tokens = [], [], [], settings.batch * settings.model.seq
    curve = open(args.curve, "w") if args.curve else None
    warmup = 0 if curve else args.warmup
    setup, peak_setup, started = 0.0, 0, None
    for iteration in range(warmup + args.iterations):
        if iteration == warmup or (curve and iteration == 1):
            if device.type == "cuda":
                torch.cuda.synchronize()
                peak_setup = max(peak_setup, torch.cuda.max_memory_allocated())
                torch.cuda.reset_peak_memory_stats()
            setup, started = time.perf_counter() - begun, time.perf_counter()
        nll, kl, norm, steps = iterate(trainer, source, iteration, clock)
        losses.append((nll, kl, norm))
        if iteration < warmup:
            clock.marks = []
            continue
        whole += clock.take()
        for marks in steps:
            inner = Clock(device)
            inner.marks = marks
            fast += inner.take()
        nll, kl, norm = (float(x) for x in losses[-1])
        if not math.isfinite(nll) or not math.isfinite(norm):
            raise SystemExit(f"iteration {iteration}: the loss is {nll}, the gradient's norm {norm}")
        if curve:
            curve.write(json.dumps({"iteration": iteration, "tokens": (iteration + 1) * tokens, "loss": nll, "nll": nll,
                                    "kl": kl, "bound": nll + kl, "grad_norm": norm, "seconds": whole[-1] / 1e3,
                                    "slow_lr": settings.slow_lr(iteration)}) + "\n")
            curve.flush()
        if args.verbose:
            print(f"iteration {iteration}: {whole[-1]:.2f} ms, loss {nll:.4f}, KL {kl:.4f}, norm {norm:.4g}",
                  file=sys.stderr)
        if started is not None and time.perf_counter() - started > args.seconds:
            break
    if not whole:
        raise SystemExit("--iterations must be at least 1")
    if curve:
        curve.close()
        whole, fast = whole[1:] or whole, fast[settings.model.fast_steps:] or fast
    speed = lambda ms: round(tokens / ms * 1e3, 2)
    result = {"impl": f"pytorch-{args.variant}", "shape": "config" if args.config else args.shape,
              "reading": settings.reading, "trajectory_samples": settings.samples, "batch": settings.batch,
              "micro_batch": settings.micro_batch, "seq": settings.model.seq, "fast_steps": settings.model.fast_steps,
              "dtype": settings.dtype, "iterations": len(whole), "tokens_per_second": speed(statistics.median(whole)),
              "tokens_per_second_min": speed(max(whole)), "tokens_per_second_max": speed(min(whole)),
              **quantiles("iteration", whole), **quantiles("fast_step", fast), "setup_seconds": round(setup, 2),
              "loss": nll, "kl": kl, "grad_norm": norm, "data": "shards" if args.data else "random",
              "init": "checkpoint" if args.init else "own", **trainer.report, **environment(device)}
    if device.type == "cuda":
        result["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
        result["peak_memory_reserved_bytes"] = torch.cuda.max_memory_reserved()
        result["peak_memory_setup_bytes"] = peak_setup
    print(json.dumps(result))
    return 0


def environment(device):
    out = {"torch": torch.__version__, "python": platform.python_version(), "cuda": torch.version.cuda}
    try:
        import triton
        out["triton"] = triton.__version__
    except ImportError:
        out["triton"] = None
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        out.update(gpu=p.name, gpu_memory_bytes=p.total_memory, capability=f"{p.major}.{p.minor}",
                   driver=driver_version(), cudnn=torch.backends.cudnn.version())
    return out


def driver_version():
    try:
        answer = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                                capture_output=True, text=True, timeout=30)
        return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else None
    except (OSError, subprocess.SubprocessError):
        return None


def main():
    args = arguments()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("error: PyTorch finds no CUDA GPU here; run this on a machine with one, or say --device cpu (tiny shapes)",
              file=sys.stderr)
        return 1
    device = torch.device(args.device)
    if args.compile is None:
        args.compile = "max-autotune-no-cudagraphs" if device.type == "cuda" else "none"
    torch.manual_seed(0)
    if args.check:
        # Exact products: the fixtures are float64.
        torch.backends.cuda.matmul.allow_tf32 = False
        args.chunk = min(args.chunk, 40)
        return check(args.check, lambda s, named: trainer_of(args, s, named, device), device, args.verbose,
                     args.variant)
    torch.backends.cuda.matmul.allow_tf32 = True
    settings = settings_of(args)
    if args.init:
        named = {k: t.float() for k, t in ltm_data.read_safetensors(args.init).items()}
    else:
        named = Weights(settings.model).init(settings.seed).named()
    return run(args, settings, named, device)


if __name__ == "__main__":
    sys.exit(main())
