#!/usr/bin/env bash
# The lab, shortly: the image, the compose file as README shows it with all its profiles, and the short form of the lab
# program, which brings every kind of fault. At most ten minutes from the moment when the programs are built. Leaves
# nothing behind, also when it is interrupted; what a killed one left is removed by the next.
# Exit codes: 0 all clean, 1 something was not as it must be, 3 no Docker engine.
#
#   docker/ci.sh [SEEDS]           # default: as few seeds as bring every kind of fault
#
# By hand, one at a time:
#   docker-compose -f docker/compose.yaml --profile sample up --abort-on-container-exit node verbose
#   docker-compose -f docker/compose.yaml --profile faults up --abort-on-container-exit node mortal full slow relay far tester
#   cargo run --example lab -- short
set -euo pipefail
cd "$(dirname "$0")/.."
limit=600

if ! timeout 10 docker version >/dev/null 2>&1; then
    echo "ci.sh: no Docker engine answers, nothing was tried" >&2
    exit 3
fi

# What a machine with Rust and a C compiler need not have; the lab says what it must leave out without the last three.
missing=()
for pair in busybox:busybox-static strip:binutils iptables:iptables tc:iproute2 nsenter:util-linux; do
    command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
done
if ! ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then missing+=(libfaketime); fi
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y "${missing[@]}" >/dev/null || { apt-get update -qq && apt-get install -qq -y "${missing[@]}" >/dev/null; }
fi

# The first part of every name, of compose as well as of the lab; nobody else's name begins so.
name=testmesh-ci-$$-x
export LAB_IMAGE=$name
compose=(docker-compose)
if docker compose version >/dev/null 2>&1; then compose=(docker compose); fi
compose+=(-p "$name" -f docker/compose.yaml --profile trust --profile faults --profile sample)
log=$(mktemp)

# What the engine has under a name, a line each.
things() {
    docker ps -a --filter "name=$1" --format 'container {{.Names}}'
    docker network ls --filter "name=$1" --format 'network {{.Name}}'
    docker volume ls --filter "name=$1" --format 'volume {{.Name}}'
    docker image ls --format 'image {{.Repository}}' | grep " $1" || true
}
# Removes it, for as long as the guard of a lab that was cut short may be at work; what is left is told.
remove() {
    local left deadline=$((SECONDS + 60)) clean=0
    while [ $SECONDS -lt $deadline ]; do
        left=$(things "$1")
        if [ -z "$left" ]; then
            clean=$((clean + 1))
            [ $clean -lt "$2" ] || return 0
        fi
        while read -r kind thing; do
            case $kind in
                container) docker unpause "$thing" || true; docker rm -fv "$thing" || true ;;
                ?*) docker "$kind" rm "$thing" || true ;;
            esac
        done <<<"$left" >/dev/null 2>&1
        sleep 1
    done
    printf 'ci.sh: not removed:\n%s\n' "$left" >&2
    return 1
}

child=
cleanup() {
    local code=$?
    trap '' INT TERM
    # What runs is ended first, since it would make more; and what it began may still appear.
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
        remove "$name" 5 || code=1
    else
        remove "$name" 1 || code=1
    fi
    rm -f "$log"
    exit $code
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# A command that a signal need not wait for.
run() {
    local code=0
    "$@" &
    child=$!
    wait "$child" || code=$?
    child=
    return $code
}

# Left by one that was killed: its process is not there any more.
things testmesh-ci- | { grep -o 'testmesh-ci-[0-9]*-x' || true; } | sort -u | while read -r old; do
    process=${old#testmesh-ci-}
    [ -e "/proc/${process%-x}" ] || { echo "left by a killed ci.sh, removed now: $old"; remove "$old" 1; }
done

run cargo build --release --locked --bin run-tests
run cargo build --locked --example lab
begun=$SECONDS
left() { echo $((limit - SECONDS + begun)); }

run docker/images.sh "$name"
size=$(docker image inspect --format '{{.Size}}' "$name")
if [ "$size" -gt 60000000 ]; then echo "ci.sh: the image has $size bytes, 60 MB are allowed" >&2; exit 1; fi

# Runs services until the first of them ends, the one that counts.
up() {
    local counts=$1
    shift
    run timeout -k 10 "$(left)" "${compose[@]}" up --abort-on-container-exit --exit-code-from "$counts" "$@" >"$log" 2>&1 ||
        { cat "$log"; echo "ci.sh: \`up $*\` failed" >&2; exit 1; }
    grep "$counts" "$log" | tail -n 12
}
down() {
    run "${compose[@]}" down -v >/dev/null 2>&1
    remaining=$(docker ps -aq --filter "name=$name"; docker network ls -q --filter "name=$name"; docker volume ls -q --filter "name=$name")
    if [ -n "$remaining" ]; then echo "ci.sh: left after \`down -v\`:" $remaining >&2; exit 1; fi
}
# Milliseconds until a service told that it ended its first test.
first_test() {
    local line
    line=$(docker logs --timestamps "$("${compose[@]}" ps -aq "$1" 2>/dev/null || "${compose[@]}" ps -q "$1")" 2>&1 | grep -m 1 -E "$2")
    echo $(($(date -d "${line%% *}" +%s%3N) - $3))
}

if command -v "${compose[0]}" >/dev/null && "${compose[@]}" config -q; then
    started=$(date +%s%3N)
    up verbose node verbose
    took=$(first_test verbose ' default: ' "$started")
    echo "\`up\` to the first completed test: $took ms, aim 10000 ms: $([ "$took" -le 10000 ] && echo met || echo NOT MET)"
    down
    up client node client
    down
    up carol alice bob carol
    down
    up tester node mortal full slow relay far tester
    down
else
    echo "left out: the compose file, neither \`docker compose\` nor docker-compose is here"
fi

# The last seed begins early enough to come to its end.
run timeout -k 30 "$(left)" "${CARGO_TARGET_DIR:-target}/debug/examples/lab" --image "$name" --prefix "$name" short \
    --seconds "$(($(left) - 60))" ${1:+--seeds "$1"} || { echo "ci.sh: the lab was not clean, or its time was over" >&2; exit 1; }
echo "the lab took $((SECONDS - begun)) s"
