#!/usr/bin/env bash
# Two nodes in network namespaces under what happens to machines: a cable pulled, another address, a machine that sleeps,
# a full disk, a node killed. Prints how long each takes to mend. Needs root and iproute2; makes its own namespaces and
# removes them.
#
#   docker/trouble.sh [FOLDER OF THE PROGRAMS]
set -euo pipefail
programs=$(realpath "${1:-target/release}")
work=$(mktemp -d)
tag=tt$$
pid=

ctl() {
    local host=$1
    shift
    ip netns exec "$tag$host" "$programs/meshctl" --home "$work/$host" "$@"
}
cleanup() {
    # What is frozen cannot end.
    [ -z "$pid" ] || kill -CONT "$pid" 2>/dev/null || true
    for host in a b; do
        ctl "$host" stop >/dev/null 2>&1 || true
        ip netns del "$tag$host" 2>/dev/null || true
    done
    ip netns del "${tag}sw" 2>/dev/null || true
    umount "$work/a" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
now() { date +%s%3N; }
until_holds() {
    local what=$1 limit=$2 begun
    shift 2
    begun=$(now)
    until "$@" >/dev/null 2>&1; do
        if (($(now) - begun > limit * 1000)); then
            echo "trouble.sh: not within $limit s: $what" >&2
            for host in a b; do ctl "$host" status >&2 || true; ctl "$host" logs -n 5 >&2 || true; done
            exit 1
        fi
        sleep 0.05
    done
    printf '%-62s %6d ms\n' "$what" "$(($(now) - begun))"
}
mutual() { ctl "$1" status --json | grep -q "\"mutual\": *$2,"; }
both() { mutual a "$1" && mutual b "$1"; }

ip netns add "${tag}sw"
ip -n "${tag}sw" link add br0 type bridge
ip -n "${tag}sw" link set br0 up
number=1
for host in a b; do
    ip netns add "$tag$host"
    ip -n "${tag}sw" link add "port$host" type veth peer name eth0 netns "$tag$host"
    ip -n "${tag}sw" link set "port$host" master br0 up
    ip -n "$tag$host" link set lo up
    ip -n "$tag$host" addr add "10.213.9.$number/24" dev eth0
    ip -n "$tag$host" link set eth0 up
    number=$((number + 1))
done
# A small disk of its own, to be filled.
mkdir "$work/a"
mount -t tmpfs -o size=4m,mode=0700 tmpfs "$work/a"
for host in a b; do
    ctl "$host" setup --name "node-$host" --mesh trouble >/dev/null 2>&1
    echo 'slots = 1' >>"$work/$host/config.toml"
    ctl "$host" key export >"$work/$host.key"
done
for host in a b; do ctl "$host" start >/dev/null 2>&1; done
ctl a approve "$work/b.key" --yes >/dev/null 2>&1
ctl b approve "$work/a.key" --yes >/dev/null 2>&1
until_holds "two nodes trust each other" 30 both 1

ip -n "${tag}sw" link set porta down
until_holds "cable pulled -> noticed" 60 both 0
ip -n "${tag}sw" link set porta up
until_holds "cable back -> connected again" 90 both 1

ip -n "$tag"a addr del 10.213.9.1/24 dev eth0
ip -n "$tag"a addr add 10.213.9.101/24 dev eth0
sleep 1
until_holds "another address -> connected (again)" 90 both 1
until_holds "and it listens there" 30 sh -c "ip netns exec ${tag}a $programs/meshctl --home $work/a status | grep -q 10.213.9.101"

pid=$(sed -n 1p "$work/a/meshd.pid")
kill -STOP "$pid"
until_holds "machine asleep -> noticed by the other" 60 mutual b 0
kill -CONT "$pid"
until_holds "awake again -> connected" 90 both 1

head -c 8m /dev/zero >"$work/a/filler" 2>/dev/null || true
if ctl a block node-b >"$work/said" 2>&1; then echo "trouble.sh: a decision was taken on a full disk" >&2; exit 1; fi
grep -m 1 -o 'nothing changed.*' "$work/said" | cut -c 1-100
rm "$work/a/filler"
until_holds "room again -> decisions are taken" 30 ctl a block node-b
ctl a unblock node-b >/dev/null 2>&1
until_holds "unblocked -> connected" 90 both 1

kill -KILL "$pid"
until_holds "killed -> noticed by the other" 60 mutual b 0
ctl a start >/dev/null 2>&1
until_holds "started beside stale socket and pid file -> connected" 60 both 1
