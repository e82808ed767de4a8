#!/bin/sh
# Puts the three programs, which are one file with three names, into a folder: that of docker/prebuilt if there is one,
# else compiled here.
set -eu
to=$1
mkdir -p "$to"
if [ -x docker/prebuilt/run-tests ]; then
    cp docker/prebuilt/run-tests "$to/"
else
    apt-get update
    apt-get install -y --no-install-recommends gcc libc6-dev
    cargo build --release --locked --bin run-tests
    strip -o "$to/run-tests" target/release/run-tests
fi
ln -s run-tests "$to/meshd"
ln -s run-tests "$to/meshctl"
