"""Write golden fixtures (safetensors + JSON) computed by ltm_reference.py.

    python make_golden.py                       micro, small and ops into the folder above
    python make_golden.py --only micro
    python make_golden.py --spec my.json --out dir      a set of your own (same keys)

All inputs are rounded to float32 before use, so an implementation can load them
without loss; all arithmetic is float64. The same computation is then repeated in
float32 and the distance between the two is written to the JSON as
"float32_floor": no float32 implementation should be expected to do much better.
"""
from __future__ import annotations

import argparse
import json
import math
import os
from dataclasses import asdict
from typing import Dict, List

import torch
from safetensors.torch import save_file

import ltm_reference as R

Tensor = torch.Tensor
HERE = os.path.dirname(os.path.abspath(__file__))

SPECS = {
    "micro": {
        "name": "micro", "seed": 32,
        "model": dict(dim=64, n_layers=2, n_heads=4, vocab_size=97, max_seq_len=48, window=16,
                      n_latents=8, multiple_of=32),
        "batch": 3, "seq": 48, "short_seq": 29,
        "std": {"matrix": 0.1, "embedding": 0.1, "norm": 0.1},
        "posterior": {"mu_std": 0.5, "logvar_mean": -2.0, "logvar_std": 0.7},
        "fast": {"steps": 4, "lr": 0.34}, "slow_lr": 4e-4,
        "trace": {"iterations": 4, "warmup": 2, "total": 10},
        "weight_storage": "float64", "logit_stride": 1, "all_taps": True,
    },
    "small": {
        "name": "small", "seed": 48,
        "model": dict(dim=128, n_layers=3, n_heads=2, vocab_size=512, max_seq_len=160, window=64,
                      n_latents=24, multiple_of=32),
        "batch": 2, "seq": 160, "short_seq": 101,
        "std": {"matrix": 0.08, "embedding": 0.06, "norm": 0.1},
        "posterior": {"mu_std": 0.01, "logvar_mean": -5.0, "logvar_std": 0.1},
        "fast": {"steps": 4, "lr": 0.34}, "slow_lr": 4e-4,
        "trace": None,
        "weight_storage": "float32", "logit_stride": 16, "all_taps": False,
    },
}


# --------------------------------------------------------------------------
# inputs
# --------------------------------------------------------------------------
class Draw:
    """Seeded normal and token draws; reals are rounded to float32 values."""

    def __init__(self, seed: int):
        self.gen = torch.Generator().manual_seed(seed)

    def normal(self, *shape, std: float = 1.0, mean: float = 0.0) -> Tensor:
        x = torch.randn(shape, generator=self.gen, dtype=torch.float64) * std + mean
        return x.float()

    def tokens(self, batch: int, n: int, vocab: int) -> Tensor:
        """Skewed frequencies, so that embedding rows repeat inside a batch."""
        weight = 1.0 / (torch.arange(vocab, dtype=torch.float64) + 3.0)
        order = torch.randperm(vocab, generator=self.gen)
        picks = torch.multinomial(weight.expand(batch, -1), n, replacement=True, generator=self.gen)
        return order[picks]

    def pair(self, batch: int, n: int, vocab: int):
        stream = self.tokens(batch, n + 1, vocab)
        return stream[:, :-1].contiguous(), stream[:, 1:].contiguous()


def draw_inputs(spec: dict) -> Dict[str, Tensor]:
    cfg = R.ModelConfig(**spec["model"])
    cfg.check()
    d = Draw(spec["seed"])
    std, post = spec["std"], spec["posterior"]
    x: Dict[str, Tensor] = {}
    for name, shape in R.parameter_shapes(cfg).items():
        if len(shape) == 1:
            x["in.weight." + name] = d.normal(*shape, std=std["norm"], mean=1.0)
        else:
            x["in.weight." + name] = d.normal(*shape, std=std["embedding" if "embed" in name else "matrix"])

    def batch(prefix: str) -> None:
        x[prefix + "tokens"], x[prefix + "targets"] = d.pair(spec["batch"], spec["seq"], cfg.vocab_size)
        shape = (spec["batch"], cfg.n_latents, cfg.dim)
        x[prefix + "mu0"] = d.normal(*shape, std=post["mu_std"])
        x[prefix + "logvar0"] = d.normal(*shape, std=post["logvar_std"], mean=post["logvar_mean"])
        x[prefix + "eps"] = d.normal(*shape)

    batch("in.")
    x["short.tokens"], x["short.targets"] = d.pair(spec["batch"], spec["short_seq"], cfg.vocab_size)
    for it in range(spec["trace"]["iterations"] if spec["trace"] else 0):
        batch(f"trace.in.{it}.")
    return x


