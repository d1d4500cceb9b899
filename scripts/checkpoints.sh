#!/usr/bin/env bash
# Trains and freezes the policies in checkpoints/, and renews the table in checkpoints/README.md.
#
# usage: scripts/checkpoints.sh SCENARIO:STEPS:SEED...      (called by `make checkpoints`, which has the settings)
set -euo pipefail
cd "$(dirname "$0")/.."

trainer=target/release/yardmaster-train
readme=checkpoints/README.md
episodes=100
rows=""

for setting in "$@"; do
    IFS=: read -r scenario steps seed <<<"$setting"
    run=runs/checkpoints/$scenario
    file=checkpoints/$scenario.safetensors
    rm -rf "$run"
    "$trainer" --scenario "$scenario" --out "$run" --steps "$steps" --seed "$seed"
    "$trainer" export --run "$run" --out "$file"
    target/release/yardmaster bench --scenario "$scenario" --checkpoint "$file" --episodes "$episodes" \
        --json "$run/bench.json" --markdown "$run/table.md"
    rows+="| [\`$scenario.safetensors\`]($scenario.safetensors) | $scenario"
    rows+=" | \`yardmaster-train --scenario $scenario --steps $steps --seed $seed\`"
    rows+=" | \`yardmaster bench --scenario $scenario --checkpoint $file --episodes $episodes\` |"$'\n'
done

# The table stands between two marks; everything else in the file is written by hand.
rows=$rows awk '
    /<!-- end of table -->/ { inside = 0 }
    !inside { print }
    /<!-- table/ {
        inside = 1
        print "| file | scenario | trained with | judged with |"
        print "|---|---|---|---|"
        printf "%s", ENVIRON["rows"]
    }
' "$readme" >"$readme.tmp"
mv "$readme.tmp" "$readme"
