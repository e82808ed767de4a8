#!/usr/bin/env bash
# Builds the image `testmesh` without any registry: the base is this machine's C library and a static busybox, the
# programs are compiled outside the image. Needs Docker, Rust, a C compiler, strip, and busybox (package
# busybox-static).
#
#   docker/images.sh [TAG [PROFILE]]        # default: testmesh, release; `dev` compiles faster and tests slower
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-testmesh}
profile=${2:-release}
base=$tag-base

needed() { command -v "$1" || { echo "images.sh: no $1. hint: install the package $2" >&2; exit 1; }; }
busybox=$(needed busybox busybox-static)
if ldd "$busybox" >/dev/null 2>&1; then
    echo "images.sh: $busybox needs libraries. hint: install the package busybox-static" >&2
    exit 1
fi
needed strip binutils >/dev/null
cargo build --profile "$profile" --locked --bin run-tests
folder=$profile
[ "$profile" = dev ] && folder=debug
program=${CARGO_TARGET_DIR:-target}/$folder/run-tests

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
# What is built again replaces what was there.
before=$(docker image inspect --format '{{.Id}}' "$tag" "$base" 2>/dev/null || true)
# What the Dockerfile sees: no sources, since nothing is compiled there.
context=$work/context

# Everything with one date, in one order, so that the same inputs give the same layers.
mkdir -p "$root"/{bin,dev,etc,lib,lib64,proc,root,sbin,sys,tmp,usr/bin,usr/local/bin,usr/local/share,var,run}
chmod -R 755 "$root"
chmod 1777 "$root/tmp"
install -m 755 "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do ln -s busybox "$root/bin/$applet" 2>/dev/null || true; done
ldd "$program" | grep -o '/[^ ]*' | grep -v ':$' | sort -u |
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        install -m 755 "$(realpath "$library")" "$root$library"
    done
printf 'root:x:0:0:root:/root:/bin/sh\nmesh:x:10001:10001:mesh:/mesh:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nmesh:x:10001:\n' >"$root/etc/group"
chmod 644 "$root/etc/passwd" "$root/etc/group"
find "$root" -exec touch -h -d @0 {} +
tar --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -C "$root" -c . |
    docker import --message "testmesh base: C library and busybox" - "$base" >/dev/null

mkdir -p "$context/docker/prebuilt"
cp docker/Dockerfile docker/programs.sh docker/lab.sh "$context/docker/"
strip -o "$context/docker/prebuilt/run-tests" "$program"
docker build -q --force-rm --no-cache --build-arg BUILDER="$base" --build-arg RUNTIME="$base" \
    -f "$context/docker/Dockerfile" -t "$tag" "$context" >/dev/null
docker image prune -f --filter label=testmesh.stage=build >/dev/null
for image in $before; do
    # Layers that did not change are kept by the image that has them now.
    docker image inspect --format '{{.RepoTags}}' "$image" 2>/dev/null | grep -qx '\[\]' &&
        docker image rm "$image" >/dev/null 2>&1 || true
done
docker image inspect --format "$tag: {{.Size}} bytes" "$tag"
