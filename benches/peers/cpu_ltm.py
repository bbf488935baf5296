"""Latent Thought Model training in PyTorch on a CPU: the peer `ltm` is measured against.

One process, one JSON line on standard output. See README.md beside this file.

    python cpu_ltm.py --shape small --reading paper --variant compiled --threads 2 --iterations 3
    python cpu_ltm.py --check GOLDEN_DIR            # same mathematics as the golden fixtures?
"""
from __future__ import annotations

import argparse
import ctypes
import glob
import importlib.util
import json
import math
import os
import resource
import statistics
import struct
import sys
import time

# Compile in this process (no pool of worker processes), so that memory is told whole.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

SHAPES = {
    "small": dict(dim=512, n_layers=3, n_heads=8, vocab=50258, seq=1024, window=256, n_latents=24,
                  fast_steps=16, batch=1),
    "tiny": dict(dim=128, n_layers=2, n_heads=4, vocab=256, seq=256, window=256, n_latents=8,
                 fast_steps=16, batch=8),
}
FAST = dict(lr=0.34, floor=0.1, ramp=(0.30, 0.34), betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
SLOW = dict(lr=4e-4, min_lr=4e-5, warmup=1000, total=60000, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1,
            clip=1.0)


def proc_status(key: str) -> int:
    """A field of /proc/self/status in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def reset_high_water() -> bool:
    """Start VmHWM again from the present resident size."""
    try:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
        return True
    except OSError:
        return False


def tune_allocator(libc) -> None:
    """Keep freed blocks instead of handing them back to the kernel: the activations of a step are
    freed and asked for again every step, and page faults would otherwise take a share of the time."""
    libc.mallopt(-3, 1 << 30)      # M_MMAP_THRESHOLD
    libc.mallopt(-1, 2**31 - 1)    # M_TRIM_THRESHOLD


import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

RSS_AFTER_IMPORT = proc_status("VmRSS")


# --------------------------------------------------------------------------
# model
# --------------------------------------------------------------------------
class Config:
    def __init__(self, dim, n_layers, n_heads, vocab, seq, window, n_latents, fast_steps, batch,
                 max_seq_len=None, norm_eps=1e-5, theta=10000.0):
        self.dim, self.n_layers, self.n_heads, self.vocab = dim, n_layers, n_heads, vocab
        self.seq, self.window, self.n_latents, self.fast_steps, self.batch = seq, window, n_latents, fast_steps, batch
        self.max_seq_len = max_seq_len or seq
        self.norm_eps, self.theta = norm_eps, theta
        self.head_dim = dim // n_heads
        self.latents_per_layer = n_latents // n_layers
        raw = int(2 * (4 * dim) / 3)
        self.ffn_dim = -(-raw // 32) * 32


def parameter_shapes(cfg: Config):
    d, f = cfg.dim, cfg.ffn_dim
    out = {"tok_embeddings.weight": (cfg.vocab, d)}
    for i in range(cfg.n_layers):
        for block in ("attention", "cross_attention"):
            for m in ("wq", "wk", "wv", "wo"):
                out[f"layers.{i}.{block}.{m}.weight"] = (d, d)
        out[f"layers.{i}.feed_forward.gate_proj.weight"] = (f, d)
        out[f"layers.{i}.feed_forward.up_proj.weight"] = (f, d)
        out[f"layers.{i}.feed_forward.down_proj.weight"] = (d, f)
        for m in ("attention_norm", "cross_attention_norm", "ffn_norm"):
            out[f"layers.{i}.{m}.weight"] = (d,)
    out["norm.weight"] = (d,)
    return out


class Weights:
    """The weights, stored fused: q, k and v of self-attention in one matrix, k and v of latent attention in
    one, gate and up in one. The rows of every query and key matrix are reordered within each head (even
    features first) so that RoPE turns two contiguous halves instead of neighbouring pairs; scores do not
    change. `named` gives any of it back under the checkpoint names and in their order."""

    def __init__(self, cfg: Config):
        self.cfg = cfg
        hd = cfg.head_dim
        one = torch.cat((torch.arange(0, hd, 2), torch.arange(1, hd, 2)))
        self.perm = torch.cat([one + h * hd for h in range(cfg.n_heads)])
        self.inv = torch.argsort(self.perm)
        d, f = cfg.dim, cfg.ffn_dim
        self.t = {"tok": torch.empty(cfg.vocab, d), "norm": torch.empty(d)}
        for i in range(cfg.n_layers):
            self.t.update({f"{i}.n1": torch.empty(d), f"{i}.n2": torch.empty(d), f"{i}.n3": torch.empty(d),
                           f"{i}.qkv": torch.empty(3 * d, d), f"{i}.o": torch.empty(d, d),
                           f"{i}.cq": torch.empty(d, d), f"{i}.ckv": torch.empty(2 * d, d),
                           f"{i}.co": torch.empty(d, d),
                           f"{i}.gu": torch.empty(2 * f, d), f"{i}.down": torch.empty(d, f)})

    def places(self):
        """checkpoint name -> (fused name, first row, rows or None for all, permuted)"""
        d, f = self.cfg.dim, self.cfg.ffn_dim
        out = {"tok_embeddings.weight": ("tok", 0, None, False), "norm.weight": ("norm", 0, None, False)}
        for i in range(self.cfg.n_layers):
            a, c, g = f"layers.{i}.attention.", f"layers.{i}.cross_attention.", f"layers.{i}.feed_forward."
            out.update({
                a + "wq.weight": (f"{i}.qkv", 0, d, True), a + "wk.weight": (f"{i}.qkv", d, d, True),
                a + "wv.weight": (f"{i}.qkv", 2 * d, d, False), a + "wo.weight": (f"{i}.o", 0, None, False),
                c + "wq.weight": (f"{i}.cq", 0, d, True), c + "wk.weight": (f"{i}.ckv", 0, d, True),
                c + "wv.weight": (f"{i}.ckv", d, d, False), c + "wo.weight": (f"{i}.co", 0, None, False),
                g + "gate_proj.weight": (f"{i}.gu", 0, f, False), g + "up_proj.weight": (f"{i}.gu", f, f, False),
                g + "down_proj.weight": (f"{i}.down", 0, None, False),
                f"layers.{i}.attention_norm.weight": (f"{i}.n1", 0, None, False),
                f"layers.{i}.cross_attention_norm.weight": (f"{i}.n2", 0, None, False),
                f"layers.{i}.ffn_norm.weight": (f"{i}.n3", 0, None, False)})
        return out

    @torch.no_grad()
    def load(self, named):
        for name, (key, first, rows, permuted) in self.places().items():
            src = named[name]
            dst = self.t[key] if rows is None else self.t[key][first:first + rows]
            dst.copy_(src[self.perm] if permuted else src)
        return self

    def named(self, of=lambda t: t):
        out = {}
        for name, (key, first, rows, permuted) in self.places().items():
            t = of(self.t[key]).detach()
            t = t if rows is None else t[first:first + rows]
            out[name] = t[self.inv] if permuted else t
        return out

    @torch.no_grad()
    def init(self, seed: int):
        gen = torch.Generator().manual_seed(seed)
        for name, (key, first, rows, permuted) in self.places().items():
            dst = self.t[key] if rows is None else self.t[key][first:first + rows]
            if dst.dim() == 1:
                dst.fill_(1.0)
            else:
                small = name.endswith(("wo.weight", "up_proj.weight"))
                dst.normal_(0.0, 0.02 / math.sqrt(2 * self.cfg.n_layers) if small else 0.02, generator=gen)
        return self


class Model:
    """Pure functions of tensors, so that each can be compiled."""

    def __init__(self, cfg: Config, seq: int, fused_linear: bool):
        self.cfg, self.seq = cfg, seq
        self.linear = OneDnnLinear.apply if fused_linear else F.linear
        hd = cfg.head_dim
        # Angles in float64, rounded once.
        freq = cfg.theta ** -(torch.arange(0, hd, 2, dtype=torch.float64) / hd)
        turn = lambda pos: pos.double()[:, None] * freq
        a = turn(torch.arange(seq))
        self.cos, self.sin = a.cos().float(), a.sin().float()
        a = turn(torch.arange(cfg.latents_per_layer) * (cfg.max_seq_len // cfg.n_latents))
        self.zcos, self.zsin = a.cos().float(), a.sin().float()
        self.eye = torch.eye(cfg.n_heads)
        self.mask = None
        self.blocks = 1
        w = cfg.window
        if seq > w:
            i = torch.arange(seq)
            if seq % w == 0:
                # Blocks of w queries; each sees its own block and the one before: 2w keys instead of seq.
                self.blocks = seq // w
                q = torch.arange(w)[:, None] + w           # position within the pair of blocks
                k = torch.arange(2 * w)[None, :]
                seen = ((q - k >= 0) & (q - k < w)).expand(self.blocks, w, 2 * w).clone()
                seen[0, :, :w] = False                      # nothing before the first block
            else:
                back = i[:, None] - i[None, :]
                seen = ((back >= 0) & (back < w))[None]
            self.mask = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))[:, None]

    def norm(self, x, w):
        return F.rms_norm(x, (x.shape[-1],), w, self.cfg.norm_eps)

    def heads(self, x):
        return x.unflatten(-1, (-1, self.cfg.head_dim))

    @staticmethod
    def rope(x, cos, sin):
        """x [B, n, H, hd], the two halves of hd are the pair."""
        a, b = x.chunk(2, -1)
        c, s = cos[:, None, :], sin[:, None, :]
        return torch.cat((a * c - b * s, a * s + b * c), -1)

    def window_attention(self, q, k, v):
        """q, k, v [B, T, H, hd], q and k turned already. Token i sees exactly max(0, i-W+1)..i."""
        batch, seq, heads, hd = q.shape
        if self.mask is None:
            o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
            return o.transpose(1, 2).flatten(-2)
        if self.blocks == 1:
            o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                               attn_mask=self.mask)
            return o.transpose(1, 2).flatten(-2)
        n, w = self.blocks, self.cfg.window

        def pairs(x):
            x = x.view(batch, n, w, heads, hd)
            before = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), 1)
            return torch.cat((before, x), 2).flatten(0, 1).transpose(1, 2)
        mask = self.mask if batch == 1 else self.mask.repeat(batch, 1, 1, 1)
        o = F.scaled_dot_product_attention(q.view(batch * n, w, heads, hd).transpose(1, 2), pairs(k), pairs(v),
                                           attn_mask=mask)
        return o.transpose(1, 2).reshape(batch, seq, heads * hd)

    def latent_attention(self, q, k, v):
        """q [B, T, H, hd], k and v [B, M, H, hd], no mask."""
        heads, count = self.cfg.n_heads, self.cfg.latents_per_layer
        if heads * count > 32:
            o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
            return o.transpose(1, 2).flatten(-2)
        # So few keys that all heads go into one product with block-diagonal keys and values.
        eye = self.eye[None, :, None, :, None]
        k, v = ((t.transpose(1, 2)[:, :, :, None, :] * eye).flatten(3).flatten(1, 2) for t in (k, v))
        score = (q.flatten(-2) @ k.transpose(1, 2)).unflatten(-1, (heads, count)) * self.cfg.head_dim ** -0.5
        return score.softmax(-1).flatten(-2) @ v

    def self_attention(self, p, i, h):
        x = self.norm(h, p[f"{i}.n1"])
        q, k, v = (self.heads(t) for t in self.linear(x, p[f"{i}.qkv"]).chunk(3, -1))
        q, k = self.rope(q, self.cos, self.sin), self.rope(k, self.cos, self.sin)
        return h + self.linear(self.window_attention(q, k, v), p[f"{i}.o"])

    def latent_query(self, p, i, h):
        q = self.heads(self.linear(self.norm(h, p[f"{i}.n2"]), p[f"{i}.cq"]))
        return self.rope(q, self.cos, self.sin)

    def prefix(self, p, x):
        """What does not depend on z: embeddings in, layer 0 after self-attention and its latent queries out."""
        h = self.self_attention(p, 0, x)
        return h, self.latent_query(p, 0, h)

    def trunk(self, p, h, q, z):
        """From the prefix to the normalised hidden states [B, T, D]."""
        cfg = self.cfg
        z = z.unflatten(1, (cfg.n_layers, cfg.latents_per_layer))
        for i in range(cfg.n_layers):
            if i:
                h = self.self_attention(p, i, h)
                q = self.latent_query(p, i, h)
            k, v = (self.heads(t) for t in F.linear(z[:, i], p[f"{i}.ckv"]).chunk(2, -1))
            k = self.rope(k, self.zcos, self.zsin)
            h = h + self.linear(self.latent_attention(q, k, v), p[f"{i}.co"])
            g, u = self.linear(self.norm(h, p[f"{i}.n3"]), p[f"{i}.gu"]).chunk(2, -1)
            h = h + self.linear(F.silu(g) * u, p[f"{i}.down"])
        return self.norm(h, p["norm"])

    def posterior_trunk(self, p, h, q, mu, logvar, eps):
        """Hidden states at z = mu + eps exp(logvar/2), and KL per sequence."""
        hidden = self.trunk(p, h, q, mu + eps * torch.exp(0.5 * logvar))
        kl = 0.5 * (mu * mu + torch.exp(logvar) - logvar - 1.0).sum((1, 2))
        return hidden, kl

    def posterior_loss(self, p, h, q, mu, logvar, eps, targets):
        """The same with the cross-entropy inside (for small vocabularies): nll summed, and KL."""
        hidden, kl = self.posterior_trunk(p, h, q, mu, logvar, eps)
        logits = F.linear(hidden, p["tok"])
        nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-1)
        return nll.view(targets.shape).sum(1), kl

    def whole_trunk(self, p, x, *rest):
        """`posterior_trunk` from the embeddings on."""
        return self.posterior_trunk(p, *self.prefix(p, x), *rest)

    def whole_loss(self, p, x, *rest):
        """`posterior_loss` from the embeddings on."""
        return self.posterior_loss(p, *self.prefix(p, x), *rest)


# oneDNN's float32 matrix product as an operator of our own: torch.compile takes the built-in one only with
# weights that are constants of the graph.
LIB = torch.library.Library("ltm_peer", "DEF")
LIB.define("linear(Tensor x, Tensor w) -> Tensor")
LIB.impl("linear", lambda x, w: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], ""), "CPU")
LIB.impl("linear", lambda x, w: x.new_empty(*x.shape[:-1], w.shape[0]), "Meta")


class OneDnnLinear(torch.autograd.Function):
    """y = x W^T through oneDNN, which chooses its kernels by what the CPU can do; MKL also asks for its maker."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.ops.ltm_peer.linear(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        dx = torch.ops.ltm_peer.linear(g, w.t()) if ctx.needs_input_grad[0] else None
        dw = g.flatten(0, -2).t() @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return dx, dw


# --------------------------------------------------------------------------
# vocabulary projection and cross-entropy outside the graph (large vocabularies)
# --------------------------------------------------------------------------
def flash_head(hidden, emb, targets):
    """nll per sequence and d(sum nll)/d(hidden) without storing logits and without a weight gradient.
    Softmax(h E^T) E is attention with q = h and k = v = E, so the CPU flash kernel does both matrix products
    in cache-sized blocks: nll = lse - h.E[target], d hidden = out - E[target]."""
    batch, seq, dim = hidden.shape
    e = emb.view(1, 1, *emb.shape)
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        hidden.reshape(1, 1, batch * seq, dim), e, e, 0.0, False, attn_mask=None, scale=1.0)
    picked = emb[targets]
    nll = lse.view(batch, seq) - (hidden * picked).sum(-1)
    return nll.sum(-1), out.view_as(hidden).sub_(picked)


