"""The fastest PyTorch we can write for the same computation.

- Embedding, layer 0's self-attention and its latent queries do not depend on z: once per micro-batch; the
  gradients that reach them are summed and passed back once.
- Weights are read as copies in the type of the pass, made once per iteration; f32 master, moments and gradients.
- Fast steps whose weight gradients nobody wants do not compute them.
- Cross-entropy apart from the graph: see gpu_kernels.py; logits are never stored whole.
- A fast step with its AdamW on (mu, logvar) is one CUDA graph; schedule and step count live on the device.
- torch.compile over everything else; fused AdamW on the weights.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F

import cpu_ltm
import gpu_kernels as kernels


class Model(cpu_ltm.Model):
    """The fused weights and pure functions of cpu_ltm.py in any type, with chosen attention kernels."""

    def __init__(self, cfg, device, dtype, window, latent):
        super().__init__(cfg, cfg.seq, False)
        self.dtype, self._window, self._latent = dtype, window, latent
        self.cos, self.sin, self.zcos, self.zsin = (t.to(device) for t in (self.cos, self.sin, self.zcos, self.zsin))

    def rope(self, x, cos, sin):
        return super().rope(x.float(), cos, sin).to(x.dtype)

    def window_attention(self, q, k, v):
        return self._window(q, k, v)

    def latent_attention(self, q, k, v):
        return self._latent(q, k, v)

    def posterior_trunk(self, p, h, q, mu, logvar, eps):
        z = (mu + eps * torch.exp(0.5 * logvar)).to(self.dtype)
        kl = 0.5 * (mu * mu + torch.exp(logvar) - logvar - 1.0).sum((1, 2))
        return self.trunk(p, h, q, z), kl


def adamw_posterior(x, g, m, v, row, beta1, beta2, eps, decay):
    """AdamW of one step on x, m and v; row is (learning rate, 1 - beta1^t, 1 - beta2^t)."""
    m.lerp_(g, 1.0 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
    x.mul_(1.0 - row[0] * decay)
    x.sub_(row[0] * (m / row[1]) / ((v / row[2]).sqrt() + eps))


class StrongestTrainer:
    """The interface of ReleasedTrainer. `options`: attention, latent, loss (a name or "auto"), chunk, compile
    ("none" or a mode of torch.compile), graphs (bool)."""

    def __init__(self, settings, named, device, options):
        self.s, self.cfg, self.device = settings, settings.model, device
        cfg = self.cfg
        self.dtype = torch.float32 if settings.dtype == "f32" else torch.bfloat16
        self.report = {"compiled": options.compile}
        mode = None if options.compile == "default" else options.compile
        self.wrap = (lambda f: f) if options.compile == "none" else \
            (lambda f: torch.compile(f, dynamic=False, mode=mode))
        self.shape = (settings.micro_batch, cfg.seq)

        self.weights = cpu_ltm.Weights(cfg).load(named)
        self.master = {k: t.to(device) for k, t in self.weights.t.items()}
        self.weights.t = self.master
        self.grads = {k: torch.zeros_like(t) for k, t in self.master.items()}
        self.live = {k: torch.empty_like(t, dtype=self.dtype).requires_grad_() for k, t in self.master.items()}
        self.frozen = {k: t.detach() for k, t in self.live.items()}
        self.in_prefix = [k for k in self.live if k in ("0.n1", "0.qkv", "0.o", "0.n2", "0.cq")]
        self.in_trunk = [k for k in self.live if k not in self.in_prefix and k != "tok"]
        self.refresh()

        window = kernels.WINDOWS[self._choose_window(options)](cfg.seq, cfg.window, device)
        latent = kernels.LATENTS[self._choose_latent(options)]
        self.model = Model(cfg, device, self.dtype, window, latent)
        self.f_prefix, self.f_trunk = self.wrap(self.model.prefix), self.wrap(self.model.posterior_trunk)
        self.f_adamw = self.wrap(adamw_posterior)
        self.weighted_loss = kernels.Chunked(options.chunk, self.wrap)
        self.plain_loss = self._choose_loss(options)

        decay = [t for t in self.master.values() if t.dim() >= 2]
        rest = [t for t in self.master.values() if t.dim() < 2]
        slow = settings.slow
        self.opt = torch.optim.AdamW([{"params": decay, "weight_decay": slow.weight_decay},
                                      {"params": rest, "weight_decay": 0.0}], lr=slow.lr,
                                     betas=(slow.beta1, slow.beta2), eps=slow.eps, fused=True)
        for k, t in self.master.items():
            t.grad = self.grads[k]
        self._buffers()
        self.graphs = {}
        if options.graphs and device.type == "cuda":
            self._capture()

    # choices
    def _choose(self, what, wanted, candidates, run, reference, tolerance):
        if wanted != "auto":
            candidates = {wanted: candidates[wanted]}
        name, report = kernels.choose(candidates, run, reference, tolerance, self.device)
        self.report[what], self.report[f"{what}_measured"] = name, report
        return name

    def _sample(self, *shape, scale=1.0):
        g = torch.Generator().manual_seed(5)
        return (scale * torch.randn(*shape, generator=g)).to(self.device, self.dtype)

    def _tolerance(self):
        return 1e-4 if self.dtype == torch.float32 else 5e-2

    def _choose_window(self, options):
        cfg, (batch, seq) = self.cfg, self.shape
        q, k, v, g = (t.requires_grad_() for t in self._sample(4, batch, seq, cfg.n_heads, cfg.head_dim))

        def run(attend):
            out = attend(q, k, v)
            return (out.detach(), *torch.autograd.grad(out, (q, k, v), g.detach().flatten(-2)))
        make = lambda name: lambda: self.wrap(kernels.WINDOWS[name](seq, cfg.window, self.device))
        reference = run(kernels.masked_window(seq, cfg.window, self.device))
        return self._choose("attention", options.attention, {n: make(n) for n in kernels.WINDOWS}, run, reference,
                            self._tolerance())

    def _choose_latent(self, options):
        cfg, (batch, seq) = self.cfg, self.shape
        size = (cfg.n_heads, cfg.head_dim)
        q = self._sample(batch, seq, *size).requires_grad_()
        k, v = (t.requires_grad_() for t in self._sample(2, batch, cfg.latents_per_layer, *size))

        def run(attend):
            out = attend(q, k, v)
            return (out.detach(), *torch.autograd.grad(out, (q, k, v), q.detach().flatten(-2)))
        make = lambda name: lambda: self.wrap(kernels.LATENTS[name])
        return self._choose("latent_attention", options.latent, {n: make(n) for n in kernels.LATENTS}, run,
                            run(kernels.sdpa_latent), self._tolerance())

    def _choose_loss(self, options):
        rows = self.shape[0] * self.shape[1]
        hidden = self._sample(rows, self.cfg.dim)
        targets = torch.arange(rows, device=self.device) % self.cfg.vocab
        make = {"chunked": lambda: self.weighted_loss, "flash": lambda: kernels.FlashLoss("efficient", self.wrap),
                "flex": lambda: kernels.FlashLoss("flex", self.wrap)}
        run = lambda loss: loss(hidden, self.frozen["tok"], targets)
        with torch.no_grad():
            reference = run(self.weighted_loss)
            return make[self._choose("loss_kernel", options.loss, make, run, reference, self._tolerance())]()

    # state
    def _buffers(self):
        (batch, seq), cfg, d = self.shape, self.cfg, self.device
        n = (batch, cfg.n_latents, cfg.dim)
        self.tokens, self.targets = (torch.zeros(batch, seq, dtype=torch.int64, device=d) for _ in range(2))
        self.h0, self.q0 = (torch.zeros(shape, device=d, dtype=self.dtype).requires_grad_() for shape in
                            ((batch, seq, cfg.dim), (batch, seq, cfg.n_heads, cfg.head_dim)))
        self.gh, self.gq = (torch.zeros_like(t, dtype=torch.float32) for t in (self.h0, self.q0))
        self.mu, self.logvar = (torch.zeros(n, device=d).requires_grad_() for _ in range(2))
        self.eps = torch.zeros(n, device=d)
        self.moments = [torch.zeros(n, device=d) for _ in range(4)]
        self.table = torch.ones(cfg.fast_steps, 3, device=d)
        self.step = torch.zeros(1, dtype=torch.int64, device=d)
        self.nll, self.kl = (torch.zeros(batch, device=d) for _ in range(2))
        self.ones = torch.ones(batch, device=d)

    @torch.no_grad()
    def refresh(self):
        torch._foreach_copy_(list(self.frozen.values()), list(self.master.values()))

    @torch.no_grad()
    def zero(self):
        torch._foreach_zero_(list(self.grads.values()))

    # passes
    def _backward(self, weights, alpha):
        """nll and KL at the posterior in the buffers; gradients of the posterior, and into `grads` those of the
        weights times `alpha` if asked."""
        p, h, q = (self.live, self.h0, self.q0) if weights else (self.frozen, self.h0.detach(), self.q0.detach())
        hidden, kl = self.f_trunk(p, h, q, self.mu, self.logvar, self.eps)
        with torch.no_grad():
            flat, emb, want = hidden.detach().flatten(0, 1), self.frozen["tok"], self.targets.flatten()
            if weights:
                nll, dh = self.weighted_loss(flat, emb, want, self.grads["tok"], alpha)
            else:
                nll, dh = self.plain_loss(flat, emb, want)
            self.nll.copy_(nll.view(self.shape).sum(1))
            self.kl.copy_(kl)
        inputs = [self.mu, self.logvar]
        if weights:
            inputs += [self.h0, self.q0] + [self.live[k] for k in self.in_trunk]
        found = torch.autograd.grad((hidden, kl), inputs, (dh.view_as(hidden), self.ones))
        if weights:
            with torch.no_grad():
                into = [self.gh, self.gq] + [self.grads[k] for k in self.in_trunk]
                torch._foreach_add_(into, [g.float() for g in found[2:]], alpha=alpha)
        return found[:2]

    def _fast_step(self, weights, alpha):
        dmu, dlogvar = self._backward(weights, alpha)
        f = self.s.fast
        with torch.no_grad():
            row = self.table.index_select(0, self.step)[0]
            for x, g, m, v in ((self.mu, dmu, *self.moments[:2]), (self.logvar, dlogvar, *self.moments[2:])):
                self.f_adamw(x.detach(), g, m, v, row, f.beta1, f.beta2, f.eps, f.weight_decay)
            self.step.add_(1)

    def _capture(self):
        """The fast steps as CUDA graphs; where that fails they are launched one by one, and the report says so."""
        kinds = [(False, 0.0)] if self.s.samples == 0 else \
            [(True, 1.0)] if self.s.samples == self.cfg.fast_steps else \
            [(False, 0.0), (True, self.cfg.fast_steps / self.s.samples)]
        pool = torch.cuda.graph_pool_handle()
        try:
            for kind in kinds:
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(3):
                        self.step.zero_()
                        self._fast_step(*kind)
                torch.cuda.current_stream().wait_stream(side)
                torch.cuda.synchronize()
                self.step.zero_()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool):
                    self._fast_step(*kind)
                self.graphs[kind] = graph
            self.report["graphs"] = len(self.graphs)
        except Exception as e:    # a kernel that cannot be captured
            self.graphs = {}
            self.report["graphs"] = f"{type(e).__name__}: {(str(e).strip().splitlines() or [''])[0][:160]}"
            torch.cuda.synchronize()

    def _load(self, tokens, targets, mu0, logvar0, eps, iteration):
        f = self.s.fast
        peak = self.s.fast_peak(iteration)
        rows = [(self.s.fast_lr(s, peak), 1.0 - f.beta1 ** (s + 1), 1.0 - f.beta2 ** (s + 1))
                for s in range(self.cfg.fast_steps)]
        with torch.no_grad():
            self.table.copy_(torch.tensor(rows))
            for buffer, value in ((self.tokens, tokens), (self.targets, targets), (self.mu, mu0),
                                  (self.logvar, logvar0), (self.eps, eps)):
                buffer.copy_(value)
            for t in (*self.moments, self.gh, self.gq, self.step):
                t.zero_()

    def accumulate(self, tokens, targets, mu0, logvar0, eps, iteration, drawn, total, mark=lambda: None, trace=None):
        """See ReleasedTrainer.accumulate."""
        self._load(tokens, targets, mu0, logvar0, eps, iteration)
        steps, weight = drawn
        x = self.frozen["tok"][self.tokens].requires_grad_()
        out = self.f_prefix(self.live, x)
        with torch.no_grad():
            self.h0.copy_(out[0])
            self.q0.copy_(out[1])
        for step in range(self.cfg.fast_steps):
            mark()
            kind = (True, weight) if step in steps else (False, 0.0)
            graph = self.graphs.get(kind)
            graph.replay() if graph else self._fast_step(*kind)
            if trace is not None:
                trace(step, *(t.detach().clone() for t in (self.nll, self.kl, self.mu, self.logvar)))
        mark()
        self._backward(True, 1.0 / total)
        inputs = [x] + [self.live[k] for k in self.in_prefix]
        found = torch.autograd.grad(out, inputs, (self.gh.to(self.dtype), self.gq.to(self.dtype)))
        with torch.no_grad():
            self.grads["tok"].index_add_(0, self.tokens.flatten(), found[0].flatten(0, 1).float())
            torch._foreach_add_([self.grads[k] for k in self.in_prefix], [g.float() for g in found[1:]])
        return self.nll.sum(), self.kl.sum()

    def update(self, iteration):
        limit = self.s.slow.clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(list(self.master.values()), limit, foreach=True)
        for group in self.opt.param_groups:
            group["lr"] = self.s.slow_lr(iteration)
        self.opt.step()
        self.refresh()
        return norm

    def gradients(self):
        return self.weights.named(lambda t: t.grad)

    def named(self):
        return self.weights.named()