# --------------------------------------------------------------------------
# model-level outputs
# --------------------------------------------------------------------------
def compute(spec: dict, inputs: Dict[str, Tensor], dtype: torch.dtype):
    """(outputs, smallest |gradient| met by the fast optimiser at each step)."""
    smallest: Dict[str, List[float]] = {"mu": [], "logvar": []}
    cfg, fast = R.ModelConfig(**spec["model"]), R.FastConfig(**spec["fast"])
    real = lambda key: inputs[key].to(dtype, copy=True)      # the optimisers write in place
    weights = lambda: {k: real("in.weight." + k).requires_grad_() for k in R.parameter_shapes(cfg)}
    scalar = lambda v: torch.tensor(float(v), dtype=dtype)
    out: Dict[str, Tensor] = {}
    p = weights()
    tokens, targets, mu0, lv0, eps = inputs["in.tokens"], inputs["in.targets"], real("in.mu0"), real("in.logvar0"), real("in.eps")

    # forward and ELBO at (mu0, logvar0, eps)
    def tap(name: str, t: Tensor) -> None:
        if spec["all_taps"] or name == "norm" or name.endswith(".out"):
            out["fwd." + (name if name in ("embed", "norm") else "layer" + name)] = t.detach()

    mu, lv = mu0.clone().requires_grad_(), lv0.clone().requires_grad_()
    lg = R.logits(p, cfg, tokens, R.reparameterise(mu, lv, eps), tap)
    per_token = R.token_nll(lg, targets)
    nll, kl = per_token.sum(-1), R.gaussian_kl(mu, lv)
    if spec["logit_stride"] == 1:
        out["fwd.logits"] = lg.detach()
    else:
        out["fwd.logits_rows"] = lg.detach()[:, ::spec["logit_stride"]]
    out["fwd.logsumexp"] = torch.logsumexp(lg.detach(), -1)
    out["fwd.token_nll"] = per_token.detach()
    out["fwd.nll"], out["fwd.kl"], out["fwd.nelbo"] = nll.detach(), kl.detach(), (nll + kl).detach()
    names = list(p)
    grads = torch.autograd.grad((nll + kl).sum(), [mu, lv] + list(p.values()))
    out["elbo.grad.mu"], out["elbo.grad.logvar"] = grads[0], grads[1]
    for k, g in zip(names, grads[2:]):
        out["elbo.grad.weight." + k] = g

    # a sequence shorter than max_seq_len, same z
    short = R.logits(p, cfg, inputs["short.tokens"], R.reparameterise(mu0, lv0, eps)).detach()
    out["short.logits" if spec["logit_stride"] == 1 else "short.logits_rows"] = short[:, ::spec["logit_stride"]]
    out["short.token_nll"] = R.token_nll(short, inputs["short.targets"])

    # fast loop
    def keep(s: int, d: Dict[str, Tensor]) -> None:
        smallest["mu"].append(float(d["grad_mu"].abs().min()))
        smallest["logvar"].append(float(d["grad_logvar"].abs().min()))
        for key in ("nll", "kl", "mu", "logvar") + (("grad_mu", "grad_logvar") if spec["all_taps"] else ()):
            out[f"fast.{s + 1}.{key}"] = d[key]

    post = R.infer_posterior(p, cfg, fast, tokens, targets, mu0, lv0, eps, collect_weight_grads=True, trace=keep)
    out["post.z"] = post.z
    with torch.no_grad():
        end_nll, end_kl = R.negative_elbo(p, cfg, tokens, targets, post.mu, post.logvar, eps)
    out["post.nll"], out["post.kl"] = end_nll, end_kl
    out["post.ppl"] = R.bound_perplexity(end_nll, end_kl, tokens.shape[1])

    # slow step, both gradient definitions
    loss = R.mean_token_ce(p, cfg, tokens, targets, post.z)
    g_final = dict(zip(names, torch.autograd.grad(loss, list(p.values()))))
    g_accum = {k: g_final[k] + post.weight_grads[k] for k in names}
    out["slow.loss"] = loss.detach()
    slow = R.SlowConfig()
    for mode, g in (("final_z", g_final), ("accumulated", g_accum)):
        norm, factor = R.clip_factor(g, slow.clip)
        out[f"slow.{mode}.grad_norm"], out[f"slow.{mode}.clip_factor"] = scalar(norm), scalar(factor)
        out[f"slow.{mode}.tensor_norms"] = torch.stack([g[k].norm() for k in names])
    for k in names:
        out["slow.final_z.grad.weight." + k] = g_final[k]
        if spec["all_taps"]:
            out["slow.accumulated.grad.weight." + k] = g_accum[k]
    q = weights()
    R.slow_update_(q, g_final, {}, spec["slow_lr"], slow)
    for k in names:
        out["slow.final_z.after.weight." + k] = q[k].detach()

    # several full iterations with the learning-rate schedule, fresh data and latents each time
    if spec["trace"]:
        n = spec["trace"]["iterations"]
        for mode in ("final_z", "accumulated"):
            slow = R.SlowConfig(warmup=spec["trace"]["warmup"], total=spec["trace"]["total"], gradient=mode)
            q, states, rows = weights(), {}, []
            for it in range(n):
                b = R.MicroBatch(inputs[f"trace.in.{it}.tokens"], inputs[f"trace.in.{it}.targets"],
                                 real(f"trace.in.{it}.mu0"), real(f"trace.in.{it}.logvar0"), real(f"trace.in.{it}.eps"))
                r = R.train_iteration(q, states, cfg, fast, slow, it, [b])
                rows.append([float(r["losses"][0]), r["grad_norm"], r["clip_factor"], r["lr"]])
                out[f"trace.{mode}.{it}.z"] = r["posteriors"][0].z
            for j, key in enumerate(("loss", "grad_norm", "clip_factor", "lr")):
                out[f"trace.{mode}.{key}"] = torch.tensor([row[j] for row in rows], dtype=dtype)
            for k in names:
                out[f"trace.{mode}.weight." + k] = q[k].detach()
    return out, smallest


