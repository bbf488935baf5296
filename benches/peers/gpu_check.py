"""`gpu_ltm.py --check`: the trainers against the golden fixtures, in f32."""
from __future__ import annotations

import json
import os
import sys

import torch

import gpu_kernels as kernels
from cpu_ltm import Config
from gpu_settings import Fast, Settings, Slow
from ltm_data import read_safetensors


class Gaps:
    """Largest gaps relative to the largest value, against what is allowed."""

    def __init__(self, verbose):
        self.verbose, self.worst, self.failed, self.count = verbose, 0.0, 0, 0

    def compare(self, what, got, want, allowed):
        got, want = got.detach().double().cpu(), want.double().cpu()
        gap = float((got - want).abs().max() / want.abs().max().clamp(min=1e-30))
        ok = gap <= allowed
        self.failed += not ok
        self.count += 1
        self.worst = max(self.worst, gap)
        if self.verbose or not ok:
            print(f"{'ok  ' if ok else 'FAIL'} {what}: {gap:.1e} of the largest value, {allowed:.0e} allowed",
                  file=sys.stderr)


def check_windows(gaps, device):
    """Every form of the window that runs here, with and without whole blocks, against the written-out mask."""
    for seq, window in ((48, 16), (40, 16), (512, 256), (16, 16), (12, 16)):
        g = torch.Generator().manual_seed(3)
        q, k, v = (torch.randn(2, seq, 4, 16, generator=g) for _ in range(3))
        score = torch.einsum("bihd,bjhd->bhij", q, k).double() / 4.0
        for i in range(seq):
            score[..., i, :max(0, i - window + 1)] = float("-inf")
            score[..., i, i + 1:] = float("-inf")
        want = torch.einsum("bhij,bjhd->bihd", score.softmax(-1), v.double()).flatten(-2)
        for name in ("blocks", "mask"):
            attend = kernels.WINDOWS[name](seq, window, device)
            gaps.compare(f"window {name} T={seq} W={window}", attend(q.to(device), k.to(device), v.to(device)), want,
                         1e-5)


def check(folder, make, device, verbose, label):
    """`make(settings, named)` returns a trainer. Exit status."""
    g = read_safetensors(os.path.join(folder, "micro.safetensors"))
    with open(os.path.join(folder, "micro.json")) as f:
        spec = json.load(f)
    m, trace = spec["model"], spec["spec"]["trace"]
    named = {k[len("in.weight."):]: t.float() for k, t in g.items() if k.startswith("in.weight.")}
    batch, seq = g["in.tokens"].shape
    cfg = Config(m["dim"], m["n_layers"], m["n_heads"], m["vocab_size"], seq, m["window"], m["n_latents"],
                 spec["fast"]["steps"], batch, max_seq_len=m["max_seq_len"])
    gaps = Gaps(verbose)
    check_windows(gaps, device)
    every = list(range(cfg.fast_steps))

    def inputs(prefix):
        tokens, targets = (g[f"{prefix}.{k}"].long().to(device) for k in ("tokens", "targets"))
        return (tokens, targets, *(g[f"{prefix}.{k}"].float().to(device) for k in ("mu0", "logvar0", "eps")))

    def trainer(reading, samples=None, micro_batch=batch):
        s = Settings(cfg, reading, len(every) if samples is None and reading == "released" else samples or 0, batch,
                     micro_batch, dtype="f32", fast=Fast(ramp="off"),
                     slow=Slow(warmup=trace["warmup"], total=trace["total"], first_lr="zero"))
        return make(s, named)

    def whole(t, drawn, data, micro_batch=batch, follow=None):
        """An iteration up to the gradient; the slow loss."""
        t.zero()
        nll = 0.0
        for at in range(0, batch, micro_batch):
            part = tuple(x[at:at + micro_batch] for x in data)
            nll = nll + t.accumulate(*part, 0, drawn, batch * seq, trace=follow)[0]
        return nll / (batch * seq)

    for reading, mode in (("released", "accumulated"), ("paper", "final_z")):
        drawn = (every, 1.0) if reading == "released" else ([], 0.0)

        def follow(step, nll, kl, mu, logvar):
            at = f"fast.{step + 1}"
            for what, got, allowed in (("nll", nll, 1e-4), ("kl", kl, 1e-4), ("mu", mu, 1e-4), ("logvar", logvar, 1e-4)):
                gaps.compare(f"{reading} {at}.{what}", got, g[f"{at}.{what}"], allowed)
        t = trainer(reading)
        loss = whole(t, drawn, inputs("in"), follow=follow)
        gaps.compare(f"{reading} slow.loss", loss, g["slow.loss"], 1e-5)
        for name, grad in t.gradients().items():
            gaps.compare(f"{reading} gradient {name}", grad, g[f"slow.{mode}.grad.weight.{name}"], 1e-4)
        t = trainer(reading, micro_batch=1)
        whole(t, drawn, inputs("in"), micro_batch=1)
        for name, grad in t.gradients().items():
            gaps.compare(f"{reading} one by one, gradient {name}", grad, g[f"slow.{mode}.grad.weight.{name}"], 1e-4)

        t, rows = trainer(reading), []
        for it in range(trace["iterations"]):
            t.zero()
            nll, _ = t.accumulate(*inputs(f"trace.in.{it}"), it, drawn, batch * seq)
            rows.append((float(nll) / (batch * seq), float(t.update(it))))
        rows = torch.tensor(rows, dtype=torch.float64)
        gaps.compare(f"{reading} losses of {len(rows)} iterations", rows[:, 0], g[f"trace.{mode}.loss"], 1e-4)
        gaps.compare(f"{reading} norms of {len(rows)} iterations", rows[:, 1], g[f"trace.{mode}.grad_norm"], 1e-3)

    check_sampled(gaps, trainer, whole, inputs, g)
    print(json.dumps({"check": "failed" if gaps.failed else "passed", "variant": label, "device": str(device),
                      "quantities": gaps.count, "failed": gaps.failed, "largest_gap": gaps.worst,
                      "torch": torch.__version__}))
    return 1 if gaps.failed else 0


def check_sampled(gaps, trainer, whole, inputs, g):
    """Some fast steps' gradients with a weight: linear in the parts, which whole iterations give."""
    grads = {}
    for drawn in (([1], 2.0), ([3], 2.0), ([1, 3], 2.0)):
        t = trainer("paper", samples=2)
        whole(t, drawn, inputs("in"))
        grads[tuple(drawn[0])] = {k: x.clone() for k, x in t.gradients().items()}
    for name, both in grads[(1, 3)].items():
        final = g[f"slow.final_z.grad.weight.{name}"].to(both.device).float()
        gaps.compare(f"sampled gradient {name}", both + final, grads[(1,)][name] + grads[(3,)][name], 1e-4)
