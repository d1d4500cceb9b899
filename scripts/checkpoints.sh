#!/usr/bin/env bash
# Trains and freezes the policies in checkpoints/. What they are worth says `make results`.
#
# usage: scripts/checkpoints.sh RECIPE:SEED...     (called by `make checkpoints`; train/recipes/RECIPE.toml has the settings)
set -euo pipefail
cd "$(dirname "$0")/.."

trainer=target/release/yardmaster-train

for setting in "$@"; do
    IFS=: read -r recipe seed <<<"$setting"
    run=runs/checkpoints/$recipe
    rm -rf "$run"
    "$trainer" --config "train/recipes/$recipe.toml" --out "$run" --seed "$seed"
    "$trainer" export --run "$run" --out "checkpoints/$recipe.safetensors"
done
