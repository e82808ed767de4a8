#!/bin/sh
# Makes the two trees that an image consists of: a base with programs and scripts, and the home of the account. The
# programs are one file with three names: that of docker/prebuilt if there is one, else it is compiled here.
set -eu
to=$1
root=$to/root
mkdir -p "$root" "$to/home/mesh/node"
from=docker/prebuilt
if [ ! -x $from/run-tests ]; then
    apt-get update
    apt-get install -y --no-install-recommends gcc libc6-dev binutils busybox-static
    cargo build --release --locked --bin run-tests
    from=target/release
    strip $from/run-tests
fi
sh docker/base.sh "$root" $from/run-tests
mkdir -p "$root/usr/local/share/testmesh" "$root/exchange"
cp $from/run-tests "$root/usr/local/bin/"
chmod 755 "$root/usr/local/bin/run-tests"
for name in meshd meshctl; do ln -s run-tests "$root/usr/local/bin/$name"; done
cp docker/lab.sh "$root/usr/local/share/testmesh/"
chmod 644 "$root/usr/local/share/testmesh/lab.sh"
# Who may write to the folder of public keys: everybody in the lab.
chmod 1777 "$root/exchange"
chmod 700 "$to/home/mesh/node"
find "$to" -exec touch -h -d @0 {} +