# --------------------------------------------------------------------------
# operator-level fixtures
# --------------------------------------------------------------------------
def op_cases(seed: int):
    """Yields (case name, {input: tensor}, {static: value}, function(inputs, statics) -> {output: tensor},
    {output: cotangent}). Gradients of sum(output * cotangent) w.r.t. every real input are added."""
    d = Draw(seed)
    theta, eps = 10000.0, 1e-5

    for name, rows, dim, scale in (("a", 5, 96, 1.0), ("b", 3, 512, 40.0), ("tiny_rows", 6, 64, 2e-3)):
        x = d.normal(rows, dim, std=scale)
        if name == "tiny_rows":
            x[4] = 0.0
        yield (f"rmsnorm.{name}", {"x": x, "weight": d.normal(dim, std=0.2, mean=1.0)}, {"eps": eps},
               lambda i, s: {"y": R.rms_norm(i["x"], i["weight"], s["eps"])}, {"y": d.normal(rows, dim)})

    x = d.normal(2, 19, 3, 32)
    yield ("rope.tokens", {"x": x}, {"theta": theta, "positions": list(range(19))},
           lambda i, s: {"y": R.rope(i["x"], *R.rope_angles(torch.tensor(s["positions"]), 32, s["theta"], i["x"].dtype))},
           {"y": d.normal(2, 19, 3, 32)})

    for name, b, n, h, hd, w in (("multiple", 2, 48, 2, 16, 16), ("ragged", 2, 45, 2, 16, 16), ("seq_lt_window", 2, 7, 3, 16, 16),
                                 ("window1", 1, 9, 2, 32, 1), ("hd64", 1, 53, 2, 64, 20), ("full", 1, 40, 1, 64, 64)):
        shape = (b, n, h, hd)
        yield (f"window_attention.{name}", {m: d.normal(*shape) for m in "qkv"}, {"window": w, "theta": theta},
               lambda i, s: {"o": R.window_attention(i["q"], i["k"], i["v"], s["window"], s["theta"])}, {"o": d.normal(*shape)})

    for name, b, n, h, hd, m, stride in (("a", 2, 29, 2, 16, 4, 6), ("hd64", 1, 45, 2, 64, 8, 10), ("one_latent", 2, 5, 2, 32, 1, 3),
                                         ("odd_count", 1, 33, 3, 32, 5, 3)):
        yield (f"latent_attention.{name}",
               {"q": d.normal(b, n, h, hd), "k": d.normal(b, m, h, hd), "v": d.normal(b, m, h, hd)},
               {"theta": theta, "latent_positions": [stride * j for j in range(m)]},
               lambda i, s: {"o": R.latent_attention(i["q"], i["k"], i["v"], torch.tensor(s["latent_positions"]), s["theta"])},
               {"o": d.normal(b, n, h, hd)})

    yield ("swiglu.a", {"x": d.normal(7, 32), "gate": d.normal(96, 32, std=0.2), "up": d.normal(96, 32, std=0.2),
                        "down": d.normal(32, 96, std=0.1)}, {},
           lambda i, s: {"y": R.swiglu(i["x"], i["gate"], i["up"], i["down"])}, {"y": d.normal(7, 32)})
    g = d.normal(4, 37, std=3.0)
    g[0, :8] = torch.tensor([0.0, 30.0, -30.0, 90.0, -90.0, 200.0, -200.0, 1e-4])
    yield ("silu_mul.a", {"g": g, "u": d.normal(4, 37)}, {},
           lambda i, s: {"y": R.silu(i["g"]) * i["u"]}, {"y": d.normal(4, 37)})

    for name, rows, vocab, scale, dropped in (("a", 23, 97, 1.5, (0, 7, 22)), ("wide", 11, 1003, 1.0, ()), ("large_logits", 6, 50, 60.0, (2,))):
        targets = torch.randint(0, vocab, (rows,), generator=d.gen)
        for r in dropped:
            targets[r] = -1

        def ce(i, s):
            each = R.token_nll(i["logits"], s["targets"])
            total = each.sum()
            return {"token_nll": each, "sum": total, "mean": total / (s["targets"] != -1).sum()}
        yield (f"cross_entropy.{name}", {"logits": d.normal(rows, vocab, std=scale)}, {"targets": targets}, ce, {"sum": None, "mean": None})

    shape = (2, 6, 20)
    def latent(i, s):
        return {"z": R.reparameterise(i["mu"], i["logvar"], i["eps"]), "kl": R.gaussian_kl(i["mu"], i["logvar"])}
    yield ("posterior.a", {"mu": d.normal(*shape), "logvar": d.normal(*shape, mean=-1.5), "eps": d.normal(*shape)}, {},
           latent, {"z": d.normal(*shape), "kl": torch.ones(2)})

    tok = d.tokens(2, 15, 23)
    yield ("embedding.a", {"table": d.normal(23, 12)}, {"tokens": tok}, lambda i, s: {"y": i["table"][s["tokens"]]}, {"y": d.normal(2, 15, 12)})


