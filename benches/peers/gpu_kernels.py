"""What the strongest variant may be made of, and which of it is fastest on the GPU at hand.

Windowed attention: FlashAttention with its window (an internal operator of torch), flex_attention with a block
mask, or blocks of W queries against 2W keys under a mask. Cross-entropy: chunks of logits, or attention with
q = h and k = v = E (one pass, no logits in memory; only where no weight gradient is wanted). `choose` tries the
candidates at the shapes of the run, drops the wrong and the failing ones, and takes the fastest.
"""
from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F


# --------------------------------------------------------------------------
# windowed attention: q, k, v [B, T, H, hd], rotated -> [B, T, H * hd]; token i sees max(0, i-W+1)..i
# --------------------------------------------------------------------------
class FlashWindow(torch.autograd.Function):
    """FlashAttention's own window, through the operators under `scaled_dot_product_attention`."""

    @staticmethod
    def forward(ctx, q, k, v, window):
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        n = q.shape[1]
        out, lse, state, unused, _ = torch.ops.aten._flash_attention_forward(
            q, k, v, None, None, n, n, 0.0, True, False, window_size_left=window - 1, window_size_right=0)
        ctx.save_for_backward(q, k, v, out, lse, state, unused)
        ctx.window = window
        return out

    @staticmethod
    def backward(ctx, g):
        q, k, v, out, lse, state, unused = ctx.saved_tensors
        n = q.shape[1]
        dq, dk, dv = torch.ops.aten._flash_attention_backward(
            g.contiguous(), q, k, v, out, lse, None, None, n, n, 0.0, True, state, unused,
            window_size_left=ctx.window - 1, window_size_right=0)
        return dq, dk, dv, None


def flash_window(seq, window, device):
    return lambda q, k, v: FlashWindow.apply(q, k, v, window).flatten(-2)


def flex_window(seq, window, device):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    seen = lambda b, h, i, j: (i >= j) & (i - j < window)
    mask = create_block_mask(seen, None, None, seq, seq, device=device)

    def attend(q, k, v):
        o = flex_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), block_mask=mask)
        return o.transpose(1, 2).flatten(-2)
    return attend


def masked_window(seq, window, device):
    """All keys under a dense mask: the plain way, and the reference of the others."""
    i = torch.arange(seq, device=device)
    back = i[:, None] - i[None, :]
    seen = (back >= 0) & (back < window)

    def attend(q, k, v):
        o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=seen)
        return o.transpose(1, 2).flatten(-2)
    return attend


def block_window(seq, window, device):
    """Blocks of W queries; each sees its own block and the one before, 2W keys instead of all."""
    if seq <= window:
        def causal(q, k, v):
            o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                               is_causal=True)
            return o.transpose(1, 2).flatten(-2)
        return causal
    if seq % window:
        return masked_window(seq, window, device)
    n = seq // window
    i = torch.arange(window, device=device)[:, None] + window
    j = torch.arange(2 * window, device=device)[None, :]
    seen = ((i - j >= 0) & (i - j < window)).expand(n, window, 2 * window).clone()
    seen[0, :, :window] = False
    seen = seen[:, None]

    def attend(q, k, v):
        batch, _, heads, hd = q.shape

        def pairs(x):
            x = x.reshape(batch, n, window, heads, hd)
            before = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), 1)
            return torch.cat((before, x), 2).flatten(0, 1).transpose(1, 2)
        mask = seen[None].expand(batch, -1, -1, -1, -1).flatten(0, 1)
        o = F.scaled_dot_product_attention(q.reshape(batch * n, window, heads, hd).transpose(1, 2), pairs(k), pairs(v),
                                           attn_mask=mask)
        return o.transpose(1, 2).reshape(batch, seq, heads * hd)
    return attend


WINDOWS = {"flash": flash_window, "flex": flex_window, "blocks": block_window, "mask": masked_window}


# --------------------------------------------------------------------------
# latent attention: q [B, T, H, hd], k and v [B, M, H, hd], no mask -> [B, T, H * hd]
# --------------------------------------------------------------------------
def sdpa_latent(q, k, v):
    o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return o.transpose(1, 2).flatten(-2)


def diagonal_latent(q, k, v):
    """Few keys: all heads in one product with block-diagonal keys and values."""
    heads, count = k.shape[2], k.shape[1]
    eye = torch.eye(heads, device=q.device, dtype=q.dtype)[None, :, None, :, None]
    k, v = ((t.transpose(1, 2)[:, :, :, None, :] * eye).flatten(3).flatten(1, 2) for t in (k, v))
    score = (q.flatten(-2) @ k.transpose(1, 2)).unflatten(-1, (heads, count)).float() * q.shape[-1] ** -0.5
    return score.softmax(-1).to(q.dtype).flatten(-2) @ v


LATENTS = {"sdpa": sdpa_latent, "diagonal": diagonal_latent}


