#!/bin/sh
# Puts main.py, what it imports and a Python interpreter together into one component, app.wasm.
set -e
cd "$(dirname "$0")"

if ! cmp -s requirements.txt .venv/installed.txt; then
    echo "fetching what requirements.txt names into .venv" >&2
    test -x .venv/bin/pip || python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
fi
.venv/bin/componentize-py --quiet --wit-path wit --world app componentize main --output app.wasm
