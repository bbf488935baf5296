"""Writes the same text with `ltm generate` and with the oracle's decoder, and writes down the ratio of their speeds.

    python generate.py --ltm target/release/ltm --out benches/results/generate

The released code writes by running its decoder over the whole prefix for every new token; this does the same with the
oracle, and spares it all logits but the last position's. Both have the same weights (`small`, as initialised), the same
z (drawn from the prior, number for number) and take the most probable token, so they must write the same tokens: the
script fails where they do not. Needs torch; `--every 20` runs the oracle at every 20th length only, with our tokens as
its prefix, and sums its times as if the lengths between cost what lies between. OUT.json and OUT.md are written.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time

import torch

from compare_cpu import busy_ticks, cpu_model, output
from ltm_data import normals, read_safetensors

HERE = os.path.dirname(os.path.abspath(__file__))
PRIOR = 7     # site of trainer/src/sites.rs
END = 50256   # GPT-2's end-of-text token, with which every document begins


def oracle_of(path):
    spec = importlib.util.spec_from_file_location("ltm_reference", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def ltm(args, *words):
    """Run ltm: its CPU seconds, and the share of the machine that others used meanwhile."""
    before, start = busy_ticks(), time.perf_counter()
    child = subprocess.Popen([args.ltm, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"ltm {' '.join(words)}: {errors.strip()}")
    wall = time.perf_counter() - start
    own = usage.ru_utime + usage.ru_stime
    return own, share(before, wall, own)


def share(before, wall, own):
    if before is None:
        return None
    others = (busy_ticks() - before) / os.sysconf("SC_CLK_TCK") - own
    return round(max(0.0, others) / (wall * (os.cpu_count() or 1)), 3)


def initial_run(args, folder):
    """A run of `small` whose weights are the initial ones: one iteration at learning rate zero."""
    corpus = os.path.join(folder, "corpus.jsonl")
    with open(corpus, "w") as f:
        for number in range(8):
            f.write(json.dumps({"text": f"The river number {number} runs under an old bridge. " * 200}) + "\n")
    shards, run = os.path.join(folder, "shards"), os.path.join(folder, "run")
    ltm(args, "tokenize", corpus, "--tokenizer", "gpt2", "--val-docs", "1", "--out", shards)
    once = ["slow.first_lr=zero", "train.iterations=1", "train.batch=1", "fast.steps=1", "train.sample_every=0",
            "train.validate_every=0"]
    ltm(args, "train", "--preset", "small", "--data", shards, "--out", run, "--threads", str(args.threads),
        *[word for setting in once for word in ("--set", setting)])
    return run


def ours(args, run, tokens, folder):
    """Tokens, seconds without loading the model, CPU seconds with it, and the share of others."""
    texts, summary = os.path.join(folder, "texts.jsonl"), os.path.join(folder, "summary.json")
    cpu, others = ltm(args, "generate", run, "--device", "cpu", "--threads", str(args.threads), "--temperature", "0",
                 "--ignore-end", "--max-tokens", str(tokens), "--jsonl", texts, "--summary", summary)
    with open(texts) as f:
        written = json.loads(f.readline())["tokens"]
    with open(summary) as f:
        return written, json.load(f)["seconds"], cpu, others


def theirs(args, run, expected):
    """Seconds and CPU seconds of each measured length, the share of others, and how many tokens are as expected."""
    ref = oracle_of(args.oracle)
    path = os.path.join(run, "checkpoints", "iter_00000001", "model.safetensors")
    weights = {name: tensor.float() for name, tensor in read_safetensors(path).items()}
    cfg = ref.ModelConfig(dim=512, n_layers=3, n_heads=8, vocab_size=50258, max_seq_len=1024, window=256, n_latents=24)
    z = normals(1, PRIOR, 0, 0, 1, cfg.n_latents * cfg.dim, "cpu").reshape(1, cfg.n_latents, cfg.dim)
    table = weights["tok_embeddings.weight"]
    prefix, times, cpu_times, agreed = [END], {}, {}, 0
    before, start, cpu = busy_ticks(), time.perf_counter(), os.times()
    with torch.no_grad():
        ref.hidden_states(weights, cfg, torch.tensor([prefix]), z)     # the first call allocates
        for length, token in enumerate(expected, 1):
            if (length - 1) % args.every == 0 or length == len(expected):
                begun, worked = time.perf_counter(), time.process_time()
                hidden = ref.hidden_states(weights, cfg, torch.tensor([prefix]), z)
                drawn = int((hidden[0, -1] @ table.T).argmax())
                times[length] = time.perf_counter() - begun
                cpu_times[length] = time.process_time() - worked
                if drawn != token:
                    raise SystemExit(f"token {length}: ltm wrote {token}, the oracle {drawn}")
                agreed += 1
            prefix.append(token)
    now = os.times()
    own = now.user - cpu.user + now.system - cpu.system
    return times, cpu_times, share(before, time.perf_counter() - start, own), agreed


def whole(times):
    """Seconds of all lengths, by straight lines between the measured ones."""
    total, lengths = times[min(times)], sorted(times)
    for a, b in zip(lengths, lengths[1:]):
        total += sum(times[a] + (times[b] - times[a]) * (x - a) / (b - a) for x in range(a + 1, b + 1))
    return total


def nearby(times, length):
    """Median milliseconds of the measured lengths near one."""
    near = sorted(times, key=lambda x: abs(x - length))[:5]
    return 1e3 * sorted(times[x] for x in near)[len(near) // 2]


def main() -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--ltm", required=True, help="path of the ltm program")
    a.add_argument("--oracle", default=os.path.join(HERE, "../../tests/golden/oracle/ltm_reference.py"))
    a.add_argument("--tokens", type=int, default=1000, help="new tokens that the ratio is of")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--rounds", type=int, default=3, help="runs of ltm; medians are told")
    a.add_argument("--every", type=int, default=1, help="run the oracle at every so many lengths only")
    a.add_argument("--out", required=True, help="OUT.json and OUT.md are written")
    args = a.parse_args()
    args.ltm = os.path.abspath(args.ltm)
    torch.set_num_threads(args.threads)

    lengths = sorted({256, 512, args.tokens, 2 * args.tokens})
    with tempfile.TemporaryDirectory() as folder:
        run = initial_run(args, folder)
        seconds, shares, written = {n: [] for n in lengths}, [], None
        cpu = {n: [] for n in [1, *lengths]}
        for _ in range(args.rounds):
            for n in cpu:
                tokens, took, worked, others = ours(args, run, n, folder)
                cpu[n].append(worked)
                if n == 1:     # loading the model, which is not to be counted
                    continue
                seconds[n].append(took)
                shares.append(others)
                written = tokens if n == args.tokens else written
        times, cpu_times, their_share, agreed = theirs(args, run, written)
    middle = lambda xs: sorted(xs)[len(xs) // 2]
    mine = {n: middle(xs) for n, xs in seconds.items()}
    total, their_cpu = whole(times), whole(cpu_times)
    our_cpu = middle(cpu[args.tokens]) - middle(cpu[1])
    spans = []
    worked = {0: middle(cpu[1]), **{n: middle(cpu[n]) for n in lengths}}
    for first, last in zip([0] + lengths, lengths):
        spans.append({"from": first, "to": last,
                      "ltm_ms_per_token": 1e3 * (mine[last] - mine.get(first, 0.0)) / (last - first),
                      "ltm_cpu_ms_per_token": 1e3 * (worked[last] - worked[first]) / (last - first),
                      "oracle_ms_at_end": nearby(times, last) if last <= args.tokens else None})
    commit = output(["git", "rev-parse", "HEAD"], cwd=HERE)
    changed = bool(output(["git", "status", "--porcelain", "--untracked-files=no"], cwd=HERE))
    result = {"cpu": cpu_model(), "cores": os.cpu_count(), "threads": args.threads, "torch": torch.__version__,
              "ltm": output([args.ltm, "--version"]), "date": time.strftime("%Y-%m-%d", time.gmtime()),
              "commit": commit, "uncommitted_changes": changed, "shape": "small", "window": 256,
              "tokens": args.tokens, "rounds": args.rounds, "oracle_every": args.every,
              "ltm_seconds": mine[args.tokens], "ltm_seconds_all": seconds, "ltm_cpu_seconds_all": cpu,
              "oracle_seconds": total, "ratio": total / mine[args.tokens],
              "ltm_cpu_seconds": our_cpu, "oracle_cpu_seconds": their_cpu, "cpu_ratio": their_cpu / our_cpu,
              "tokens_compared": agreed, "spans": spans,
              "other_cpu_share": {"ltm": max((x for x in shares if x is not None), default=None),
                                  "oracle": their_share}}
    percent = lambda x: "unknown" if x is None else f"{100 * x:.0f}%"
    number = lambda x: "" if x is None else f"{x:.1f}"
    lines = ["# Writing text on a CPU: ltm and the whole prefix for every token", "",
             f"{result['cpu']}, {result['cores']} cores, {args.threads} threads, torch {torch.__version__}; "
             f"{result['date']}, commit {commit[:12] or 'unknown'}{' with uncommitted changes' if changed else ''}.", "",
             f"`small`, {args.tokens} new tokens, z from the prior, greedy: ltm {mine[args.tokens]:.1f} s "
             f"({args.tokens / mine[args.tokens]:.1f} tokens/s, median of {args.rounds}), the oracle's decoder over the "
             f"whole prefix {total:.1f} s ({args.tokens / total:.2f} tokens/s"
             f"{'' if args.every == 1 else f', from every {args.every}th length'}): **{total / mine[args.tokens]:.1f} "
             f"times**. In CPU time, without loading the model: {our_cpu:.1f} s and {their_cpu:.1f} s, "
             f"{their_cpu / our_cpu:.1f} times. {agreed} tokens compared, all the same. Others used up to "
             f"{percent(result['other_cpu_share']['ltm'])} of the machine in ltm's runs and {percent(their_share)} in the "
             "oracle's: above a few percent, measure again.", "",
             "| tokens | ltm, ms a token | ltm, CPU ms a token | oracle at the last of them, ms |", "|---|---|---|---|"]
    lines += [f"| {s['from'] + 1} to {s['to']} | {s['ltm_ms_per_token']:.2f} | {s['ltm_cpu_ms_per_token']:.2f} | {number(s['oracle_ms_at_end'])} |"
              for s in spans]
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    with open(args.out + ".json", "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    with open(args.out + ".md", "w") as f:
        f.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
