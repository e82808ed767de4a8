#!/bin/sh
# One machine of the lab: sets its node up, swaps public keys with the others through a shared folder, approves them as
# a person would, and then serves (node), runs the sample tree on the others (client), or shows whom it came to trust
# (observer).
#
#   LAB_SLOTS    tests at once on this machine (1)
#   LAB_MESH     name of the mesh (lab)
#   LAB_APPROVE  names whose keys are approved, in order; empty: everybody's
#   LAB_PEERS    how many peers a client waits for, and an observer (3)
#   LAB_HAZARD   what goes wrong here: `dies` kills its node every few seconds, `full` fills the node's cache
set -eu
role=$1
shift
name=${LAB_NAME:-$(hostname)}
peers=${LAB_PEERS:-3}

if [ ! -e "$TESTMESH_HOME/config.toml" ]; then
    meshctl setup --name "$name" --mesh "${LAB_MESH:-lab}" >/dev/null 2>&1
    printf 'slots = %s\n' "${LAB_SLOTS:-1}" >>"$TESTMESH_HOME/config.toml"
fi
meshctl key export >"/exchange/$name.part"
mv "/exchange/$name.part" "/exchange/$name.key"

# A person at this machine: approves a key when it is there. Ends with the machine.
person() {
    done=" $name "
    tries=0
    while :; do
        for key in /exchange/*.key; do
            who=$(basename "$key" .key)
            case "$done" in *" $who "*) continue ;; esac
            case " ${LAB_APPROVE:-$who} " in *" $who "*) ;; *) continue ;; esac
            if meshctl approve --yes "$key" >/dev/null 2>&1; then
                done="$done$who "
                echo "approved $who"
            fi
        done
        tries=$((tries + 1))
        if [ $tries -lt 300 ]; then sleep 0.2; else sleep 5; fi
    done
}

hazard() {
    case "${LAB_HAZARD:-}" in
    dies)
        while :; do
            meshd &
            sleep 4
            kill -9 $!
            wait $! 2>/dev/null || true
        done
        ;;
    full)
        mkdir -p "$TESTMESH_HOME/cache"
        dd if=/dev/zero of="$TESTMESH_HOME/cache/filler" bs=64k 2>/dev/null || true
        ;;
    esac
}

# Waits, for at most half a minute, until so many trust this machine and are trusted by it.
gather() {
    tries=0
    until [ "$(meshctl status --json | sed -n 's/.*"mutual": *\([0-9]*\).*/\1/p' | head -n 1)" -ge "$1" ]; do
        tries=$((tries + 1))
        if [ $tries -ge 300 ]; then
            echo "only some of $1 peers came within half a minute" >&2
            break
        fi
        sleep 0.1
    done
}

case $role in
node)
    # In the background of the background: nobody's child when this shell becomes the node.
    (person &)
    hazard
    exec meshd
    ;;
client)
    meshctl start
    (person &)
    gather "$peers"
    meshctl peers
    code=0
    run-tests --sample --min-remote 0 --remote-only "$@" || code=$?
    meshctl stop
    exit $code
    ;;
observer)
    meshctl start
    (person &)
    gather "$peers"
    meshctl peers
    for who in ${LAB_WHY:-}; do meshctl why "$who"; done
    ;;
*)
    echo "lab.sh: no role $role" >&2
    exit 2
    ;;
esac