# --------------------------------------------------------------------------
# cross-entropy: hidden [n, D], emb [V, D], targets [n] -> nll [n], d(sum nll)/d(hidden)
# --------------------------------------------------------------------------
def _rest(logits, targets):
    """nll, and softmax less one at the target, in the type of the logits."""
    wide = logits.float()
    lse = wide.logsumexp(-1, keepdim=True)
    nll = lse.squeeze(-1) - wide.gather(-1, targets[:, None]).squeeze(-1)
    hit = torch.arange(logits.shape[-1], device=logits.device)[None, :] == targets[:, None]
    return nll, (torch.exp(wide - lse) - hit.float()).to(logits.dtype)


def chunk_loss(hidden, emb, targets):
    nll, d = _rest(F.linear(hidden, emb), targets)
    return nll, d @ emb


def chunk_loss_with_weight(hidden, emb, targets):
    nll, d = _rest(F.linear(hidden, emb), targets)
    return nll, d @ emb, d.t() @ hidden


class Chunked:
    """A chunk of tokens at a time; adds alpha * d(sum nll)/d(emb) to `grad` (f32) if there is one."""

    def __init__(self, chunk, wrap):
        self.chunk, self.plain, self.weighted = chunk, wrap(chunk_loss), wrap(chunk_loss_with_weight)

    def __call__(self, hidden, emb, targets, grad=None, alpha=1.0):
        nll = torch.empty(len(hidden), device=hidden.device)
        dh = torch.empty_like(hidden)
        for at in range(0, len(hidden), self.chunk):
            part = slice(at, at + self.chunk)
            if grad is None:
                nll[part], dh[part] = self.plain(hidden[part], emb, targets[part])
            else:
                nll[part], dh[part], de = self.weighted(hidden[part], emb, targets[part])
                grad.add_(de, alpha=alpha)
        return nll, dh


def _finish(hidden, emb, targets, out, lse):
    picked = emb[targets]
    nll = lse.float() - (hidden.float() * picked.float()).sum(-1)
    return nll, (out.float() - picked.float()).to(hidden.dtype)


class FlashLoss:
    """softmax(h E^T) E is attention with q = h, k = v = E, head size D and scale 1: loss and d hidden in one
    pass. `kernel` is `efficient` (CUTLASS, or the CPU's flash kernel) or `flex` (Triton)."""

    def __init__(self, kernel, wrap):
        self.kernel, self.finish = kernel, wrap(_finish)
        if kernel == "flex":
            from torch.nn.attention.flex_attention import AuxRequest, flex_attention
            self.flex = wrap(lambda q, e: flex_attention(q, e, e, scale=1.0, return_aux=AuxRequest(lse=True)))

    def __call__(self, hidden, emb, targets):
        q, e = hidden[None, None], emb[None, None]
        if self.kernel == "flex":
            out, aux = self.flex(q, e)
            lse = aux.lse
        elif hidden.is_cuda:
            out, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(q, e, e, None, True, 0.0, False,
                                                                                  scale=1.0)
        else:
            out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, e, e, 0.0, False, scale=1.0)
        # The efficient kernel pads the row of log-sums to a multiple of 32.
        return self.finish(hidden, emb, targets, out[0, 0], lse.flatten()[:len(hidden)])


# --------------------------------------------------------------------------
# choice by measurement
# --------------------------------------------------------------------------
def clock(call, device, times=5):
    """Median seconds of a call, after two that are not counted."""
    for _ in range(2):
        call()
    taken = []
    for _ in range(times):
        if device.type == "cuda":
            a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            a.record()
            call()
            b.record()
            b.synchronize()
            taken.append(a.elapsed_time(b) / 1e3)
        else:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def choose(candidates, run, reference, tolerance, device):
    """The name of the fastest candidate and a report of all. `run(candidate)` returns a tuple of tensors; a
    candidate that raises or whose result is farther from `reference` than `tolerance` (relative to the largest
    value) is out."""
    report = {}
    for name, make in candidates.items():
        try:
            candidate = make()
            gap = max(float((x.float() - y.float()).abs().max() / y.float().abs().max().clamp(min=1e-30))
                      for x, y in zip(run(candidate), reference))
            if not gap <= tolerance:
                report[name] = f"wrong by {gap:.1e}"
                continue
            report[name] = clock(lambda: run(candidate), device)
        except Exception as e:    # whatever this torch or this GPU cannot do
            report[name] = f"{type(e).__name__}: {str(e).strip().splitlines()[0][:160] if str(e).strip() else ''}"
        if device.type == "cuda":
            torch.cuda.empty_cache()
    fit = {k: v for k, v in report.items() if isinstance(v, float)}
    if not fit:
        raise SystemExit(f"none of {', '.join(candidates)} works here: {report}")
    return min(fit, key=fit.get), report
