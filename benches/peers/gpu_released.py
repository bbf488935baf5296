"""The released algorithm as one would write it down in PyTorch: every fast step a whole forward and backward.

Nothing is cached, logits are stored whole, the window is an additive mask, the weights' gradients of every fast
step add up in `.grad` (reading `released`) or are not asked for (reading `paper`); bf16 by autocast. With
`compiled`, the same through torch.compile.
"""
from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F

from cpu_ltm import parameter_shapes


class ReleasedTrainer:
    """One iteration at a time; `weights` are named as in checkpoints."""

    def __init__(self, settings, named, device, compiled, mode=None):
        self.s, self.cfg, self.device = settings, settings.model, device
        cfg = self.cfg
        self.p = {k: named[k].detach().to(device, torch.float32).clone().requires_grad_()
                  for k in parameter_shapes(cfg)}
        hd = cfg.head_dim
        freq = cfg.theta ** -(torch.arange(0, hd, 2, dtype=torch.float64) / hd)
        table = lambda at: tuple(f(at.double()[:, None] * freq).float().to(device)[:, None, :]
                                 for f in (torch.cos, torch.sin))
        self.turn = table(torch.arange(cfg.seq))
        self.zturn = table(torch.arange(cfg.latents_per_layer) * (cfg.max_seq_len // cfg.n_latents))
        i = torch.arange(cfg.seq, device=device)
        back = i[:, None] - i[None, :]
        self.mask = torch.zeros(cfg.seq, cfg.seq, device=device).masked_fill_(
            (back < 0) | (back >= cfg.window), float("-inf"))
        self.elbo = torch.compile(self._elbo, dynamic=False, mode=mode) if compiled else self._elbo
        decay = [t for t in self.p.values() if t.dim() >= 2]
        rest = [t for t in self.p.values() if t.dim() < 2]
        slow = settings.slow
        self.opt = torch.optim.AdamW([{"params": decay, "weight_decay": slow.weight_decay},
                                      {"params": rest, "weight_decay": 0.0}], lr=slow.lr,
                                     betas=(slow.beta1, slow.beta2), eps=slow.eps, fused=True)
        self.report = {"compiled": compiled, "attention": "additive mask", "loss_kernel": "stored logits"}

    # model
    def autocast(self):
        if self.s.dtype == "f32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def norm(self, x, w):
        x32 = x.float()
        return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.cfg.norm_eps)).type_as(x) * w

    @staticmethod
    def rope(x, turn):
        cos, sin = turn
        pair = x.float().unflatten(-1, (-1, 2))
        a, b = pair[..., 0], pair[..., 1]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).type_as(x)

    def attend(self, q, k, v, mask):
        mask = mask if mask is None else mask.to(q.dtype)
        o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask)
        return o.transpose(1, 2).flatten(-2)

    def hidden(self, tokens, z):
        cfg = self.cfg
        heads = lambda t: t.unflatten(-1, (cfg.n_heads, cfg.head_dim))
        z = z.unflatten(1, (cfg.n_layers, cfg.latents_per_layer))
        h = F.embedding(tokens, self.p["tok_embeddings.weight"])
        for i in range(cfg.n_layers):
            w = lambda name: self.p[f"layers.{i}.{name}.weight"]
            x = self.norm(h, w("attention_norm"))
            q, k, v = (heads(F.linear(x, w(f"attention.{m}"))) for m in ("wq", "wk", "wv"))
            o = self.attend(self.rope(q, self.turn), self.rope(k, self.turn), v, self.mask)
            h = h + F.linear(o, w("attention.wo"))
            x = self.norm(h, w("cross_attention_norm"))
            q = self.rope(heads(F.linear(x, w("cross_attention.wq"))), self.turn)
            k, v = (heads(F.linear(z[:, i], w(f"cross_attention.{m}"))) for m in ("wk", "wv"))
            o = self.attend(q, self.rope(k, self.zturn), v, None)
            h = h + F.linear(o, w("cross_attention.wo"))
            x = self.norm(h, w("ffn_norm"))
            gate, up = (F.linear(x, w(f"feed_forward.{m}")) for m in ("gate_proj", "up_proj"))
            h = h + F.linear(F.silu(gate) * up, w("feed_forward.down_proj"))
        return self.norm(h, self.p["norm.weight"])

    def _elbo(self, tokens, targets, mu, logvar, eps):
        """nll and KL per sequence."""
        with self.autocast():
            z = mu + eps * torch.exp(0.5 * logvar)
            logits = F.linear(self.hidden(tokens, z), self.p["tok_embeddings.weight"])
            nll = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
            kl = 0.5 * (mu * mu + torch.exp(logvar) - logvar - 1.0).sum((1, 2))
        return nll.view(targets.shape).sum(1), kl

    # training
    def zero(self):
        self.opt.zero_grad(set_to_none=True)

    def accumulate(self, tokens, targets, mu0, logvar0, eps, iteration, drawn, total, mark=lambda: None, trace=None):
        """Fast loop and slow backward of a micro-batch; `drawn` is (steps, weight) of the trajectory, `total`
        the tokens of the whole batch. Returns sums of nll and KL at the inferred posterior, on the device."""
        fast, (steps, weight) = self.s.fast, drawn
        mu, logvar = mu0.clone().requires_grad_(), logvar0.clone().requires_grad_()
        opt = torch.optim.AdamW([mu, logvar], lr=fast.lr, betas=(fast.beta1, fast.beta2), eps=fast.eps,
                                weight_decay=fast.weight_decay)
        peak = self.s.fast_peak(iteration)
        for step in range(self.cfg.fast_steps):
            mark()
            nll, kl = self.elbo(tokens, targets, mu, logvar, eps)
            loss = nll.sum() + kl.sum()
            opt.zero_grad()
            if step not in steps:
                mu.grad, logvar.grad = torch.autograd.grad(loss, (mu, logvar))
            elif weight == 1.0:
                loss.backward()
            else:
                self._weighted_backward(loss, mu, logvar, weight)
            opt.param_groups[0]["lr"] = self.s.fast_lr(step, peak)
            opt.step()
            if trace is not None:
                trace(step, nll.detach(), kl.detach(), mu.detach(), logvar.detach())
        mark()
        nll, kl = self.elbo(tokens, targets, mu.detach(), logvar.detach(), eps)
        (nll.sum() / total).backward()
        return nll.detach().sum(), kl.detach().sum()

    def _weighted_backward(self, loss, mu, logvar, weight):
        """The weights' gradients times `weight`, those of the posterior as they are."""
        grads = torch.autograd.grad(loss, (mu, logvar, *self.p.values()))
        mu.grad, logvar.grad = grads[:2]
        for t, g in zip(self.p.values(), grads[2:]):
            t.grad = g * weight if t.grad is None else t.grad.add_(g, alpha=weight)

    def update(self, iteration):
        """Clip and AdamW; the norm before clipping, on the device."""
        limit = self.s.slow.clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(list(self.p.values()), limit)
        for group in self.opt.param_groups:
            group["lr"] = self.s.slow_lr(iteration)
        self.opt.step()
        return norm

    def gradients(self):
        return {k: t.grad for k, t in self.p.items()}

    def named(self):
        return {k: t.detach() for k, t in self.p.items()}
