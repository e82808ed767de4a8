#!/usr/bin/env bash
# Builds the image `testmesh` without any registry: the builder is this machine's C library and a static busybox, the
# programs are compiled outside the image. Needs Docker, Rust, a C compiler, strip, and busybox (package
# busybox-static). Leaves the image and nothing else, also when it is interrupted.
# Exit codes: 0 built, 1 not, 3 no Docker engine.
#
#   docker/images.sh [TAG [PROFILE]]        # default: testmesh, release; `dev` compiles faster and tests slower
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-testmesh}
profile=${2:-release}
base=$tag-base

if ! timeout 10 docker version >/dev/null 2>&1; then
    echo "images.sh: no Docker engine answers, nothing was built" >&2
    exit 3
fi
needed() { command -v "$1" || { echo "images.sh: no $1. hint: install the package $2" >&2; exit 1; }; }
needed busybox busybox-static >/dev/null
busybox=$(type -P busybox)
if ldd "$busybox" >/dev/null 2>&1; then
    echo "images.sh: $busybox needs libraries. hint: install the package busybox-static" >&2
    exit 1
fi
needed strip binutils >/dev/null

work=$(mktemp -d)
child=
# What runs is ended first, since it would make more.
cleanup() {
    trap '' INT TERM
    [ -z "$child" ] || { kill "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; }
    rm -rf "$work"
    # Steps and stages of this build; the engine may still be ending one.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        docker ps -aq --filter "label=testmesh.stage=$tag" | xargs -r docker rm -fv >/dev/null 2>&1 || true
        docker image prune -f --filter "label=testmesh.stage=$tag" >/dev/null 2>&1 || true
        docker image rm "$base" >/dev/null 2>&1 || true
        [ -n "$(docker ps -aq --filter "label=testmesh.stage=$tag"; docker image ls -q "$base")" ] || return 0
        sleep 1
    done
    echo "images.sh: something of the build could not be removed: docker ps -a; docker image ls $base" >&2
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# A command that a signal need not wait for.
run() { "$@" & child=$!; wait "$child"; child=; }

run cargo build --profile "$profile" --locked --bin run-tests
folder=$profile
[ "$profile" = dev ] && folder=debug
program=${CARGO_TARGET_DIR:-target}/$folder/run-tests
# What is built again replaces what was there.
before=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)

sh docker/base.sh "$work/root" "$program"
tar --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -C "$work/root" -c . |
    docker import --message "testmesh base: C library and busybox" - "$base" >/dev/null

# What the Dockerfile sees: no sources, since nothing is compiled there.
context=$work/context
mkdir -p "$context/docker/prebuilt"
cp docker/Dockerfile docker/base.sh docker/programs.sh docker/lab.sh "$context/docker/"
strip -o "$context/docker/prebuilt/run-tests" "$program"
run docker build -q --force-rm --no-cache --build-arg BUILDER="$base" --build-arg STAGE="$tag" \
    -f "$context/docker/Dockerfile" -t "$tag" "$context" >/dev/null
if [ -n "$before" ] && [ "$(docker image inspect --format '{{.RepoTags}}' "$before" 2>/dev/null)" = '[]' ]; then
    docker image rm "$before" >/dev/null 2>&1 || true
fi
docker image inspect --format "$tag: {{.Size}} bytes" "$tag"
