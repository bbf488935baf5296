"""The data of `ltm train`, number for number: random streams, order of windows, shards, settings, weights.

What `ltm` draws for (seed, iteration, sequence) is drawn here too, so that two programs can train on the same
tokens from the same noise. Needs torch alone. `gpu_ltm.py` is the user.
"""
from __future__ import annotations

import bisect
import glob
import json
import math
import os
import struct

import torch

# Sites of `trainer/src/sites.rs`: what a stream of numbers is for.
MU0, LOGVAR0, EPS, TRAJECTORY, SHUFFLE = 1, 2, 3, 4, 5
MASK32 = 0xFFFFFFFF


def _multiply(a: int, b):
    """High and low 32 bits of a * b for b in 0..2^32, in int64 without overflow."""
    low = (a & 0xFFFF) * b
    middle = (a >> 16) * b + (low >> 16)
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(c0, c1, c2, c3, seed: int):
    """Philox4x32-10 on int64 tensors (or ints) that hold 32-bit words."""
    k0, k1 = seed & MASK32, seed >> 32 & MASK32
    for _ in range(10):
        h0, l0 = _multiply(0xD2511F53, c0)
        h1, l1 = _multiply(0xCD9E8D57, c2)
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0, k1 = k0 + 0x9E3779B9 & MASK32, k1 + 0xBB67AE85 & MASK32
    return c0, c1, c2, c3


def normals(seed, site, iteration, first_sample, samples, per_sample, device):
    """[samples, per_sample] float32 from N(0, 1): Box-Muller in float64 on blocks of four words."""
    if per_sample % 4:
        raise ValueError(f"{per_sample} numbers a sequence: not a multiple of 4")
    block = torch.arange(per_sample // 4, device=device)[None, :].expand(samples, -1)
    sample = (torch.arange(samples, device=device) + first_sample)[:, None].expand_as(block)
    site = torch.full_like(block, site)
    words = philox(block, site, sample, torch.full_like(block, iteration & MASK32), seed)
    a, b, c, d = (w.double() * 2.0 ** -32 for w in words)
    out = []
    for u, v in ((a, b), (c, d)):
        radius = torch.sqrt(-2.0 * torch.log(u + 2.0 ** -32))
        out += [radius * torch.cos(2.0 * math.pi * v), radius * torch.sin(2.0 * math.pi * v)]
    return torch.stack(out, -1).flatten(1).float()


def trajectory(count: int, of: int, seed: int, iteration: int):
    """The fast steps of an iteration whose weight gradients are used (ascending), and their weight."""
    if count <= 0:
        return [], 0.0
    if count >= of:
        return list(range(of)), 1.0
    steps = list(range(of))
    for place in range(count):
        a, b, _, _ = philox(place, TRAJECTORY, 0, iteration & MASK32, seed)
        choice = ((a << 32 | b) * (of - place)) >> 64
        steps[place], steps[place + choice] = steps[place + choice], steps[place]
    return sorted(steps[:count]), of / count


def permuted(places, length: int, seed: int, epoch: int):
    """Where these places of an epoch lead: the Feistel network of `trainer/src/data/permutation.rs`."""
    half = max(2, -(-(length - 1).bit_length() // 2))
    mask = (1 << half) - 1
    # Feistel keys: the epoch's high half goes into the key.
    key = (seed & MASK32) | ((seed >> 32 ^ epoch >> 32) & MASK32) << 32
    item = torch.as_tensor(places, dtype=torch.int64)
    todo = torch.ones_like(item, dtype=torch.bool)
    while bool(todo.any()):
        left, right = item[todo] >> half, item[todo] & mask
        for turn in range(8):
            fill = lambda x: torch.full_like(right, x)
            mixed = philox(right, fill(SHUFFLE), fill(turn), fill(epoch & MASK32), key)[0] & mask
            left, right = right, left ^ mixed
        item[todo] = left << half | right
        todo = item >= length
    return item.tolist()


class Shards:
    """Windows of `seq` + 1 tokens of the training shards of a folder, in the order `ltm train` takes."""

    def __init__(self, folder, seq, vocab, seed):
        self.seq, self.vocab, self.seed, self.position = seq, vocab, seed, 0
        paths = sorted(glob.glob(os.path.join(folder, "train_*.bin")))
        if not paths:
            raise SystemExit(f"{folder}: no train_*.bin; make some with `ltm tokenize INPUT... --out {folder}`")
        self.shards, self.starts = [], [0]    # tokens of a shard; windows before each, and of all
        for path in paths:
            with open(path, "rb") as f:
                head = f.read(1024)
            if len(head) < 1024:
                raise SystemExit(f"{path}: {len(head)} bytes, too short for a shard")
            magic, version, count = struct.unpack("<3i", head[:12])
            if magic != 20240520 or version != 1:
                raise SystemExit(f"{path}: not an llm.c shard (magic {magic}, version {version})")
            if os.path.getsize(path) < 1024 + 2 * count:
                raise SystemExit(f"{path}: shorter than its header says ({count} tokens)")
            tokens = torch.from_file(path, shared=False, size=512 + count, dtype=torch.int16)[512:]
            self.shards.append(tokens)
            self.starts.append(self.starts[-1] + max(0, count - 1) // seq)
        if not self.starts[-1]:
            raise SystemExit(f"{folder}: no shard holds a window of {seq + 1} tokens")

    def batch(self, count):
        """Tokens and targets [count, seq], int64."""
        n, rows = self.starts[-1], []
        at = self.position
        while at < self.position + count:
            epoch, place = divmod(at, n)
            here = min(n - place, self.position + count - at)
            rows += permuted(range(place, place + here), n, self.seed, epoch)
            at += here
        self.position = at
        out = []
        for row in rows:
            shard = bisect.bisect_right(self.starts, row) - 1
            start = (row - self.starts[shard]) * self.seq
            out.append(self.shards[shard][start:start + self.seq + 1].long() & 0xFFFF)
        out = torch.stack(out)
        if int(out.max()) >= self.vocab:
            raise SystemExit(f"token {int(out.max())} in the data, but the model has a vocabulary of {self.vocab}")
        return out[:, :-1].contiguous(), out[:, 1:].contiguous()


def read_safetensors(path):
    """name -> tensor; the format is a length, a JSON header, and the bytes."""
    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
             "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
    with open(path, "rb") as f:
        data = bytearray(f.read())
    size = struct.unpack("<Q", data[:8])[0]
    head, out = json.loads(data[8:8 + size].decode()), {}
    for name, entry in head.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + x for x in entry["data_offsets"])
        dtype = types[entry["dtype"]]
        raw = data[begin:end]     # a copy, so that its address is aligned
        out[name] = torch.frombuffer(raw, dtype=dtype).reshape(entry["shape"]) if raw else \
            torch.empty(entry["shape"], dtype=dtype)
    return out
