#!/usr/bin/env python3
"""Other tools beside ours, each measured in the same run on this machine.

    benches/peers/prepare.sh                     # once: fetches the peers
    cargo build --release --bins
    benches/peers/compare.py MODE [--json FILE]

Modes; `MODE --help` has the options of each:

    null         CPU and time of tests that do nothing: xargs, GNU parallel, nextest, lit, pytest-xdist, Maelstrom, V8's own
    throughput   the same and sleeping tests on 1, 2, 4, 8 nodes: Maelstrom's cluster, xdist over ssh, parallel --sshlogin
    ship         a file of 100 MB to 8 receivers: one plain copy over TCP, scp, rsync, icecream's tarball
    listing      the tests of a large tree: a plain walk, nextest, lit, pytest, V8's own runner
    idle         what a node costs that does nothing: Maelstrom's broker and worker, icecream's daemons
    join         from the start of a node to its first test: Maelstrom's worker
    all          all of them, with their defaults

CPU is user and system time of whole trees of processes; that of nodes, brokers, workers and SSH servers is charged. What
cannot be had is named at the end. `--json` adds a line a figure, as our own benchmarks do. Only the standard library.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import tempfile

# Nothing is left beside these files.
sys.dont_write_bytecode = True

import idle
import join
import listing
import null
import ship
import throughput
from measure import ROOT, Bench

MODES = {"null": null, "throughput": throughput, "ship": ship, "listing": listing, "idle": idle, "join": join}


class Tables(Bench):
    """Prints what is found, as Markdown and as lines of JSON."""

    def table(self, bench, title, what, columns, rows):
        print(f"\n{title}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print(f"| {' | '.join(column[0] for column in columns)} |\n|{'---|' * len(columns)}")
        for row in rows:
            print(f"| {' | '.join(cell(row.get(key), form) for _, key, form in columns)} |")
        sys.stdout.flush()
        if self.options.json:
            with open(self.options.json, "a", encoding="utf-8") as file:
                for row in rows:
                    figures = {key: value for key, value in row.items() if key != what}
                    line = {"bench": f"peers {bench}", "what": row[what], "figures": dict(figures, load=os.getloadavg()[0])}
                    file.write(json.dumps(line) + "\n")


def cell(value, form):
    return "" if value is None else format(value, form)


def arguments():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=pathlib.Path, help="adds a line a figure to this file")
    common.add_argument("--peers", type=pathlib.Path, default=ROOT / "target/peers", help="the folder of prepare.sh")
    common.add_argument("--programs", type=pathlib.Path, default=ROOT / "target/release", help="the folder of ours")
    modes = words.add_subparsers(dest="mode", required=True, metavar="MODE")
    for name, module in MODES.items():
        module.words(modes.add_parser(name, parents=[common], help=module.__doc__))
    modes.add_parser("all", parents=[common], help="all of them, with their defaults")
    return words.parse_args()


def defaults(module, given):
    """A mode's own defaults, with what all modes share."""
    words = argparse.ArgumentParser()
    module.words(words)
    return argparse.Namespace(**vars(words.parse_args([])), **vars(given))


def main():
    given = arguments()
    for path in ("json", "peers", "programs"):
        if getattr(given, path):
            setattr(given, path, getattr(given, path).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in MODES if given.mode == "all" else [given.mode]:
        options = defaults(MODES[name], given) if given.mode == "all" else given
        with tempfile.TemporaryDirectory(prefix="testmesh-peers-") as folder:
            bench = Tables(options, pathlib.Path(folder))
            try:
                bench.attempt(name, MODES[name].compare, bench)
            finally:
                bench.end()
            for what, why in bench.missing:
                print(f"\nnot compared: {what}: {why}")


if __name__ == "__main__":
    main()