def softmax_rows_(logits):
    """In place; returns the log of the sum of exponentials."""
    top = logits.amax(-1, keepdim=True)
    e = torch.exp(logits - top)
    total = e.sum(-1, keepdim=True)
    logits.copy_(e * (1.0 / total))
    return (top + total.log()).squeeze(-1)


class ChunkedHead:
    """nll per sequence, d/d(hidden) and, into `grad` in place, d/d(E), a chunk of tokens at a time."""

    def __init__(self, chunk, softmax):
        self.chunk, self.softmax, self.buffer = chunk, softmax, None

    def __call__(self, hidden, emb, targets, grad=None, scale=1.0):
        batch, seq, dim = hidden.shape
        flat, want = hidden.reshape(-1, dim), targets.reshape(-1)
        nll, dh = flat.new_empty(len(flat)), torch.empty_like(flat)
        n = min(self.chunk, len(flat))
        for at in range(0, len(flat), n):
            x, y = flat[at:at + n], want[at:at + n]
            logits = torch.ops.mkldnn._linear_pointwise(x, emb, None, "none", [], "")
            rows = torch.arange(len(y))
            picked = logits[rows, y]
            nll[at:at + n] = self.softmax(logits) - picked
            logits[rows, y] -= 1.0
            dh[at:at + n] = torch.ops.mkldnn._linear_pointwise(logits, emb.t(), None, "none", [], "")
            if grad is not None:
                torch.addmm(grad, logits.t(), x, alpha=scale, out=grad)
            del logits
        if scale != 1.0:
            dh.mul_(scale)
        return nll.view(batch, seq).sum(-1), dh.view_as(hidden)


