"""Runs `ltm` and the PyTorch peers in turn on one CPU and writes down the ratios.

    python compare_cpu.py --ltm target/release/ltm --out report/cpu --rounds 3

Every round runs each program once for each shape and reading, in an order that turns round by round, so that a
machine that slows down slows everybody. Ratios are taken within a round and their median is told. Needs nothing
but Python; the peers run under --python (default: the interpreter this runs under). Without --ltm only the peers
are run. A result goes to OUT.json and OUT.md.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def busy_ticks():
    """CPU time the whole machine has spent working, in ticks (user nice system irq softirq steal)."""
    try:
        with open("/proc/stat") as f:
            v = [int(x) for x in f.readline().split()[1:]]
        return v[0] + v[1] + v[2] + v[5] + v[6] + (v[7] if len(v) > 7 else 0)
    except (OSError, ValueError, IndexError):
        return None


def run(command, timeout):
    """Run one program: its JSON line, with what was seen from outside added."""
    before, start = busy_ticks(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err)
        status = None
        while status is None:
            pid, code, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(code)
            elif time.perf_counter() - start > timeout:
                child.kill()
                os.wait4(child.pid, 0)
                child.returncode = -9
                return {"error": f"no answer within {timeout} s"}
            else:
                time.sleep(0.05)
        child.returncode = status
        wall = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        lines = [x for x in out.read().splitlines() if x.startswith("{")]
        if status != 0 or not lines:
            return {"error": f"exit {status}: {(err.read().strip().splitlines() or ['no output'])[-1][:300]}"}
    result = json.loads(lines[-1])
    result["wall_seconds"] = round(wall, 2)
    result["peak_rss_seen_bytes"] = usage.ru_maxrss * 1024
    if before is not None:
        hertz = os.sysconf("SC_CLK_TCK")
        others = (busy_ticks() - before) / hertz - usage.ru_utime - usage.ru_stime
        result["other_cpu_share"] = round(max(0.0, others) / (wall * (os.cpu_count() or 1)), 3)
    return result


def output(command, **kw):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **kw).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def cpu_model():
    try:
        with open("/proc/cpuinfo") as f:
            return next(x.split(":", 1)[1].strip() for x in f if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def memory_bytes():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def median(xs):
    xs = [x for x in xs if x is not None]
    return statistics.median(xs) if xs else None


def main() -> int:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--ltm", help="path of the ltm program; without it only the peers are run")
    a.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    a.add_argument("--shapes", nargs="+", default=["small", "tiny"])
    a.add_argument("--readings", nargs="+", default=["paper", "released"])
    a.add_argument("--variants", nargs="+", default=["compiled"], choices=("compiled", "eager", "oracle"))
    a.add_argument("--oracle", help="path of ltm_reference.py, for the variant oracle")
    a.add_argument("--data", help="folder of shards, given to the peers and, with --ltm-data, to ltm")
    a.add_argument("--ltm-data", action="store_true", help="pass --data DIR to ltm too")
    a.add_argument("--peer-args", default="", help="more arguments for the peers, in one string")
    a.add_argument("--ltm-args", default="", help="more arguments for ltm, in one string")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--iterations", type=int, default=3, help="measured iterations a run, small")
    a.add_argument("--tiny-iterations", type=int, default=20, help="measured iterations a run, tiny")
    a.add_argument("--timeout", type=float, default=1800, help="seconds for one run")
    a.add_argument("--out", required=True, help="OUT.json and OUT.md are written")
    args = a.parse_args()
    if "oracle" in args.variants and not args.oracle:
        a.error("the variant oracle needs --oracle PATH")

    peer = [args.python, os.path.join(HERE, "cpu_ltm.py")]
    names = (["ltm"] if args.ltm else []) + [f"pytorch-{v}" for v in args.variants]

    def command(name, shape, reading):
        n = str(args.tiny_iterations if shape == "tiny" else args.iterations)
        common = ["--shape", shape, "--reading", reading, "--iterations", n, "--threads", str(args.threads)]
        if name == "ltm":
            more = ["--data", args.data] if args.data and args.ltm_data else []
            return [args.ltm, "bench", *common, "--json", *more, *args.ltm_args.split()]
        variant = name.split("-", 1)[1]
        more = ["--data", args.data] if args.data else []
        more += ["--oracle", args.oracle] if variant == "oracle" else []
        warm = "1" if shape == "small" else "3"
        return [*peer, "--variant", variant, "--warmup", warm, *common, *more, *args.peer_args.split()]

    runs, failed = [], False
    cases = [(s, r) for s in args.shapes for r in args.readings]
    for turn in range(args.rounds):
        for shape, reading in cases:
            k = turn % len(names)
            for name in names[k:] + names[:k]:
                r = run(command(name, shape, reading), args.timeout)
                r.update(impl=name, shape=shape, reading=reading, round=turn)
                runs.append(r)
                if "error" in r:
                    failed = True
                    print(f"round {turn} {shape} {reading} {name}: {r['error']}", file=sys.stderr)
                else:
                    print(f"round {turn} {shape} {reading} {name}: {r['tokens_per_second']} tokens/s, "
                          f"{r['peak_rss_bytes'] / 1e9:.2f} GB, others used "
                          f"{100 * r.get('other_cpu_share', 0):.0f}% of the CPU", file=sys.stderr)

    def of(name, shape, reading):
        return {r["round"]: r for r in runs
                if (r["impl"], r["shape"], r["reading"]) == (name, shape, reading) and "error" not in r}

    table = []
    for shape, reading in cases:
        base = of("ltm", shape, reading)
        for name in names:
            rs = of(name, shape, reading)
            if not rs:
                continue
            row = {"shape": shape, "reading": reading, "impl": name, "rounds": len(rs)}
            for key in ("tokens_per_second", "peak_rss_bytes", "peak_rss_after_warmup_bytes",
                        "rss_after_import_bytes", "other_cpu_share"):
                row[key] = median([r.get(key) for r in rs.values()])
            row["tokens_per_second_min"] = min(r["tokens_per_second"] for r in rs.values())
            row["tokens_per_second_max"] = max(r["tokens_per_second"] for r in rs.values())
            if name != "ltm":
                both = [(base[k], r) for k, r in rs.items() if k in base]
                row["ltm_speed_ratio"] = median([o["tokens_per_second"] / r["tokens_per_second"] for o, r in both])
                row["ltm_rss_ratio"] = median([o["peak_rss_bytes"] / r["peak_rss_bytes"] for o, r in both])
                row["ltm_rss_ratio_after_warmup"] = median(
                    [o["peak_rss_bytes"] / r["peak_rss_after_warmup_bytes"] for o, r in both
                     if r.get("peak_rss_after_warmup_bytes")])
                row["ltm_rss_ratio_net_of_import"] = median(
                    [o["peak_rss_bytes"] / (r["peak_rss_after_warmup_bytes"] - r["rss_after_import_bytes"])
                     for o, r in both if r.get("peak_rss_after_warmup_bytes") and r.get("rss_after_import_bytes")])
            table.append(row)

    torch_version = next((r["torch"] for r in runs if r.get("torch")), None)
    commit = output(["git", "rev-parse", "HEAD"], cwd=HERE)
    changed = bool(output(["git", "status", "--porcelain", "--untracked-files=no"], cwd=HERE))
    versions = {"torch": torch_version, "python": output([args.python, "-c", "import platform; print(platform.python_version())"]),
                "ltm": output([args.ltm, "--version"]).removeprefix("ltm ") if args.ltm else None,
                "rustc": output(["rustc", "--version"]).removeprefix("rustc "), "gcc": output(["gcc", "-dumpfullversion"])}
    result = {"cpu": cpu_model(), "cores": os.cpu_count(), "memory_bytes": memory_bytes(), "threads": args.threads,
              "date": time.strftime("%Y-%m-%d", time.gmtime()), "commit": commit, "uncommitted_changes": changed,
              "versions": versions, "rounds": args.rounds,
              "iterations": {s: args.tiny_iterations if s == "tiny" else args.iterations for s in args.shapes},
              "data": "shards" if args.data else "random tokens", "arguments": {"peers": args.peer_args, "ltm": args.ltm_args}, "table": table, "runs": runs}

    gb = lambda x: "" if x is None else f"{x / 1e9:.2f}"
    times = lambda x: "" if x is None else f"{x:.2f}x"
    lines = ["# Training on a CPU: ltm and PyTorch", "",
             f"{result['cpu']}, {result['cores']} cores, {args.threads} threads. "
             f"{args.rounds} rounds, medians; {result['data']}; {result['date']}, commit {commit[:12] or 'unknown'}"
             f"{' with uncommitted changes' if changed else ''}. "
             + ", ".join(f"{k} {v}" for k, v in versions.items() if v) + "."
             + "".join(f" Arguments of {who}: `{what}`." for who, what in result["arguments"].items() if what), "",
             "Speed ratio: tokens/s of ltm over the peer's, above 1 is faster. Memory ratios: peak resident size of ltm "
             "over the peer's, below 1 is smaller; `whole` is the peer's whole life with compilation, `steady` its peak "
             "after warm-up, `net` that peak less what importing torch took. `Others` is the share of the machine that "
             "other processes used meanwhile: above a few percent the speeds (not the memory) are to be measured again.", "",
             "| shape | reading | program | tokens/s (min to max) | ltm speed | peak GB | steady GB | ltm memory: whole | steady | net | others |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for r in table:
        share = r.get("other_cpu_share")
        lines.append(f"| {r['shape']} | {r['reading']} | {r['impl']} | {r['tokens_per_second']:.1f} "
                     f"({r['tokens_per_second_min']:.1f} to {r['tokens_per_second_max']:.1f}) | "
                     f"{times(r.get('ltm_speed_ratio'))} | {gb(r['peak_rss_bytes'])} | "
                     f"{gb(r['peak_rss_after_warmup_bytes'])} | {times(r.get('ltm_rss_ratio'))} | "
                     f"{times(r.get('ltm_rss_ratio_after_warmup'))} | {times(r.get('ltm_rss_ratio_net_of_import'))} | "
                     f"{'' if share is None else f'{100 * share:.0f}%'} |")
    errors = [r for r in runs if "error" in r]
    if errors:
        lines += ["", "Runs that failed:", ""] + [f"- round {r['round']}, {r['shape']} {r['reading']}, {r['impl']}: {r['error']}"
                                                  for r in errors]
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    with open(args.out + ".json", "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    with open(args.out + ".md", "w") as f:
        f.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