def compute_ops(seed: int, dtype: torch.dtype):
    inputs, outputs, statics = {}, {}, {}
    for name, ins, stat, fn, cot in op_cases(seed):
        leaves = {k: t.to(dtype, copy=True).requires_grad_() for k, t in ins.items()}
        out = fn(leaves, stat)
        for k, t in ins.items():
            inputs[f"{name}.in.{k}"] = t
        statics[name] = {k: v for k, v in stat.items() if not torch.is_tensor(v)}
        for k, t in stat.items():
            if torch.is_tensor(t):
                inputs[f"{name}.in.{k}"] = t
        for k, t in out.items():
            outputs[f"{name}.out.{k}"] = t.detach()
        if any(c is None for c in cot.values()):            # scalar outputs: one gradient each
            for k in cot:
                for leaf, g in zip(leaves, torch.autograd.grad(out[k], list(leaves.values()), retain_graph=True)):
                    outputs[f"{name}.grad_of_{k}.{leaf}"] = g
        else:
            for k, c in cot.items():
                inputs[f"{name}.in.d{k}"] = c.float()
            total = sum((out[k] * c.to(dtype)).sum() for k, c in cot.items())
            for leaf, g in zip(leaves, torch.autograd.grad(total, list(leaves.values()))):
                outputs[f"{name}.grad.{leaf}"] = g

    d = Draw(seed + 1)
    plans = {
        "slow_matrix": dict(shape=(9, 14), lrs=[4e-4, 3e-4, 2e-4], betas=(0.9, 0.95), weight_decay=0.1, scale=1e-2),
        "slow_gain": dict(shape=(14,), lrs=[4e-4, 3e-4, 2e-4], betas=(0.9, 0.95), weight_decay=0.0, scale=1e-2),
        "fast": dict(shape=(3, 4, 10), lrs=[R.fast_lr(s, R.FastConfig(steps=3)) for s in range(3)], betas=(0.9, 0.999),
                     weight_decay=0.01, scale=1.0),
        "near_eps": dict(shape=(40,), lrs=[1e-3] * 3, betas=(0.9, 0.95), weight_decay=0.1, scale=1e-8),
    }
    for name, plan in plans.items():
        x0 = d.normal(*plan["shape"])
        inputs[f"adamw.{name}.in.x"] = x0
        x, state = x0.to(dtype, copy=True), {}
        for t, lr in enumerate(plan["lrs"]):
            g = d.normal(*plan["shape"], std=plan["scale"])
            inputs[f"adamw.{name}.in.grad{t + 1}"] = g
            R.adamw_(x, g.to(dtype), state, lr, plan["betas"], 1e-8, plan["weight_decay"])
            outputs[f"adamw.{name}.out.x{t + 1}"] = x.clone()
        outputs[f"adamw.{name}.out.m3"], outputs[f"adamw.{name}.out.v3"] = state["m"], state["v"]
        statics["adamw." + name] = {"lrs": plan["lrs"], "betas": plan["betas"], "eps": 1e-8, "weight_decay": plan["weight_decay"]}

    for name, scale in (("active", 1.0), ("inactive", 1e-3)):
        gs = {k: d.normal(*s, std=scale) for k, s in (("a", (6, 7)), ("b", (11,)))}
        norm, factor = R.clip_factor({k: g.to(dtype) for k, g in gs.items()}, 1.0)
        for k, g in gs.items():
            inputs[f"clip.{name}.in.{k}"] = g
        outputs[f"clip.{name}.out.norm"], outputs[f"clip.{name}.out.factor"] = (torch.tensor(v, dtype=dtype) for v in (norm, factor))
        statics["clip." + name] = {"limit": 1.0, "added_to_norm": 1e-6}
    return inputs, outputs, statics