# --------------------------------------------------------------------------
# training
# --------------------------------------------------------------------------
def cosine(frac):
    return 0.5 * (1.0 + math.cos(math.pi * frac))


class Trainer:
    def __init__(self, cfg, weights, reading, compiled, loss="auto", chunk=128, seq=None, onednn=None,
                 slow_lr=None, prefix="once"):
        self.cfg, self.w, self.reading = cfg, weights, reading
        self.collect = reading == "released"
        seq = seq or cfg.seq
        if loss == "auto":
            loss = "graph" if cfg.vocab <= 4096 else "split"
        self.loss = loss
        self.model = Model(cfg, seq, bool(onednn))
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        m = self.model
        self.once = prefix == "once"
        self.f_prefix = wrap(m.prefix)
        self.f_trunk = wrap(m.posterior_trunk if self.once else m.whole_trunk)
        self.f_loss = wrap(m.posterior_loss if self.once else m.whole_loss)
        self.head = ChunkedHead(chunk, wrap(softmax_rows_))
        self.iteration = 0
        self.slow_lr_override = slow_lr
        self.p = weights.t
        for t in self.p.values():
            t.requires_grad_()
            t.grad = torch.zeros_like(t)
        decay = [t for t in self.p.values() if t.dim() >= 2]
        rest = [t for t in self.p.values() if t.dim() < 2]
        self.opt = torch.optim.AdamW(
            [{"params": decay, "weight_decay": SLOW["weight_decay"]}, {"params": rest, "weight_decay": 0.0}],
            lr=SLOW["lr"], betas=SLOW["betas"], eps=SLOW["eps"], fused=True)

    # schedules
    def fast_lr(self, step, peak):
        low, span = FAST["floor"] * peak, self.cfg.fast_steps
        return low + cosine(step / span) * (peak - low) if step < span else low

    def fast_peak(self):
        lo, hi = FAST["ramp"]
        return lo + (hi - lo) * self.iteration / (SLOW["total"] - 1) if self.reading == "paper" else FAST["lr"]

    def slow_lr(self):
        if self.slow_lr_override is not None:
            return self.slow_lr_override(self.iteration)
        it = self.iteration
        if it < SLOW["warmup"]:
            return SLOW["lr"] * (it + (self.reading == "paper")) / SLOW["warmup"]
        frac = min(1.0, (it - SLOW["warmup"]) / (SLOW["total"] - SLOW["warmup"]))
        return SLOW["min_lr"] + cosine(frac) * (SLOW["lr"] - SLOW["min_lr"])

    # pieces
    def begin(self, tokens):
        """Embeddings, and where it is asked for layer 0's self-attention, once for the batch; their backward
        waits for `finish`. `known` is what every step goes on from."""
        self.tokens = tokens
        self.x = self.p["tok"].detach()[tokens].requires_grad_()
        self.known = (self.x,)
        if self.once:
            self.out = self.f_prefix(self.p, self.x)
            self.known = tuple(t.detach().requires_grad_() for t in self.out)

    def step_loss(self, mu, logvar, eps, targets, weights):
        """Backward of sum(nll) + sum(kl); into .grad of mu and logvar, and of the weights if asked."""
        if weights:
            p, known = self.p, self.known
        else:
            p, known = self.frozen, tuple(t.detach() for t in self.known)
        if self.loss == "graph":
            nll, kl = self.f_loss(p, *known, mu, logvar, eps, targets)
            (nll.sum() + kl.sum()).backward()
            return nll.detach(), kl.detach()
        hidden, kl = self.f_trunk(p, *known, mu, logvar, eps)
        with torch.no_grad():
            emb = self.p["tok"].detach()
            if weights:
                nll, dh = self.head(hidden.detach(), emb, targets, self.p["tok"].grad)
            elif self.loss == "chunked":
                nll, dh = self.head(hidden.detach(), emb, targets)
            else:
                nll, dh = flash_head(hidden.detach(), emb, targets)
        torch.autograd.backward((hidden, kl), (dh, torch.ones_like(kl)))
        return nll, kl.detach()

    def slow_loss(self, mu, logvar, eps, targets):
        """Backward of the mean token cross-entropy at the inferred z into the weights."""
        scale = 1.0 / targets.numel()
        if self.loss == "graph":
            nll, _ = self.f_loss(self.p, *self.known, mu, logvar, eps, targets)
            loss = nll.sum() * scale
            loss.backward()
            return loss.detach()
        hidden, _ = self.f_trunk(self.p, *self.known, mu, logvar, eps)
        with torch.no_grad():
            nll, dh = self.head(hidden.detach(), self.p["tok"].detach(), targets, self.p["tok"].grad, scale)
        hidden.backward(dh)
        return nll.sum() * scale

    def finish(self):
        """Pass the gradients that reached the prefix back through it, once, and to the embeddings."""
        if self.once:
            torch.autograd.backward(self.out, tuple(t.grad for t in self.known))
        self.p["tok"].grad.index_add_(0, self.tokens.flatten(), self.x.grad.flatten(0, 1))
        self.out = self.x = self.known = None

    def gradient(self, tokens, targets, mu0, logvar0, eps, trace=None):
        """Fast loop and slow backward; leaves the gradient (not clipped) in .grad. Returns the slow loss."""
        self.opt.zero_grad(set_to_none=False)
        self.frozen = {k: t.detach() for k, t in self.p.items()}
        self.begin(tokens)
        mu, logvar = mu0.clone().requires_grad_(), logvar0.clone().requires_grad_()
        fast = torch.optim.AdamW([mu, logvar], lr=FAST["lr"], betas=FAST["betas"], eps=FAST["eps"],
                                 weight_decay=FAST["weight_decay"], fused=True)
        peak = self.fast_peak()
        for s in range(self.cfg.fast_steps):
            nll, kl = self.step_loss(mu, logvar, eps, targets, self.collect)
            fast.param_groups[0]["lr"] = self.fast_lr(s, peak)
            fast.step()
            if trace is not None:
                trace(s, nll, kl, mu, logvar)
            fast.zero_grad()
        mu, logvar = mu.detach(), logvar.detach()
        loss = self.slow_loss(mu, logvar, eps, targets)
        self.finish()
        self.last = (mu, logvar)
        return loss

    def train_iteration(self, tokens, targets, mu0, logvar0, eps):
        loss = self.gradient(tokens, targets, mu0, logvar0, eps)
        norm = torch.nn.utils.clip_grad_norm_(list(self.p.values()), SLOW["clip"], foreach=True)
        lr = self.slow_lr()
        for g in self.opt.param_groups:
            g["lr"] = lr
        self.opt.step()
        self.iteration += 1
        return float(loss), float(norm)


