#!/bin/sh
# Checks and measures this build of ltm on this machine. Variables:
#   OUT            folder of the results; default ./results
#   STEPS          groups of steps: check,sanitize,bench,peers,curve,cpu; default the first four
#   LIMIT          seconds for everything; default 1500
#   ONLY           run only the steps with these names, separated by commas
#   BATCH          sequences of an iteration in measurements; default 64
#   CURVE_SECONDS  seconds of training for the curve, each side; default 540
#   PYTHON         a Python, with PyTorch for the peers; default python3
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# Copying may lose the permission, and the folder may not be ours to change.
runner=$here/bundle
if ! [ -x "$runner" ]; then
    runner=$(mktemp)
    trap 'rm -f "$runner"' EXIT
    cp "$here/bundle" "$runner"
    chmod +x "$runner"
fi
"$runner" run --bundle "$here" --out "${OUT:-./results}" --steps "${STEPS:-check,sanitize,bench,peers}" \
    --limit "${LIMIT:-1500}" --only "${ONLY:-}" --batch "${BATCH:-64}" --curve-seconds "${CURVE_SECONDS:-540}" \
    --python "${PYTHON:-python3}"
