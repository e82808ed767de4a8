#!/bin/sh
# Brings the programs that benches/peers/compare.py stands beside ours into one folder (default: target/peers), from
# their usual registries, and says plainly which could not be had. Nothing outside the folder changes.
#
#   benches/peers/prepare.sh [FOLDER]      all but Maelstrom
#   MAELSTROM=1 benches/peers/prepare.sh   Maelstrom too: compiles some hundreds of crates
#
# V8's own runner is not fetched: give compare.py a checkout with --v8.
set -u
cd "$(dirname "$0")/../.." || exit 1
folder=${1:-target/peers}
mkdir -p "$folder/bin" || exit 1
folder=$(cd "$folder" && pwd)
log=$folder/prepare.log
: >"$log"
had() { echo "have $1: $2"; }
lacks() { echo "could not be had: $1 ($2; see $log)"; }

if command -v xargs >/dev/null; then had xargs "$(xargs --version 2>/dev/null | head -n 1)"; else lacks xargs "install findutils"; fi

# lit, pytest, pytest-xdist: a Python environment of their own.
if python3 -m venv "$folder/python" >>"$log" 2>&1 &&
    "$folder/python/bin/pip" install --quiet lit pytest pytest-xdist >>"$log" 2>&1; then
    had "lit, pytest-xdist" "$("$folder/python/bin/pip" list 2>/dev/null | grep -E '^(lit|pytest-xdist) ' | tr -s ' ' | tr '\n' ' ')"
else
    lacks "lit, pytest-xdist" "pip failed"
fi

# GNU parallel: the system's, or its package unpacked here.
if command -v parallel >/dev/null; then
    had "GNU parallel" "$(parallel --version | head -n 1)"
elif command -v apt-get >/dev/null &&
    (cd "$folder" && apt-get download parallel && dpkg -x parallel_*.deb parallel && rm parallel_*.deb) >>"$log" 2>&1; then
    ln -sf "$folder/parallel/usr/bin/parallel" "$folder/bin/parallel"
    had "GNU parallel" "$("$folder/bin/parallel" --version | head -n 1)"
else
    lacks "GNU parallel" "no package"
fi

# cargo-nextest: what is installed, or a build of it.
if command -v cargo-nextest >/dev/null; then
    had cargo-nextest "$(cargo-nextest --version | head -n 1)"
elif nice cargo install --quiet --locked --root "$folder" cargo-nextest >>"$log" 2>&1; then
    had cargo-nextest "$("$folder/bin/cargo-nextest" --version | head -n 1)"
else
    lacks cargo-nextest "cargo install failed"
fi

if [ -n "${MAELSTROM:-}" ]; then
    if nice cargo install --quiet --locked --root "$folder" maelstrom-run maelstrom-broker maelstrom-worker >>"$log" 2>&1; then
        had Maelstrom "$("$folder/bin/maelstrom-run" --version)"
    else
        lacks Maelstrom "cargo install failed"
    fi
elif [ -x "$folder/bin/maelstrom-run" ]; then
    had Maelstrom "$("$folder/bin/maelstrom-run" --version)"
else
    echo "left out: Maelstrom (MAELSTROM=1 builds it)"
fi