class OracleTrainer:
    """The reference's own train_iteration, from the file given."""

    def __init__(self, path, cfg, reading):
        o = load_module(path)
        self.o, self.iteration, self.states = o, 0, {}
        self.cfg = o.ModelConfig(dim=cfg.dim, n_layers=cfg.n_layers, n_heads=cfg.n_heads, vocab_size=cfg.vocab,
                                 max_seq_len=cfg.max_seq_len, window=cfg.window, n_latents=cfg.n_latents)
        self.p = o.init_params(self.cfg, 1)
        self.fast = o.FastConfig(steps=cfg.fast_steps, use_ramp=reading == "paper")
        self.slow = o.SlowConfig(gradient="final_z" if reading == "paper" else "accumulated")

    def train_iteration(self, tokens, targets, mu0, logvar0, eps):
        r = self.o.train_iteration(self.p, self.states, self.cfg, self.fast, self.slow, self.iteration,
                                   [self.o.MicroBatch(tokens, targets, mu0, logvar0, eps)])
        self.iteration += 1
        return float(r["losses"][0]), r["grad_norm"]


def load_module(path):
    spec = importlib.util.spec_from_file_location("ltm_oracle", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["ltm_oracle"] = module
    spec.loader.exec_module(module)
    return module


# --------------------------------------------------------------------------
# data
# --------------------------------------------------------------------------
class Data:
    """Batches of [B, T+1] tokens from llm.c shards (mapped, not read), or random ones."""

    def __init__(self, folder, cfg, seed=0):
        self.cfg, self.gen, self.maps = cfg, torch.Generator().manual_seed(seed), []
        if folder:
            paths = sorted(glob.glob(os.path.join(folder, "train_*.bin"))) or \
                sorted(glob.glob(os.path.join(folder, "*.bin")))
            if not paths:
                raise SystemExit(f"{folder}: no .bin shards")
            for path in paths:
                with open(path, "rb") as f:
                    head = struct.unpack("<256i", f.read(1024))
                if head[0] != 20240520 or head[1] != 1:
                    raise SystemExit(f"{path}: not an llm.c shard (magic {head[0]}, version {head[1]})")
                if os.path.getsize(path) < 1024 + 2 * head[2]:
                    raise SystemExit(f"{path}: shorter than its header says ({head[2]} tokens)")
                if head[2] > cfg.seq:
                    self.maps.append((torch.from_file(path, shared=False, size=512 + head[2], dtype=torch.int16), head[2]))
            if not self.maps:
                raise SystemExit(f"{folder}: no shard holds a sequence of {cfg.seq + 1} tokens")

    def batch(self):
        cfg = self.cfg
        if not self.maps:
            rows = torch.randint(0, cfg.vocab, (cfg.batch, cfg.seq + 1), generator=self.gen)
        else:
            out = []
            for _ in range(cfg.batch):
                which = int(torch.randint(len(self.maps), (), generator=self.gen))
                m, count = self.maps[which]
                at = 512 + int(torch.randint(count - cfg.seq, (), generator=self.gen))
                out.append(m[at:at + cfg.seq + 1].long() & 0xFFFF)
            rows = torch.stack(out)
            if int(rows.max()) >= cfg.vocab:
                raise SystemExit(f"token {int(rows.max())} in the data, but the shape has a vocabulary of {cfg.vocab}")
        n = (cfg.batch, cfg.n_latents, cfg.dim)
        mu0, noise, eps = (torch.randn(n, generator=self.gen) for _ in range(3))
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous(), 0.01 * mu0, 0.1 * noise - 5.0, eps


# --------------------------------------------------------------------------
# check against the golden fixtures
# --------------------------------------------------------------------------
def check(args) -> int:
    from safetensors.torch import load_file
    worst, failed = 0.0, 0

    def compare(what, got, want, tolerance):
        nonlocal failed
        got, want = got.detach().double(), want.double()
        gap = float((got - want).abs().max() / want.abs().max().clamp(min=1e-30))
        ok = gap <= tolerance
        failed += not ok
        if args.verbose or not ok:
            print(f"{'ok  ' if ok else 'FAIL'} {what}: largest gap {gap:.1e} of the largest value", file=sys.stderr)
        return gap

    # The window, on its own: against a dense mask written out, with and without blocks.
    for seq, window in ((48, 16), (40, 16), (1024, 256), (16, 16), (12, 16)):
        cfg = Config(64, 1, 4, 11, seq, window, 4, 1, 2)
        m = Model(cfg, seq, False)
        gen = torch.Generator().manual_seed(3)
        q, k, v = (torch.randn(2, seq, 4, 16, generator=gen) for _ in range(3))
        score = torch.einsum("bihd,bjhd->bhij", q, k).double() / 4.0
        for i in range(seq):
            score[..., i, :max(0, i - window + 1)] = float("-inf")
            score[..., i, i + 1:] = float("-inf")
        want = torch.einsum("bhij,bjhd->bihd", score.softmax(-1), v.double()).flatten(-2)
        compare(f"window attention T={seq} W={window}", m.window_attention(q, k, v), want, 1e-5)

    path = os.path.join(args.check, "micro.safetensors")
    g = load_file(path)
    spec = json.load(open(os.path.join(args.check, "micro.json")))
    mc = spec["model"]
    named = {k[len("in.weight."):]: t for k, t in g.items() if k.startswith("in.weight.")}
    tokens, targets = g["in.tokens"].long(), g["in.targets"].long()
    mu0, logvar0, eps = (g[f"in.{k}"].float() for k in ("mu0", "logvar0", "eps"))
    steps = spec["fast"]["steps"]
    cfg = Config(mc["dim"], mc["n_layers"], mc["n_heads"], mc["vocab_size"], tokens.shape[1], mc["window"],
                 mc["n_latents"], steps, len(tokens), max_seq_len=mc["max_seq_len"])
    compiled = args.variant == "compiled"
    for loss in ("graph", "split", "chunked"):
        for reading in ("released", "paper"):
            torch.compiler.reset()    # or the limit on recompilations would turn later cases eager
            tr = Trainer(cfg, Weights(cfg).load(named), reading, compiled, loss, chunk=40, onednn=args.onednn,
                         prefix=args.prefix)
            tr.fast_peak = lambda: FAST["lr"]
            tag = f"{loss} {reading}"
            # one point
            tr.frozen = {k: t.detach() for k, t in tr.p.items()}
            tr.begin(tokens)
            mu, logvar = mu0.clone().requires_grad_(), logvar0.clone().requires_grad_()
            nll, kl = tr.step_loss(mu, logvar, eps, targets, tr.collect)
            gaps = [compare(f"{tag} nll", nll, g["fwd.nll"], 1e-5), compare(f"{tag} kl", kl, g["fwd.kl"], 1e-5),
                    compare(f"{tag} elbo.grad.mu", mu.grad, g["elbo.grad.mu"], 1e-4),
                    compare(f"{tag} elbo.grad.logvar", logvar.grad, g["elbo.grad.logvar"], 1e-4)]
            if tr.collect:
                tr.finish()
                for k, t in tr.w.named(lambda t: t.grad).items():
                    gaps.append(compare(f"{tag} elbo.grad.weight.{k}", t, g[f"elbo.grad.weight.{k}"], 1e-4))
            # a whole iteration
            def trace(s, nll, kl, mu, logvar):
                gaps.append(compare(f"{tag} fast.{s} nll", nll, g[f"fast.{s + 1}.nll"], 1e-4))
                gaps.append(compare(f"{tag} fast.{s} mu", mu, g[f"fast.{s + 1}.mu"], 1e-4))
                gaps.append(compare(f"{tag} fast.{s} logvar", logvar, g[f"fast.{s + 1}.logvar"], 1e-4))
            value = tr.gradient(tokens, targets, mu0, logvar0, eps, trace)
            gaps.append(compare(f"{tag} slow.loss", value, g["slow.loss"], 1e-5))
            mode = "accumulated" if tr.collect else "final_z"
            for k, t in tr.w.named(lambda t: t.grad).items():
                gaps.append(compare(f"{tag} slow.{mode}.grad.{k}", t, g[f"slow.{mode}.grad.weight.{k}"], 1e-4))
            # several iterations with clipping and AdamW
            n = spec["spec"]["trace"]
            lr = lambda it: 4e-4 * it / n["warmup"] if it < n["warmup"] else \
                4e-5 + cosine((it - n["warmup"]) / (n["total"] - n["warmup"])) * (4e-4 - 4e-5)
            tr = Trainer(cfg, Weights(cfg).load(named), reading, compiled, loss, chunk=40, onednn=args.onednn,
                         slow_lr=lr, prefix=args.prefix)
            tr.fast_peak = lambda: FAST["lr"]
            rows = [tr.train_iteration(g[f"trace.in.{it}.tokens"].long(), g[f"trace.in.{it}.targets"].long(),
                                       *(g[f"trace.in.{it}.{k}"].float() for k in ("mu0", "logvar0", "eps")))
                    for it in range(n["iterations"])]
            rows = torch.tensor(rows, dtype=torch.float64)
            gaps.append(compare(f"{tag} trace loss", rows[:, 0], g[f"trace.{mode}.loss"], 1e-4))
            gaps.append(compare(f"{tag} trace norm", rows[:, 1], g[f"trace.{mode}.grad_norm"], 1e-3))
            worst = max(worst, *gaps)
            print(f"{tag}: {len(gaps)} quantities, largest relative gap {max(gaps):.1e}", file=sys.stderr)
    print(json.dumps({"check": "failed" if failed else "passed", "variant": args.variant, "failed": failed,
                      "largest_gap": worst, "torch": torch.__version__}))
    return 1 if failed else 0


# --------------------------------------------------------------------------
def main() -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--shape", choices=list(SHAPES), default="small")
    a.add_argument("--reading", choices=("paper", "released"), default="paper")
    a.add_argument("--variant", choices=("eager", "compiled", "oracle"), default="compiled")
    a.add_argument("--oracle", help="path of ltm_reference.py, for --variant oracle")
    a.add_argument("--data", help="folder of llm.c .bin shards; random tokens without it")
    a.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    a.add_argument("--iterations", type=int, default=3)
    a.add_argument("--warmup", type=int, default=1)
    a.add_argument("--loss", choices=("auto", "graph", "split", "chunked"), default="auto",
                   help="cross-entropy: in the graph, or apart (flash kernel where no weight gradient is wanted, "
                        "else chunks), or always in chunks; auto: graph up to 4096 words, else split")
    a.add_argument("--chunk", type=int, default=128, help="tokens in a chunk of logits")
    a.add_argument("--onednn", type=int, choices=(0, 1), default=1, help="linear maps through oneDNN (1) or MKL (0), weight gradients aside")
    a.add_argument("--prefix", choices=("once", "step"), default="once",
                   help="what does not depend on z (layer 0's self-attention): once for a batch, or in every step")
    a.add_argument("--malloc", choices=("tuned", "default"), default="tuned")
    a.add_argument("--check", metavar="DIR", help="compare with micro.safetensors there, and stop")
    a.add_argument("--verbose", action="store_true")
    args = a.parse_args()
    libc = ctypes.CDLL(None)
    if args.malloc == "tuned" and hasattr(libc, "mallopt"):
        tune_allocator(libc)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.check:
        return check(args)

    cfg = Config(**SHAPES[args.shape])
    if args.variant == "oracle":
        if not args.oracle:
            a.error("--variant oracle needs --oracle PATH")
        trainer = OracleTrainer(args.oracle, cfg, args.reading)
    else:
        trainer = Trainer(cfg, Weights(cfg).init(1), args.reading, args.variant == "compiled", args.loss, args.chunk,
                          onednn=args.onednn, prefix=args.prefix)
    data = Data(args.data, cfg)
    seconds, loss = [], float("nan")
    begun = time.perf_counter()
    compile_seconds = after_warmup = 0
    reset = False
    for it in range(args.warmup + args.iterations):
        if it == args.warmup:
            compile_seconds = time.perf_counter() - begun
            if hasattr(libc, "malloc_trim"):
                libc.malloc_trim(0)
            after_warmup = proc_status("VmRSS")
            reset = reset_high_water()
        batch = data.batch()
        start = time.perf_counter()
        loss, norm = trainer.train_iteration(*batch)
        took = time.perf_counter() - start
        if args.verbose:
            print(f"iteration {it}: {took:.3f} s, loss {loss:.4f}, norm {norm:.4g}", file=sys.stderr)
        if it >= args.warmup:
            seconds.append(took)
        if not math.isfinite(loss):
            print("the loss is not finite", file=sys.stderr)
            return 1
    n = cfg.batch * cfg.seq
    speeds = [n / s for s in seconds]
    print(json.dumps({
        "impl": f"pytorch-{args.variant}", "shape": args.shape, "reading": args.reading, "threads": args.threads,
        "iterations": len(seconds), "tokens_per_second": round(statistics.median(speeds), 2),
        "tokens_per_second_min": round(min(speeds), 2), "tokens_per_second_max": round(max(speeds), 2),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "peak_rss_after_warmup_bytes": proc_status("VmHWM") if reset else None,
        "rss_after_warmup_bytes": after_warmup, "rss_bytes": proc_status("VmRSS"),
        "rss_after_import_bytes": RSS_AFTER_IMPORT, "warmup_seconds": round(compile_seconds, 2),
        "loss": round(loss, 5), "data": "shards" if args.data else "random", "torch": torch.__version__,
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
