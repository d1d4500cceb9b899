#!/usr/bin/env bash
# Trains and freezes the policies in checkpoints/. What they are worth says `make results`.
#
# usage: scripts/checkpoints.sh SCENARIO:STEPS:SEED...      (called by `make checkpoints`, which has the settings)
set -euo pipefail
cd "$(dirname "$0")/.."

trainer=target/release/yardmaster-train

for setting in "$@"; do
    IFS=: read -r scenario steps seed <<<"$setting"
    run=runs/checkpoints/$scenario
    rm -rf "$run"
    "$trainer" --scenario "$scenario" --out "$run" --steps "$steps" --seed "$seed"
    "$trainer" export --run "$run" --out "checkpoints/$scenario.safetensors"
done
