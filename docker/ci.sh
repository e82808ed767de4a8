#!/usr/bin/env bash
# The lab, shortly: images, the compose file as README shows it, and the short form of the lab program. At most ten
# minutes where the programs are built already. Needs a Docker engine; leaves nothing behind.
#
#   docker/ci.sh [SEEDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-3}
name=testmesh-ci-$$
export LAB_IMAGE=$name

# What a machine with Rust and a C compiler need not have; the lab says what it must leave out without the last three.
missing=()
for pair in busybox:busybox-static strip:binutils iptables:iptables tc:iproute2 nsenter:util-linux; do
    command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
done
if ! ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then missing+=(libfaketime); fi
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y "${missing[@]}" >/dev/null || { apt-get update -qq && apt-get install -qq -y "${missing[@]}" >/dev/null; }
fi

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose -p "$name" -f docker/compose.yaml "$@"
    else
        docker-compose -p "$name" -f docker/compose.yaml "$@"
    fi
}
has_compose() { docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null; }

cleanup() {
    if has_compose; then compose --profile trust --profile faults --profile sample down -v >/dev/null 2>&1 || true; fi
    docker image rm "$name" "$name-base" >/dev/null 2>&1 || true
}
trap cleanup EXIT

docker/images.sh "$name"
size=$(docker image inspect --format '{{.Size}}' "$name")
if [ "$size" -gt 60000000 ]; then echo "ci.sh: the image has $size bytes, 60 MB are allowed" >&2; exit 1; fi

if has_compose; then
    compose config -q
    compose up --abort-on-container-exit --exit-code-from client
    compose down -v
    compose --profile trust up --abort-on-container-exit --exit-code-from carol alice bob carol
    compose --profile trust down -v
    left=$(docker ps -aq --filter "label=com.docker.compose.project=$name" | wc -l)
    if [ "$left" != 0 ]; then echo "ci.sh: $left containers are left" >&2; exit 1; fi
else
    echo "left out: the compose file, neither \`docker compose\` nor docker-compose is here"
fi

cargo run --locked --example lab -- --image "$name" short --seeds "$seeds" --minutes 5
