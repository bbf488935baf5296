//! What is done on the machine, step by step.

/// A step: a shell command that succeeds or does not. Objects of JSON that it writes to its
/// standard output, one a line, are measurements.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Unique name.
    pub name: &'static str,
    /// One of [`GROUPS`].
    pub group: &'static str,
    /// What must be there, else it is not run.
    pub needs: &'static [Need],
    /// Seconds after which it is stopped.
    pub limit: u64,
    /// The command. `$LTM` is the program, `$SUITES` the folder of the test suites, `$BENCHES` that
    /// of the benchmarks, `$GOLDEN` that of the fixtures, `$TEXT` that of the shards (`bytes` and
    /// `gpt2`), `$PEERS` that of the peers, `$PYTHON` a Python, `$SANITIZER` compute-sanitizer,
    /// `$OUT` the folder of the results, `$BATCH` sequences of an iteration, `$CURVE_SECONDS` how
    /// long to train for the curve. It runs in an empty folder of its own; `$SHARED` is one that
    /// all steps see.
    pub script: &'static str,
}

/// What a step may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A GPU.
    Gpu,
    /// compute-sanitizer.
    Sanitizer,
    /// A Python with PyTorch.
    Torch,
    /// A subcommand of the program.
    Command(&'static str),
}

use Need::{Command, Gpu, Sanitizer, Torch};

/// The groups of steps, in the order in which they run.
pub const GROUPS: [&str; 6] = ["check", "sanitize", "bench", "peers", "curve", "cpu"];
/// The groups that run unless others are asked for.
pub const DEFAULT_GROUPS: &str = "check,sanitize,bench,peers";

/// Every operation at a shape, and a few iterations of it, part by part.
macro_rules! kernels {
    ($shape:literal) => {
        concat!(
            r#""$LTM" bench --kernels --device cuda --dtype bf16 --shape "#,
            $shape,
            " --set train.batch=$BATCH --reading paper --iterations 3 --warmup 2 --json"
        )
    };
}

