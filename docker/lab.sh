#!/bin/sh
# One machine of the lab: sets its node up, swaps public keys with the others through a shared folder, approves them as
# a person would, and then serves (node) or runs the sample tree on the others (client).
set -eu
role=$1
meshctl setup --name "$(hostname)" --mesh lab 2>/dev/null
printf 'slots = %s\n' "${LAB_SLOTS:-1}" >>"$TESTMESH_HOME/config.toml"
meshctl key export >"/tmp/own.key"
cp /tmp/own.key "/exchange/$(hostname).key.part"
mv "/exchange/$(hostname).key.part" "/exchange/$(hostname).key"
meshctl start

# Everybody's key, for at most a minute.
tries=0
while [ "$(ls /exchange/*.key | wc -l)" -lt "${LAB_NODES:-4}" ] && [ $tries -lt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
for key in /exchange/*.key; do
    [ "$key" = "/exchange/$(hostname).key" ] || meshctl approve --yes "$key" >/dev/null
done

if [ "$role" = node ]; then
    # The log is the container's; it ends with the node.
    exec meshctl logs --follow
fi
tries=0
until meshctl status --json | grep -q "\"mutual\": *$((LAB_NODES - 1))" || [ $tries -ge 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
meshctl peers
run-tests --sample --min-remote 0 --remote-only
