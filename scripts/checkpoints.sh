#!/usr/bin/env bash
# Trains and freezes the policies in checkpoints/. What they are worth says `make results`.
#
# usage: scripts/checkpoints.sh SCENARIO:SEED...            (called by `make checkpoints`; settings are in train/recipes)
set -euo pipefail
cd "$(dirname "$0")/.."

trainer=target/release/yardmaster-train

for setting in "$@"; do
    IFS=: read -r scenario seed <<<"$setting"
    run=runs/checkpoints/$scenario
    rm -rf "$run"
    "$trainer" --scenario "$scenario" --out "$run" --config "train/recipes/$scenario.toml" --seed "$seed"
    "$trainer" export --run "$run" --out "checkpoints/$scenario.safetensors"
done