/// Every step, in order.
pub const STEPS: &[Step] = &[
    step("doctor", "check", &[Command("doctor")], 120, r#""$LTM" doctor"#),
    step(
        "parity-cpu",
        "check",
        &[],
        120,
        r#""$LTM" parity -q --device cpu "$GOLDEN"/*.safetensors"#,
    ),
    // One by one: in the smallest shapes results are exactly zero, and nothing but that is allowed.
    step("parity-vm", "check", &[], 300, r#""$LTM" parity -q --device vm "$GOLDEN"/*.safetensors"#),
    step("model-vm", "check", &[], 300, r#""$SUITES/virtual_gpu""#),
    step(
        "parity-cuda",
        "check",
        &[Gpu],
        120,
        r#""$LTM" parity -q --device cuda "$GOLDEN"/*.safetensors"#,
    ),
    step(
        "model-cuda",
        "check",
        &[Gpu],
        120,
        r#"LTM_TEST_DEVICE=cuda "$SUITES/virtual_gpu" --test-threads 1"#,
    ),
    // What counts, plants faults or loads broken programs is about the virtual GPU alone.
    step(
        "kernels-cuda",
        "check",
        &[Gpu],
        300,
        concat!(
            r#"LTM_TEST_DEVICE=cuda "$SUITES/kernels" --test-threads 1 "#,
            "--skip counters:: --skip faults:: --skip programs::"
        ),
    ),
    step(
        "same-bits-cuda",
        "check",
        &[Gpu],
        120,
        concat!(
            r#"for run in a b; do "$LTM" train --preset tiny --data "$TEXT/bytes" --device cuda "#,
            "--gemm own --dtype bf16 --set train.iterations=30 --set train.validate_every=0 ",
            r#"--set train.sample_every=0 --out $run || exit; done; cmp a/metrics.jsonl b/metrics.jsonl"#
        ),
    ),
    step(
        "memcheck",
        "sanitize",
        &[Gpu, Sanitizer],
        240,
        concat!(
            r#"LTM_TEST_DEVICE=cuda "$SANITIZER" --tool memcheck --error-exitcode 99 --print-limit 20 "#,
            r#""$SUITES/kernels" --test-threads 1 --skip counters:: --skip faults:: --skip programs::"#
        ),
    ),
    step(
        "racecheck",
        "sanitize",
        &[Gpu, Sanitizer],
        240,
        concat!(
            r#"LTM_TEST_DEVICE=cuda "$SANITIZER" --tool racecheck --error-exitcode 99 --print-limit 20 "#,
            r#""$SUITES/kernels" --test-threads 1 --skip counters:: --skip faults:: --skip programs::"#
        ),
    ),
    step(
        "memcheck-training",
        "sanitize",
        &[Gpu, Sanitizer],
        120,
        concat!(
            r#""$SANITIZER" --tool memcheck --error-exitcode 99 --print-limit 20 "$LTM" train "#,
            r#"--preset tiny --data "$TEXT/bytes" --device cuda --dtype bf16 --out run "#,
            "--set train.iterations=1 --set train.validate_every=0 --set train.sample_every=0"
        ),
    ),
    step(
        "bench-small",
        "bench",
        &[Gpu],
        180,
        concat!(
            r#""$LTM" bench --device cuda --dtype bf16 --shape small --set train.batch=$BATCH "#,
            "--iterations 10 --warmup 3 --json"
        ),
    ),
    step(
        "bench-small-sampled",
        "bench",
        &[Gpu],
        120,
        concat!(
            r#""$LTM" bench --device cuda --dtype bf16 --shape small --set train.batch=$BATCH "#,
            "--reading paper --set slow.trajectory_samples=1 --iterations 10 --warmup 3 --json"
        ),
    ),
    step(
        "bench-small-by-operation",
        "bench",
        &[Gpu],
        120,
        concat!(
            r#""$LTM" bench --device cuda --dtype bf16 --shape small --set train.batch=$BATCH "#,
            "--reading paper --iterations 2 --warmup 1 --by-operation"
        ),
    ),
    step("kernels-small", "bench", &[Gpu], 180, kernels!("small")),
    step("kernels-medium", "bench", &[Gpu], 180, kernels!("medium")),
    step("kernels-large", "bench", &[Gpu], 240, kernels!("large")),
    step(
        "train-medium",
        "bench",
        &[Gpu],
        120,
        concat!(
            r#""$LTM" train --preset medium --data "$TEXT/gpt2" --device cuda --dtype bf16 --out run "#,
            "--set reading=paper --set train.batch=$BATCH --set train.iterations=8 ",
            "--set train.validate_every=0 --set train.sample_every=0 >&2 && cat run/timing.jsonl"
        ),
    ),
    step(
        "train-large",
        "bench",
        &[Gpu],
        180,
        concat!(
            r#""$LTM" train --preset large --data "$TEXT/gpt2" --device cuda --dtype bf16 --out run "#,
            "--set reading=paper --set train.batch=$BATCH --set train.iterations=5 ",
            "--set train.validate_every=0 --set train.sample_every=0 >&2 && cat run/timing.jsonl"
        ),
    ),
    step(
        "peers-released",
        "peers",
        &[Gpu, Torch],
        120,
        r#""$PYTHON" "$PEERS/gpu_ltm.py" --variant released-eager --check "$GOLDEN" --device cuda"#,
    ),
    step(
        "peers-strongest",
        "peers",
        &[Gpu, Torch],
        240,
        concat!(
            r#"for loss in chunked flash; do "$PYTHON" "$PEERS/gpu_ltm.py" --variant strongest "#,
            r#"--compile none --loss $loss --check "$GOLDEN" --device cuda || exit; done"#
        ),
    ),
    step(
        "peers-compare",
        "peers",
        &[Gpu, Torch],
        1200,
        concat!(
            r#""$PYTHON" "$PEERS/compare_gpu.py" --device cuda --ltm "$LTM" --out "$OUT/peers" --batch $BATCH "#,
            r#"--shapes small --readings paper released paper+1 --rounds 2 "#,
            r#"--variants strongest released-eager --budget $((LIMIT_SECONDS - 120)) --timeout 400"#
        ),
    ),
    // One iteration at learning rate zero leaves the initial weights, which the peer then reads.
    step(
        "curve-ltm",
        "curve",
        &[Gpu],
        900,
        concat!(
            r#"set -e; "$LTM" train --preset small --data "$TEXT/gpt2" --device cuda --out "$SHARED/start" "#,
            "--set slow.first_lr=zero --set train.iterations=1 --set train.batch=1 --set fast.steps=1 ",
            "--set train.validate_every=0 --set train.sample_every=0 >&2; ",
            r#"timeout --foreground -s INT $CURVE_SECONDS "$LTM" train --preset small --data "$TEXT/gpt2" "#,
            r#"--device cuda --dtype bf16 --out "$SHARED/curve" --set train.batch=$BATCH "#,
            "--set train.iterations=2000 --set slow.warmup=100 --set train.validate_every=0 ",
            r#"--set train.sample_every=0 >&2 || [ $? = 124 ]; "#,
            r#"cp "$SHARED/curve/metrics.jsonl" "$OUT/curve-ltm.jsonl""#
        ),
    ),
    step(
        "curve-pytorch",
        "curve",
        &[Gpu, Torch],
        1200,
        concat!(
            r#""$PYTHON" "$PEERS/gpu_ltm.py" --variant strongest --config "$SHARED/curve/config.toml" "#,
            r#"--init "$SHARED"/start/checkpoints/iter_00000001/model.safetensors "#,
            r#"--data "$TEXT/gpt2" --device cuda --dtype bf16 --iterations $(wc -l <"$OUT/curve-ltm.jsonl") "#,
            r#"--seconds $CURVE_SECONDS --curve "$OUT/curve-pytorch.jsonl""#
        ),
    ),
    step("operations-cpu", "cpu", &[], 300, r#""$SUITES/operations""#),
    step("kernels-vm", "cpu", &[], 600, r#""$SUITES/kernels""#),
    step("parity-suite", "cpu", &[], 300, r#""$SUITES/parity""#),
    step("command-line", "cpu", &[], 300, r#""$SUITES/command_line""#),
    step("crash", "cpu", &[], 300, r#""$SUITES/crash""#),
    step("criterion", "cpu", &[], 600, r#""$BENCHES/operations" --bench"#),
];

const fn step(
    name: &'static str,
    group: &'static str,
    needs: &'static [Need],
    limit: u64,
    script: &'static str,
) -> Step {
    Step { name, group, needs, limit, script }
}
