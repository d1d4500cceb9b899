#!/usr/bin/env bash
# Trains and freezes the policies in checkpoints/. What they are worth says `make results`.
#
# usage: scripts/checkpoints.sh [FOLDER/]RECIPE:SEED...     (called by `make checkpoints`)
# train/recipes/RECIPE.toml has the settings; the policy goes into checkpoints/[FOLDER/].
set -euo pipefail
cd "$(dirname "$0")/.."

trainer=target/release/yardmaster-train

for setting in "$@"; do
    IFS=: read -r recipe seed <<<"$setting"
    settings=train/recipes/${recipe##*/}.toml
    run=runs/checkpoints/${recipe##*/}
    rm -rf "$run"
    "$trainer" --config "$settings" --out "$run" --seed "$seed"
    "$trainer" export --run "$run" --out "checkpoints/$recipe.safetensors"
done
