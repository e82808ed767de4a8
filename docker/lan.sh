#!/usr/bin/env bash
# Three nodes in network namespaces of their own, on one bridge, found by multicast: the chain A-B-C of approvals makes
# A and C trust each other; revoking B at A takes that away, also after restarts. Once with gossip and once without, by
# comparing alone. Prints how long each step took.
# Needs root and iproute2; makes its own namespaces and removes them. Nothing leaves by this machine's interfaces.
#
#   docker/lan.sh [FOLDER OF THE PROGRAMS]
set -euo pipefail
programs=$(realpath "${1:-target/release}")
work=$(mktemp -d)
tag=tm$$
switch=${tag}sw
hosts=(a b c)

clear_away() {
    for host in "${hosts[@]}"; do
        in_host "$host" stop >/dev/null 2>&1 || true
        ip netns del "$tag$host" 2>/dev/null || true
    done
    ip netns del "$switch" 2>/dev/null || true
    rm -rf "$work"/*
}
trap 'clear_away; rm -rf "$work"' EXIT

in_host() {
    local host=$1
    shift
    ip netns exec "$tag$host" "$programs/meshctl" --home "$work/$host" "$@"
}

now() { date +%s%3N; }

# Repeats a test until it holds; fails after so many seconds.
until_holds() {
    local what=$1 limit=$2 begun
    shift 2
    begun=$(now)
    until "$@" >/dev/null 2>&1; do
        if (( $(now) - begun > limit * 1000 )); then
            echo "lan.sh: not within $limit s: $what" >&2
            for host in "${hosts[@]}"; do echo "== $host"; in_host "$host" peers || true; in_host "$host" logs | tail -n 5 || true; done >&2
            exit 1
        fi
        sleep 0.02
    done
    printf '%-58s %6d ms\n' "$what" "$(( $(now) - begun ))"
}

trusts() { in_host "$1" why "node-$2" --json | grep -q '"trusted"'; }
# A command that fails says nothing about trust.
distrusts() {
    local said
    said=$(in_host "$1" why "node-$2" --json) && ! grep -q '"trusted"' <<<"$said"
}
mutual() { in_host "$1" status --json | grep -q "\"mutual\": *$2"; }

connected() { in_host "$1" status --json | grep -q '"connected": *2'; }
listens() { in_host "$1" status --json | grep -q "\"/ip4/$2/tcp/"; }

# The bridge has a namespace of its own: filters of this machine (Docker's, say) do not reach it.
lay_out() {
    local gossip=$1 number=1 host
    ip netns add "$switch"
    ip -n "$switch" link add br0 type bridge
    ip -n "$switch" link set br0 up
    for host in "${hosts[@]}"; do
        ip netns add "$tag$host"
        ip -n "$switch" link add "port$host" type veth peer name eth0 netns "$tag$host"
        ip -n "$switch" link set "port$host" master br0 up
        ip -n "$tag$host" link set lo up
        ip -n "$tag$host" addr add "10.213.7.$number/24" dev eth0
        # One of the internet: for documentation, and nobody's (RFC 5737).
        ip -n "$tag$host" addr add "192.0.2.$number/24" dev eth0
        ip -n "$tag$host" link set eth0 up
        number=$((number + 1))
        in_host "$host" setup --name "node-$host" --mesh lan >/dev/null 2>&1
        echo "gossip = $gossip" >>"$work/$host/config.toml"
        in_host "$host" key export >"$work/$host.key"
    done
}

run() {
    echo "gossip = $1"
    lay_out "$1"
    for host in "${hosts[@]}"; do in_host "$host" start >/dev/null 2>&1; done
    until_holds "A sees B and C, no address typed" 10 connected a
    until_holds "C sees A and B" 10 connected c
    until_holds "A listens on its private address" 5 listens a 10.213.7.1
    if listens a 192.0.2.1; then
        echo "lan.sh: A listens on a public address" >&2
        exit 1
    fi

    for pair in a:b b:a b:c c:b; do in_host "${pair%:*}" approve "$work/${pair#*:}.key" --yes >/dev/null 2>&1; done
    until_holds "A trusts C by way of B, after the last approval" 10 trusts a c
    until_holds "C trusts A by way of B" 10 trusts c a
    until_holds "A and C trust each other, and both know" 10 mutual a 2
    in_host a why node-c

    for host in "${hosts[@]}"; do in_host "$host" restart >/dev/null 2>&1 & done
    wait
    until_holds "all restarted at once: A has both again" 15 mutual a 2
    until_holds "and C has both again" 15 mutual c 2

    in_host a revoke node-b --yes --reason lost >/dev/null 2>&1
    until_holds "B revoked at A: A does not trust B" 5 distrusts a b
    until_holds "nor C, who came by way of B" 10 distrusts a c
    until_holds "C does not trust B, which it approved itself" 10 distrusts c b
    until_holds "C does not trust A either, who came by way of B" 10 distrusts c a

    in_host c restart >/dev/null 2>&1
    until_holds "C restarted: still not B" 10 distrusts c b
    in_host a restart >/dev/null 2>&1
    until_holds "A restarted: still not B" 10 distrusts a b
    until_holds "nor C" 10 distrusts a c
    in_host c why node-b || true
}

for gossip in true false; do
    run "$gossip"
    clear_away
done
