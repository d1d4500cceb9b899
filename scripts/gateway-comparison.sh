#!/usr/bin/env bash
# Three back ends that run real networks, measured, and policies in front of them, live and simulated on the same arrivals.
# Usage: scripts/gateway-comparison.sh paced|real OUT [CHECKPOINT...]
#   paced: each back end answers no sooner than an accelerator of its speed would, and sleeps meanwhile
#   real:  the slower back ends run each batch several times over; needs as many idle cores as there are back ends
# What OUT has of an earlier run is kept: the measured speeds, on which policies may have been trained since, and not measured
# anew. With EPISODES=0 nothing is compared.
# PROFILE (release) names the folder of the programs below target/; EPISODES (5), SEED (1), REQUESTS, LOAD, BURST and POLICIES can
# be set.
set -euo pipefail
cd "$(dirname "$0")/.."

way=${1:?paced or real}
out=${2:?a folder for the results}
shift 2
programs=${CARGO_TARGET_DIR:-target}/${PROFILE:-release}
yardmaster=$programs/yardmaster
case $way in
paced)
    names=(fast middle slow)
    speeds=("--pace-ms 12 --pace-row-ms 3" "--pace-ms 24 --pace-row-ms 6" "--pace-ms 48 --pace-row-ms 12")
    load=${LOAD:-0.6} requests=${REQUESTS:-1500} ;;
real)
    names=(once thrice eightfold)
    speeds=("--repeat 1" "--repeat 3" "--repeat 8")
    load=${LOAD:-0.15} requests=${REQUESTS:-600} ;;
*) echo "give paced or real, not $way" >&2; exit 2 ;;
esac

mkdir -p "$out"
work=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT

for network in mlp conv; do
    "$yardmaster" backend --network $network --write "$work/$network.onnx"
done
urls=()
for at in 0 1 2; do
    # shellcheck disable=SC2086 # the speed is several words
    "$programs/yardmaster-backend" --model "$work/mlp.onnx" --model "$work/conv.onnx" --kind "${names[$at]}" \
        ${speeds[$at]} >"$work/$at.log" &
    pids+=($!)
    until grep -qs listening "$work/$at.log"; do
        kill -0 "${pids[-1]}" || exit 1
        sleep 0.1
    done
    urls+=("$(sed 's/listening on //' "$work/$at.log")")
done

if [ -f "$out/$way.toml" ] && [ -f "$out/$way-gateway.toml" ]; then
    echo "the speeds in $out/$way.toml are kept"
    # Each back end is where it is today.
    for at in 0 1 2; do
        sed -i "/^node = \"${names[$at]}\"/{n;s|^url = .*|url = \"${urls[$at]}\"|}" "$out/$way-gateway.toml"
    done
else
    # shellcheck disable=SC2086 # nothing, or an option and its value
    "$yardmaster" profile "${urls[@]/#/--backend=}" --model mlp --model conv --batches 1,2,4,8,16 --load "$load" \
        --requests "$requests" ${BURST:+--burst $BURST} --out "$out/$way.toml" --gateway "$out/$way-gateway.toml" \
        2>"$out/$way-profile.txt" || { cat "$out/$way-profile.txt" >&2; exit 1; }
    cat "$out/$way-profile.txt"
fi
[ "${EPISODES:-5}" != 0 ] || exit 0
checkpoints=()
for file in "$@"; do checkpoints+=(--checkpoint "$file"); done
"$yardmaster" live-compare --config "$out/$way-gateway.toml" --episodes "${EPISODES:-5}" --seed "${SEED:-1}" \
    --policies "${POLICIES:-fcfs,wrr,mct+timeout(ms=5),mct,tardiness}" "${checkpoints[@]}" \
    --json "$out/$way.json" --markdown "$out/$way.md"
cat "$out/$way.md"
