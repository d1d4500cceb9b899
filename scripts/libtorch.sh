#!/bin/sh
# Puts the libtorch that the trainer links into .libtorch/ (about 440 MB). Only `train/` needs it.
#
# usage: scripts/libtorch.sh
#   LIBTORCH            set: that installation is used, and this script does nothing
#   YARDMASTER_WHEELS   a folder with the three wheels, already downloaded: no network is used
#
# The parts come from the Python wheels, because those are on every package mirror: of torch itself the CPU
# half, and the two small CUDA libraries that it was linked against. No CUDA device is needed.
set -eu

torch=2.13.0
cudart=13.0.96
cupti=13.0.85
files="libtorch_cpu.so libtorch.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13"

fail() {
    echo "libtorch.sh: $*" >&2
    exit 1
}

complete() {
    [ "$(cat "$1/build-version" 2>/dev/null)" = "$torch" ] && [ -f "$1/include/torch/csrc/api/include/torch/torch.h" ] || return 1
    for file in $files; do
        [ -s "$1/lib/$file" ] || return 1
    done
}

if [ -n "${LIBTORCH:-}" ]; then
    echo "libtorch.sh: LIBTORCH is set to $LIBTORCH; nothing to do"
    exit 0
fi
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
goal=$root/.libtorch
if complete "$goal"; then
    echo "libtorch.sh: .libtorch is complete (libtorch $torch)"
    exit 0
fi

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) ;;
*) fail "these wheels are for Linux on x86-64, this is $(uname -s) on $(uname -m): install libtorch $torch and set LIBTORCH" ;;
esac
command -v python3 >/dev/null || fail "python3 is not installed; it downloads and unpacks the wheels"
python3 -c 'import zipfile' 2>/dev/null || fail "python3 has no zipfile module"
[ -n "${YARDMASTER_WHEELS:-}" ] || python3 -m pip --version >/dev/null 2>&1 ||
    fail "python3 has no pip: install it (on Debian: python3-pip), or set YARDMASTER_WHEELS to a folder with the wheels"

# Everything happens in a folder beside the goal, so that the last step is one rename.
work=$(mktemp -d "$root/.libtorch.XXXXXX.tmp") || fail "cannot write in $root"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
wheels=${YARDMASTER_WHEELS:-$work/wheels}
if [ -z "${YARDMASTER_WHEELS:-}" ]; then
    echo "libtorch.sh: downloading torch $torch (about 540 MB)"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$wheels" \
        "torch==$torch" "nvidia-cuda-runtime==$cudart" "nvidia-cuda-cupti==$cupti" ||
        fail "the download failed (is there a wheel of torch $torch for $(python3 --version)?)"
fi

# unpack <wheel's name and version> <member>...: writes the named files, and folders that end in /, below $work.
unpack() {
    wheel=$(find "$wheels" -maxdepth 1 -name "$1-*.whl" | head -n 1)
    [ -n "$wheel" ] || fail "no wheel $1-*.whl in $wheels"
    shift
    python3 - "$wheel" "$work/raw" "$@" <<'PYTHON' || fail "cannot unpack $wheel"
import sys, zipfile
wheel, goal, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
    for want in wanted:
        found = [n for n in names if n == want or (want.endswith("/") and n.startswith(want))]
        if not found:
            sys.exit(f"{wheel} has no {want}")
        archive.extractall(goal, found)  # checks each file's CRC
PYTHON
}

echo "libtorch.sh: unpacking"
unpack "torch-$torch" torch/include/ torch/lib/libtorch_cpu.so torch/lib/libtorch.so torch/lib/libc10.so torch/lib/libgomp.so.1
unpack "nvidia_cuda_runtime-$cudart" nvidia/cu13/lib/libcudart.so.13
unpack "nvidia_cuda_cupti-$cupti" nvidia/cu13/lib/libcupti.so.13
mv "$work"/raw/nvidia/cu13/lib/*.so.13 "$work/raw/torch/lib/"
echo "$torch" >"$work/raw/torch/build-version"
complete "$work/raw/torch" || fail "the wheels lack a file of: $files"

rm -rf "$goal"
mv "$work/raw/torch" "$goal"
echo "libtorch.sh: libtorch $torch is in .libtorch"
