#!/usr/bin/env bash
# Builds the image `testmesh` without any registry: the base is this machine's C library and a static busybox, the
# programs are compiled outside the image. Needs Docker, Rust, a C compiler and busybox (package busybox-static).
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-testmesh}
base=$tag-base

busybox=$(command -v busybox) || { echo "images.sh: no busybox. hint: install the package busybox-static" >&2; exit 1; }
cargo build --release --locked --bin run-tests
program=${CARGO_TARGET_DIR:-target}/release/run-tests

root=$(mktemp -d)
prebuilt=docker/prebuilt
trap 'rm -rf "$root" "$prebuilt"' EXIT

# Everything with one date, in one order, so that the same inputs give the same layers.
mkdir -p "$root"/{bin,dev,etc,home,lib,lib64,proc,root,sbin,sys,tmp,usr/bin,usr/local/bin,var,run}
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do ln -sf /bin/busybox "$root/bin/$applet"; done
ldd "$program" | grep -o '/[^ ]*' | grep -v ':$' | sort -u |
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
find "$root" -exec touch -h -d @0 {} +
tar --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -C "$root" -c . |
    docker import --message "testmesh base: C library and busybox" - "$base" >/dev/null

mkdir -p "$prebuilt"
strip -o "$prebuilt/run-tests" "$program"
docker build -q --build-arg BUILDER="$base" --build-arg RUNTIME="$base" -f docker/Dockerfile -t "$tag" . >/dev/null
docker image inspect --format "$tag: {{.Size}} bytes" "$tag"
