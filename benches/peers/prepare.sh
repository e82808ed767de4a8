#!/bin/sh
# Brings the programs that benches/peers/compare.py stands beside ours into one folder (default: target/peers), from
# their usual registries, and says of each what there is, or why it could not be had. Nothing outside the folder changes.
#
#   benches/peers/prepare.sh [FOLDER]      all but Maelstrom, if that is not there yet
#   MAELSTROM=1 benches/peers/prepare.sh   Maelstrom too: compiles some hundreds of crates
#
# V8's own runner is not fetched: give compare.py a checkout with --v8. What must be compiled has LIMIT seconds a peer
# (default 2700).
set -u
cd "$(dirname "$0")/../.." || exit 1
folder=${1:-target/peers}
mkdir -p "$folder/bin" "$folder/debian" || exit 1
folder=$(cd "$folder" && pwd)
log=$folder/prepare.log
: >"$log"
had() { printf 'have %s: %s\n' "$1" "$2"; }
lacks() { printf 'could not be had: %s: %s; see %s\n' "$1" "$2" "$log"; }
PATH=$folder/bin:$PATH

# The program of a Debian package, or why there is none: the system's, or one unpacked here with the libraries it wants.
debian() {
    name=$1 program=$2
    shift 2
    if command -v "$program" >/dev/null; then return 0; fi
    command -v apt-get >/dev/null || { lacks "$name" "not installed, and no apt-get here"; return 1; }
    unpacked() { find "$folder/debian" -path "*bin/$program" ! -path '*/icecc/*' | head -n 1; }
    [ -n "$(unpacked)" ] || (cd "$folder/debian" && apt-get download "$@" && for file in *.deb; do dpkg -x "$file" . && rm "$file"; done) >>"$log" 2>&1 ||
        { lacks "$name" "its package cannot be fetched (apt-get update may help)"; return 1; }
    path=$(unpacked)
    [ -n "$path" ] || { lacks "$name" "no $program in its package"; return 1; }
    libraries=$folder/debian/usr/lib/$(uname -m)-linux-gnu:$folder/debian/lib/$(uname -m)-linux-gnu
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libraries" "$path" >"$folder/bin/$program"
    chmod +x "$folder/bin/$program"
}

# Crates compiled with cargo.
crates() {
    timeout "${LIMIT:-2700}" nice -n 19 cargo install --quiet --locked --root "$folder" "$@" >>"$log" 2>&1
}

for tool in xargs scp ssh; do
    command -v "$tool" >/dev/null || lacks "$tool" "not installed (findutils, openssh-client)"
done
if command -v xargs >/dev/null; then had xargs "$(xargs --version | head -n 1)"; fi

# lit, pytest, pytest-xdist: a Python environment of their own.
if python3 -m venv "$folder/python" >>"$log" 2>&1 &&
    "$folder/python/bin/pip" install --quiet lit pytest pytest-xdist >>"$log" 2>&1; then
    had "lit, pytest, pytest-xdist" "$("$folder/python/bin/pip" list 2>/dev/null | grep -E '^(lit|pytest|pytest-xdist) ' | tr -s ' ' | tr '\n' ' ')"
else
    lacks "lit, pytest, pytest-xdist" "pip failed"
fi

if debian "GNU parallel" parallel parallel; then had "GNU parallel" "$(parallel --version | head -n 1)"; fi
if debian "SSH server" sshd openssh-server libwrap0; then had "SSH server" "$(ssh -V 2>&1)"; fi
if debian rsync rsync rsync libpopt0; then had rsync "$(rsync --version | head -n 1)"; fi
if debian icecream iceccd icecc liblzo2-2 libarchive13 && debian icecream icecc-scheduler icecc &&
    debian icecream icecc icecc && debian icecream icecc-create-env icecc; then
    had icecream "$(icecc --version 2>&1 | head -n 1)"
fi

# cargo-nextest: what is installed, or a build of it.
if command -v cargo-nextest >/dev/null || crates cargo-nextest; then
    had cargo-nextest "$(cargo-nextest --version | head -n 1)"
else
    lacks cargo-nextest "cargo install failed or took too long"
fi

if [ -x "$folder/bin/maelstrom-run" ] || { [ -n "${MAELSTROM:-}" ] && crates maelstrom-run maelstrom-broker maelstrom-worker; }; then
    had Maelstrom "$(maelstrom-run --version)"
elif [ -n "${MAELSTROM:-}" ]; then
    lacks Maelstrom "cargo install failed or took too long"
else
    echo "left out: Maelstrom (MAELSTROM=1 builds it)"
fi
