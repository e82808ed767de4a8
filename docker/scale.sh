#!/usr/bin/env bash
# So many nodes, each in a network namespace of its own, on one bridge: how long it takes until all trust each other,
# until an approval and a removal made on one are in force on all, until a node that missed a multicast is found, and
# what an idle node costs. Needs root and iproute2; makes its own namespaces and removes them. Nothing leaves by this
# machine's interfaces.
#
#   docker/scale.sh [--nodes 16] [--gossip true|false] [--idle SECONDS] [FOLDER OF THE PROGRAMS]
set -euo pipefail
nodes=16 gossip=true idle=30 programs=target/release
while [ $# -gt 0 ]; do
    case $1 in
        --nodes) nodes=$2; shift ;;
        --gossip) gossip=$2; shift ;;
        --idle) idle=$2; shift ;;
        *) programs=$1 ;;
    esac
    shift
done
programs=$(realpath "$programs")
work=$(mktemp -d)
tag=ts$$
switch=${tag}sw
# One more: approved by nobody until the end.
last=$((nodes + 1))

ctl() {
    local node=$1
    shift
    ip netns exec "$tag$node" "$programs/meshctl" --home "$work/$node" "$@"
}

cleanup() {
    for node in $(seq 1 "$last"); do
        [ -f "$work/$node.pid" ] && kill "$(cat "$work/$node.pid")" 2>/dev/null || true
    done
    wait
    for node in $(seq 1 "$last"); do ip netns del "$tag$node" 2>/dev/null || true; done
    ip netns del "$switch" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

now() { date +%s%3N; }
report() { printf '%-66s %s\n' "$1" "$2"; }

# The bridge has a namespace of its own: filters of this machine (Docker's, say) do not reach it.
ip netns add "$switch"
ip -n "$switch" link add br0 type bridge
ip -n "$switch" link set br0 up
for node in $(seq 1 "$last"); do
    ip netns add "$tag$node"
    ip -n "$switch" link add "port$node" type veth peer name eth0 netns "$tag$node"
    ip -n "$switch" link set "port$node" master br0 up
    ip -n "$tag$node" link set lo up
    ip -n "$tag$node" addr add "10.213.8.$node/24" dev eth0
    ip -n "$tag$node" link set eth0 up
    ctl "$node" setup --name "node-$node" --mesh scale >/dev/null 2>&1
    printf 'slots = 1\ngossip = %s\n' "$gossip" >>"$work/$node/config.toml"
    "$programs/meshctl" --home "$work/$node" key export | sed -n 's/^key: //p' >"$work/$node.key"
done
# Approved beforehand, everybody by everybody.
for node in $(seq 1 "$nodes"); do
    for other in $(seq 1 "$nodes"); do
        [ "$node" = "$other" ] || echo "$(cat "$work/$other.key") submit,work 3 node-$other" >>"$work/$node/allowlist"
    done
done

start() {
    ip netns exec "$tag$1" "$programs/meshd" --home "$work/$1" 2>"$work/$1.log" &
    echo $! >"$work/$1.pid"
}

# Repeats a test until it holds.
hold() {
    local limit=$1 begun
    shift
    begun=$(now)
    until "$@" 2>/dev/null; do
        if (($(now) - begun > limit * 1000)); then
            echo "scale.sh: not within $limit s: $*" >&2
            ctl "${2:-1}" peers >&2 || true
            tail -n 5 "$work/${2:-1}.log" >&2
            exit 1
        fi
        sleep 0.02
    done
}
mutual() { ctl "$1" status --json | grep -q "\"mutual\": *$2,"; }
trusts() { ctl "$1" why "$(cat "$work/$2.key")" --json | grep -q '"trusted"'; }
distrusts() { ctl "$1" status --json >/dev/null && ! trusts "$1" "$2"; }
# When the last of these nodes wrote down a change of trust: asking them all takes longer than that on a busy machine.
written() {
    local node files=()
    for node in $1; do files+=("$work/$node/audit.log"); done
    stat -c %.3Y "${files[@]}" | tr -d . | sort -n | tail -n 1
}
# Milliseconds of processor time that all nodes used so far.
used() {
    local total=0 node fields
    for node in $(seq 1 "$nodes"); do
        fields=($(sed 's/.*) //' "/proc/$(cat "$work/$node.pid")/stat"))
        total=$((total + (fields[11] + fields[12]) * 10))
    done
    echo "$total"
}

# All namespaces share the kernel's table of neighbours; where it is full, packets are lost.
room=$(cat /proc/sys/net/ipv4/neigh/default/gc_thresh3)
[ $((last * last)) -lt "$room" ] || echo "note: net.ipv4.neigh.default.gc_thresh3 = $room is too small for the last steps" >&2
echo "$nodes nodes, gossip $gossip, load $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores"
begun=$(now)
for node in $(seq 1 "$nodes"); do start "$node"; done
for node in $(seq 1 "$nodes"); do hold 120 mutual "$node" $((nodes - 1)); done
report "all started -> every one trusted by every other, both know" "$(($(now) - begun)) ms; $(($(used) / nodes)) ms of CPU a node"

sleep 2
start "$last"
# Only its own approval of the first: it is found, and trusted by nobody.
hold 60 ctl "$last" status >/dev/null
ctl "$last" approve "$(cat "$work/1.key")" --yes >/dev/null 2>&1
sleep 2
begun=$(now)
ctl 1 approve "$(cat "$work/$last.key")" --label "node-$last" --yes >/dev/null 2>&1
for node in $(seq 1 "$nodes"); do hold 120 trusts "$node" "$last"; done
report "a machine approved on one -> trusted on all" "$(($(written "$(seq 2 "$nodes")") - begun)) ms"
begun=$(now)
ctl 1 revoke "$(cat "$work/2.key")" --yes --reason lost >/dev/null 2>&1
for node in $(seq 3 "$nodes"); do hold 120 distrusts "$node" 2; done
report "a machine revoked on one -> trusted by none" "$(($(written "$(seq 3 "$nodes")") - begun)) ms"

# A port that hears no multicast: what is sent to it alone goes through.
if [ "$nodes" -ge 4 ]; then
    lost=$nodes
    kill "$(cat "$work/$lost.pid")"
    wait "$(cat "$work/$lost.pid")" 2>/dev/null || true
    ip netns exec "$switch" bridge link set dev "port$lost" mcast_flood off
    start "$lost"
    hold 60 ctl "$lost" status >/dev/null
    sleep 3
    report "a node that hears no multicast is connected to" "$(ctl "$lost" status --json | grep -o "\"connected\": *[0-9]\+" | grep -o "[0-9]*$") others"
    begun=$(now)
    ip netns exec "$switch" bridge link set dev "port$lost" mcast_flood on
    hold 120 mutual "$lost" $((nodes - 2 + 1))
    report "multicast heard again -> connected to all" "$(($(now) - begun)) ms"
fi

if [ "$idle" -gt 0 ]; then
    sleep 5
    before=$(used)
    sleep "$idle"
    spent=$(($(used) - before))
    largest=0
    for node in $(seq 1 "$nodes"); do
        size=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(cat "$work/$node.pid")/status")
        [ "$size" -le "$largest" ] || largest=$size
    done
    report "idle: processor a node" "$(awk "BEGIN { printf \"%.2f\", $spent / 10 / $idle / $nodes }") % of a core"
    report "idle: largest resident set" "$((largest / 1024)) MiB"
fi
