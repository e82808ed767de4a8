#!/bin/sh
# Puts the three programs into a folder: those of docker/prebuilt where there are any, else compiled here.
set -eu
to=$1
mkdir -p "$to"
if [ -x docker/prebuilt/meshd ]; then
    cp docker/prebuilt/run-tests docker/prebuilt/meshd docker/prebuilt/meshctl "$to/"
    exit 0
fi
apt-get update
apt-get install -y --no-install-recommends gcc libc6-dev
cargo build --release --locked --bins
cp target/release/run-tests target/release/meshd target/release/meshctl "$to/"