def schedules() -> dict:
    slow, fast = R.SlowConfig(), R.FastConfig()
    its = [0, 1, 499, 999, 1000, 1001, 20000, 30500, 59999, 60000, 60001]
    return {
        "slow_lr (4e-4 -> 4e-5, warmup 1000, total 60000)": {str(i): R.slow_lr(i, slow) for i in its},
        "fast_lr by step, 16 steps, peak 0.34": [R.fast_lr(s, fast) for s in range(16)],
        "fast_lr by step, 4 steps, peak 0.34": [R.fast_lr(s, R.FastConfig(steps=4)) for s in range(4)],
        "fast_lr by step, 24 steps asked for but a 16-step schedule": [R.fast_lr(s, R.FastConfig(steps=24, schedule_steps=16)) for s in range(24)],
        "fast peak by iteration when the 0.3 -> 0.34 ramp is applied": {str(i): R.fast_peak(i, R.FastConfig(use_ramp=True), slow) for i in (0, 1000, 30000, 59999)},
    }


# --------------------------------------------------------------------------
# writing
# --------------------------------------------------------------------------
def group(key: str) -> str:
    """Weight-shaped families are reported as one line."""
    return key.split(".weight.")[0] + ".weight.*" if ".weight." in key else key


def floor_report(exact: Dict[str, Tensor], rough: Dict[str, Tensor]) -> dict:
    rep: dict = {}
    for k, e in exact.items():
        gap, top = (rough[k].double() - e).abs(), float(e.abs().max())
        r = rep.setdefault(group(k), {"max_abs_err": 0.0, "max_abs": 0.0, "worst_err_over_tensor_max": 0.0})
        r["max_abs_err"] = max(r["max_abs_err"], float(gap.max()))
        r["max_abs"] = max(r["max_abs"], top)
        r["worst_err_over_tensor_max"] = max(r["worst_err_over_tensor_max"], float(gap.max()) / top if top else 0.0)
        if ".after." in k or (k.startswith("trace.") and ".weight." in k):
            r["elements"] = r.get("elements", 0) + e.numel()
            r["elements_off_by_over_1e-6"] = r.get("elements_off_by_over_1e-6", 0) + int((gap > 1e-6).sum())
    return {k: {a: (b if isinstance(b, int) else float(f"{b:.3g}")) for a, b in v.items()} for k, v in rep.items()}


