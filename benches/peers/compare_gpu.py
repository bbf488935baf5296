"""Runs `ltm` and the PyTorch peers in turn on one GPU and writes down the ratios.

    python compare_gpu.py --ltm target/release/ltm --out report/gpu
    python compare_gpu.py --table --out report/gpu          # the table again, from report/gpu.json

One process after the other, never two at once; every round runs each program once for each shape and reading, in
an order that turns round by round. Ratios are taken within a round and their median is told. Same shape, same
batch, bf16 on both sides. The peers run under --python (default: the interpreter this runs under). A result goes
to OUT.json and OUT.md after every run, so that a run cut short leaves what it has.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = ("released-eager", "released-compiled", "strongest")


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--ltm", help="the program; without it only the peers run")
    a.add_argument("--ours", choices=("auto", "bench", "train"), default="auto",
                   help="how ltm is timed: `ltm bench`, or `ltm train` and its timing.jsonl (needs --data); "
                        "auto: bench for the shapes it knows, else train")
    a.add_argument("--python", default=sys.executable)
    a.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the script, tiny only")
    a.add_argument("--dtype", choices=("bf16", "f32"), help="default bf16 on a GPU, f32 on a CPU")
    a.add_argument("--variants", nargs="*", choices=PEERS, default=["released-eager", "strongest"])
    a.add_argument("--shapes", nargs="*", choices=("tiny", "small", "medium", "large"), default=["small"])
    a.add_argument("--readings", nargs="*", default=["paper", "released"],
                   help="paper, released, or paper+K: paper with K sampled trajectory steps")
    a.add_argument("--batch", type=int, help="sequences an iteration, all at once; default 64 (tiny 8)")
    a.add_argument("--data", help="folder of llm.c shards with tokenizer.json; random tokens without it")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--iterations", type=int, default=10)
    a.add_argument("--warmup", type=int, default=3)
    a.add_argument("--peer-args", default="", help="further arguments of the peers")
    a.add_argument("--ltm-args", default="", help="further arguments of ltm")
    a.add_argument("--timeout", type=float, default=600, help="seconds for one run")
    a.add_argument("--budget", type=float, default=float("inf"), help="seconds for everything; no run starts after")
    a.add_argument("--table", action="store_true", help="only write the table of OUT.json again")
    a.add_argument("--out", required=True, help="OUT.json and OUT.md are written")
    return a.parse_args()


def run(command, timeout):
    """The last JSON line of a program, with what it took; or what went wrong."""
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, errors="replace")
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {timeout:.0f} s"}
    except OSError as e:
        return {"error": f"cannot run {command[0]}: {e.strerror}"}
    lines = [x for x in done.stdout.splitlines() if x.startswith("{")]
    wall = {"wall_seconds": round(time.perf_counter() - start, 2)}
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        return {"error": f"exit {done.returncode}: {said[-1][:300]}", **wall}
    return {**json.loads(lines[-1]), **wall} if lines else wall


def split(reading):
    """paper+1 -> ("paper", 1)"""
    name, _, count = reading.partition("+")
    if name not in ("paper", "released") or (count and not count.isdigit()):
        raise SystemExit(f"--readings {reading}: expected paper, released or paper+K")
    return name, int(count) if count else None


def batch_of(args, shape):
    return args.batch or (8 if shape == "tiny" else 64)


def settings(args, shape, reading):
    _, samples = split(reading)
    pairs = [f"train.batch={batch_of(args, shape)}"]
    pairs += [f"slow.trajectory_samples={samples}"] if samples is not None else []
    return [x for pair in pairs for x in ("--set", pair)]


def time_ltm(args, shape, reading):
    name, _ = split(reading)
    common = [*settings(args, shape, reading), "--device", args.device, "--dtype", args.dtype, *args.ltm_args.split()]
    how = args.ours if args.ours != "auto" else ("bench" if shape in ("tiny", "small") else "train")
    if how == "bench":
        data = ["--data", args.data] if args.data else []
        return run([args.ltm, "bench", "--shape", shape, "--reading", name, "--iterations", str(args.iterations),
                    "--warmup", str(args.warmup), "--json", *data, *common], args.timeout)
    if not args.data:
        return {"error": f"ltm bench has no shape {shape}, and timing ltm train needs --data"}
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        extra = [f"train.iterations={args.warmup + args.iterations}", f"reading={name}", "train.sample_every=0",
                 "train.validate_every=0", "train.checkpoint_every=0"]
        result = run([args.ltm, "train", "--preset", shape, "--data", args.data, "--out", out,
                      *(x for pair in extra for x in ("--set", pair)), *common], args.timeout)
        if "error" in result:
            return result
        with open(os.path.join(out, "timing.jsonl")) as f:
            rows = [json.loads(x) for x in f][args.warmup:]
        with open(os.path.join(out, "metrics.jsonl")) as f:
            loss = [json.loads(x)["loss"] for x in f][-1]
    speeds = [r["tokens_per_second"] for r in rows]
    return {**result, "impl": "ltm", "shape": shape, "tokens_per_second": statistics.median(speeds),
            "tokens_per_second_min": min(speeds), "tokens_per_second_max": max(speeds), "loss": loss,
            "iteration_ms": 1e3 * statistics.median(r["seconds"] for r in rows), "timed": "train"}


def time_peer(args, variant, shape, reading):
    name, samples = split(reading)
    command = [args.python, os.path.join(HERE, "gpu_ltm.py"), "--variant", variant, "--shape", shape, "--reading", name,
               "--batch", str(batch_of(args, shape)), "--iterations", str(args.iterations), "--warmup", str(args.warmup),
               "--device", args.device, "--dtype", args.dtype]
    command += ["--samples", str(samples)] if samples is not None else []
    command += ["--data", args.data] if args.data else []
    return run([*command, *args.peer_args.split()], args.timeout)


def has_gpu(python):
    """What PyTorch there says of its GPU: (name or None, why not)."""
    code = ("import json, torch; ok = torch.cuda.is_available(); "
            "print(json.dumps([torch.cuda.get_device_name(0) if ok else None, torch.__version__]))")
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as e:
        return None, f"{python} does not run: {e}"
    if done.returncode != 0:
        return None, f"{python} has no PyTorch: {(done.stderr.strip().splitlines() or ['no output'])[-1]}"
    name, version = json.loads(done.stdout.strip().splitlines()[-1])
    return name, f"PyTorch {version} finds no CUDA GPU on this machine"


def tabulate(runs):
    """A row per shape, reading and program: medians, and ratios within rounds."""
    of = lambda *key: {r["round"]: r for r in runs if (r["shape"], r["reading"], r["impl"]) == key and
                       r.get("tokens_per_second")}
    rows = []
    for key in dict.fromkeys((r["shape"], r["reading"], r["impl"]) for r in runs):
        mine, ours = of(*key), of(*key[:2], "ltm")
        if not mine:
            continue
        middle = lambda name: (lambda v: statistics.median(v) if v else None)(
            [r[name] for r in mine.values() if isinstance(r.get(name), (int, float))])
        row = {"shape": key[0], "reading": key[1], "impl": key[2], "rounds": len(mine), "batch": list(mine.values())[0]["batch"],
               **{k: middle(k) for k in ("tokens_per_second", "iteration_ms", "fast_step_ms", "peak_memory_bytes", "loss")}}
        both = [ours[n]["tokens_per_second"] / r["tokens_per_second"] for n, r in mine.items() if n in ours]
        if key[2] != "ltm" and both:
            row["ltm_speed_ratio"] = statistics.median(both)
        rows.append(row)
    return rows


def markdown(result):
    number = lambda x, form: "" if x is None else format(x, form)
    lines = ["# Training on a GPU: ltm and PyTorch", "",
             f"{result['gpu'] or 'no GPU'}, {result['dtype']}, device {result['device']}; "
             f"{result['rounds']} rounds, medians; {result['data']}; {result['date']}, commit {result['commit'] or 'unknown'}. "
             + ", ".join(f"{k} {v}" for k, v in result["versions"].items() if v) + ".", "",
             "Speed ratio: tokens/s of ltm over the peer's, above 1 is faster. `paper+K` is the reading `paper` with K "
             "sampled trajectory steps.", "",
             "| shape | reading | batch | program | tokens/s | iteration ms | fast step ms | peak GB | ltm speed |",
             "|---|---|---|---|---|---|---|---|---|"]
    for r in result["table"]:
        peak = r.get("peak_memory_bytes")
        ratio = r.get("ltm_speed_ratio")
        lines.append(f"| {r['shape']} | {r['reading']} | {r['batch']} | {r['impl']} | {number(r['tokens_per_second'], '.1f')} "
                     f"| {number(r['iteration_ms'], '.2f')} | {number(r['fast_step_ms'], '.3f')} "
                     f"| {number(peak and peak / 1e9, '.2f')} | {number(ratio, '.2f')}{'x' if ratio else ''} |")
    failed = [r for r in result["runs"] if "error" in r]
    if failed:
        lines += ["", "Runs that failed:", ""]
        lines += [f"- round {r['round']}, {r['shape']} {r['reading']}, {r['impl']}: {r['error']}" for r in failed]
    return "\n".join(lines) + "\n"


def write(out, result):
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    for name, text in ((out + ".json", json.dumps(result, indent=1) + "\n"), (out + ".md", markdown(result))):
        with open(name + ".part", "w") as f:
            f.write(text)
        os.replace(name + ".part", name)


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=HERE).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def main():
    args = arguments()
    if args.table:
        with open(args.out + ".json") as f:
            result = json.load(f)
        result["table"] = tabulate(result["runs"])
        write(args.out, result)
        print(markdown(result), end="")
        return 0
    args.dtype = args.dtype or ("bf16" if args.device == "cuda" else "f32")
    for reading in args.readings:
        split(reading)
    gpu = None
    if args.device == "cuda":
        gpu, why = has_gpu(args.python)
        if gpu is None:
            print(f"error: {why}; run this where there is one (--device cpu --shapes tiny tries the script out)",
                  file=sys.stderr)
            return 1
    commit = os.environ.get("LTM_COMMIT") or output("git", "rev-parse", "--short=12", "HEAD")
    result = {"gpu": gpu, "device": args.device, "dtype": args.dtype, "date": time.strftime("%Y-%m-%d", time.gmtime()),
              "commit": commit, "rounds": args.rounds, "iterations": args.iterations,
              "data": "shards" if args.data else "random tokens",
              "versions": {"ltm": output(args.ltm, "--version").removeprefix("ltm ") if args.ltm else None},
              "runs": [], "table": []}
    names = (["ltm"] if args.ltm else []) + [f"pytorch-{v}" for v in args.variants]
    start, stopped = time.perf_counter(), False
    for turn in range(args.rounds):
        k = turn % max(1, len(names))
        for shape in args.shapes:
            for reading in args.readings:
                for name in names[k:] + names[:k]:
                    if time.perf_counter() - start > args.budget:
                        r, stopped = {"error": f"not run: the {args.budget:.0f} s for everything were over"}, True
                    elif name == "ltm":
                        r = time_ltm(args, shape, reading)
                    else:
                        r = time_peer(args, name.removeprefix("pytorch-"), shape, reading)
                    r.update(impl=name, shape=shape, reading=reading, batch=batch_of(args, shape), round=turn)
                    if r.get("tokens_per_second") and "iteration_ms" not in r:
                        tokens = r["batch"] * (256 if shape == "tiny" else 1024)
                        r["iteration_ms"] = 1e3 * tokens / r["tokens_per_second"]
                    for key in ("torch", "cuda", "triton", "driver"):
                        if r.get(key):
                            result["versions"][key] = r[key]
                    result["runs"].append(r)
                    result["table"] = tabulate(result["runs"])
                    write(args.out, result)
                    speed = r.get("tokens_per_second")
                    said = r.get("error") or (f"{speed:.1f} tokens/s" if speed else "no figure")
                    print(f"round {turn} {shape} {reading} {name}: {said}", file=sys.stderr)
    print(markdown(result), end="")
    return 1 if stopped or any("error" in r for r in result["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main())
