#!/bin/sh
# Puts the Python packages that some tests compare with into .venv/ (about 150 MB), once. Those tests skip themselves,
# and say so, where the packages are absent.
#
# usage: scripts/python.sh
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
wanted=$root/tests/python/requirements.txt
venv=$root/.venv

if cmp -s "$wanted" "$venv/installed.txt"; then
    echo "python.sh: .venv is complete"
    exit 0
fi
python3 -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$wanted"
cp "$wanted" "$venv/installed.txt"