def store(inputs: Dict[str, Tensor], outputs: Dict[str, Tensor], path: str, weight_storage: str = "float64") -> None:
    blob: Dict[str, Tensor] = {}
    for k, t in inputs.items():
        blob[k] = (t.float() if t.is_floating_point() else t.to(torch.int32)).contiguous().clone()
    for k, t in outputs.items():
        narrow = ".weight." in k and (weight_storage == "float32" or "accumulated" in k or k.startswith("trace."))
        blob[k] = t.to(torch.float32 if narrow else torch.float64).contiguous().clone()
    save_file(blob, path)
    os.chmod(path, 0o644)
    print(f"{os.path.relpath(path)}: {len(blob)} tensors, {os.path.getsize(path) / 1e6:.2f} MB")


def write_json(path: str, doc: dict) -> None:
    with open(path, "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")


def write_model_set(spec: dict, out_dir: str) -> None:
    cfg = R.ModelConfig(**spec["model"])
    inputs = draw_inputs(spec)
    exact, smallest = compute(spec, inputs, torch.float64)
    rough, _ = compute(spec, inputs, torch.float32)
    store(inputs, exact, os.path.join(out_dir, spec["name"] + ".safetensors"), spec["weight_storage"])
    fast = R.FastConfig(**spec["fast"])
    order = list(R.parameter_shapes(cfg))
    slow = R.SlowConfig()
    write_json(os.path.join(out_dir, spec["name"] + ".json"), {
        "spec": spec,
        "model": dict(asdict(cfg), ffn_dim=cfg.ffn_dim, head_dim=cfg.head_dim, latents_per_layer=cfg.latents_per_layer,
                      latent_positions=cfg.latent_positions().tolist()),
        "parameter_count": sum(math.prod(s) for s in R.parameter_shapes(cfg).values()),
        "fast": dict(asdict(fast), lr_by_step=[R.fast_lr(s, fast) for s in range(fast.steps)]),
        "slow": dict(lr=spec["slow_lr"], betas=slow.betas, eps=slow.eps, weight_decay=slow.weight_decay, clip=slow.clip),
        "tensor_norms_order": order,
        "smallest_abs_gradient_by_fast_step": smallest,
        "float32_floor": floor_report(exact, rough),
    })


def write_ops(seed: int, out_dir: str) -> None:
    inputs, exact, statics = compute_ops(seed, torch.float64)
    _, rough, _ = compute_ops(seed, torch.float32)
    store(inputs, exact, os.path.join(out_dir, "ops.safetensors"))
    write_json(os.path.join(out_dir, "ops.json"), {"seed": seed, "cases": statics, "schedules": schedules(),
                                                   "float32_floor": floor_report(exact, rough)})


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--only", choices=[*SPECS, "ops"])
    ap.add_argument("--spec", help="JSON file holding one spec")
    ap.add_argument("--out", default=os.path.join(HERE, ".."))
    a = ap.parse_args()
    torch.set_num_threads(1)                     # fixes the summation order
    os.makedirs(a.out, exist_ok=True)
    if a.spec:
        with open(a.spec) as f:
            write_model_set(json.load(f), a.out)
        return
    for name, spec in SPECS.items():
        if a.only in (None, name):
            write_model_set(spec, a.out)
    if a.only in (None, "ops"):
        write_ops(21, a.out)


if __name__ == "__main__":
    main()
