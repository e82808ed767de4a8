#!/bin/sh
# What an image is made on: the C library that a program needs, a static busybox, and an account, below a folder. From
# whatever this runs on: a builder with Rust, or a machine without any registry.
#
#   docker/base.sh FOLDER PROGRAM
set -eu
root=$1
program=$2
# A busybox that is asked where it is names itself without a folder.
busybox=/bin/busybox
[ -x $busybox ] || busybox=/usr/bin/busybox

for folder in bin dev etc lib lib64 proc root sbin sys tmp usr/bin usr/local/bin usr/local/share var run; do
    mkdir -p "$root/$folder"
done
chmod -R 755 "$root"
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
for applet in $("$busybox" --list); do ln -s busybox "$root/bin/$applet" 2>/dev/null || true; done
# The loader's own words, where no ldd is at hand.
LD_TRACE_LOADED_OBJECTS=1 "$program" | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p' | sort -u |
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
        chmod 755 "$root$library"
    done
printf 'root:x:0:0:root:/root:/bin/sh\nmesh:x:10001:10001:mesh:/mesh:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nmesh:x:10001:\n' >"$root/etc/group"
chmod 644 "$root/etc/passwd" "$root/etc/group"
find "$root" -exec touch -h -d @0 {} +
