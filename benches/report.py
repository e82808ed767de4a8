#!/usr/bin/env python3
"""All figures in one table: ours, the floor or the ideal, the peers, and what was aimed at.

    benches/report.py [--json OUT]                       measures everything, which takes the better part of an hour
    benches/report.py --measure null --measure spawn     measures some; the lines go to --lines FILE
    benches/report.py FILE...                            takes lines measured before, the last of a kind counts

`cargo bench --bench NAME -- --json FILE` and `benches/peers/compare.py MODE --json FILE` add such lines. `--bin FOLDER`
takes benchmarks that are built already. Only the standard library.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Command lines behind the name of a benchmark of Rust.
OURS = {"spawn": ["spawn"], "listing": ["listing"], "overhead": ["mesh", "overhead"], "first": ["mesh", "first"],
        "ship-mesh": ["mesh", "ship"], "spread": ["mesh", "spread"], "speedup": ["mesh", "speedup"],
        "makespan": ["makespan", "spread"], "scale": ["makespan", "scale"], "trust": ["trust", "8", "100"],
        "shipping": ["shipping"], "flood": ["flood"]}
PEERS = ["null", "throughput", "ship", "listing-peers", "idle", "join"]


def measure(name, lines, options):
    """Runs one piece; what goes wrong is said and leaves a hole in the table."""
    if name in PEERS:
        words = [ROOT / "benches/peers/compare.py", name.removesuffix("-peers"), "--json", lines, *options.peers.split()]
    else:
        bench, *rest = OURS[name]
        words = [*program(bench, options), *rest, "--json", lines]
    print(f"measuring {name}", file=sys.stderr)
    if subprocess.run(list(map(str, words)), cwd=ROOT, stdout=sys.stderr).returncode:
        print(f"{name} failed", file=sys.stderr)


def program(bench, options):
    if not options.bin:
        return ["cargo", "bench", "--quiet", "--bench", bench, "--"]
    built = [path for path in options.bin.glob(f"{bench}-*") if not path.suffix and os.access(path, os.X_OK)]
    if not built:
        sys.exit(f"no benchmark {bench} in {options.bin}")
    return [max(built, key=lambda path: path.stat().st_mtime)]


class Lines:
    """Figures by benchmark and what they are of."""

    def __init__(self, files):
        self.all = {}
        for file in files:
            for line in file.read_text(encoding="utf-8").splitlines():
                line = json.loads(line)
                figures = line["figures"]
                # What a benchmark measures several times under one name differs in these.
                kind = tuple(figures.get(key) for key in ("nodes", "step", "durations", "machines", "gossip", "files"))
                self.all[line["bench"], line["what"], kind] = dict(figures, what=line["what"])

    def of(self, bench, what="", **same):
        """Figures of a benchmark whose names begin so."""
        return [figures for (of, name, _), figures in self.all.items() if of == bench and name.startswith(what)
                and all(figures.get(key) == value for key, value in same.items())]

    def peers(self, bench, **same):
        """The same without ours and without what is only a floor."""
        return [figures for figures in self.of(bench, **same)
                if not figures["what"].startswith("testmesh") and "floor" not in figures["what"] and "plain" not in figures["what"]]


class Report:
    """Rows: a figure, ours, the floor or ideal, a peer, how many times ours the peer is, the aim, whether it is met."""

    HEAD = ["figure", "ours", "floor or ideal", "peer", "ratio to ours", "aim", "met"]

    def __init__(self):
        self.rows = []

    def add(self, figure, ours, form, floor=None, peers=(), aim=None, least=False):
        """`ours`, `floor` and those of the peers are numbers, `aim` the most ours may be, or the least."""
        if ours is None:
            return
        met = None if aim is None else ours >= aim - 1e-9 if least else ours <= aim + 1e-9
        for number, (peer, value, ratio) in enumerate(peers or [(None, None, None)]):
            first = number == 0
            if ratio is None and value is not None and ours:
                ratio = value / ours
            self.rows.append({
                "figure": figure, "ours": ours, "floor": floor if first else None, "peer": peer, "value": value,
                "ratio": ratio, "form": form,
                "aim": aim if first else None, "least": least, "met": met if first else None, "first": first})

    def markdown(self):
        yield f"| {' | '.join(self.HEAD)} |"
        yield f"|{'---|' * len(self.HEAD)}"
        for row in self.rows:
            form = row["form"]
            aim = "" if row["aim"] is None else f"{'≥' if row['least'] else '≤'} {form.format(row['aim'])}"
            peer = "" if row["peer"] is None else f"{form.format(row['value'])}: {row['peer']}"
            cells = [row["figure"] if row["first"] else "", form.format(row["ours"]) if row["first"] else "",
                     "" if row["floor"] is None else form.format(row["floor"]), peer,
                     "" if row["ratio"] is None else f"{row['ratio']:.2f}", aim,
                     "" if row["met"] is None else "yes" if row["met"] else "**no**"]
            yield f"| {' | '.join(cells)} |"


def named(figures):
    """A peer with its version."""
    number = re.search(r"(?<![A-Za-z])\d+(?:\.\w+)*", figures.get("version") or "")
    return f"{figures['what']} ({number.group()})" if number else figures["what"]


def value(figures, key):
    """Of the last of some figures, if there are any."""
    return figures[-1].get(key) if figures else None


def with_values(figures, key, ratio=None):
    """Peers with their figure, the smallest first; and how many times ours, where they carry another ratio."""
    found = [(named(one), one[key], one.get(ratio)) for one in figures if one.get(key) is not None]
    return sorted(found, key=lambda peer: peer[1])


def tests(lines, report):
    null = lines.peers("peers null")
    floor = value(lines.of("peers null", "xargs -P2 -n1 (floor)"), "cpu_ms")
    ways = [("alone", "here", 0.2), ("2 slots of this machine's node", "through this machine's node", 0.2),
            ("2 slots of one peer", "on one peer, all processes of both machines", 0.5),
            ("three nodes", "on three nodes", 0.5)]
    for number, (way, where, aim) in enumerate(ways):
        found = lines.of("peers null", f"testmesh, {way}")
        report.add(f"CPU of a null test above its floor, {where}" + (f"; the floor is {floor:.2f} ms, ratios are of all CPU" if number == 0 else ""),
                   value(found, "above_floor_ms"), "{:.2f} ms", peers=with_values(null, "above_floor_ms", "of_testmesh") if number == 0 else [], aim=aim)
    report.add("the same in `spawn`: slots above the bare start", value(lines.of("spawn", "slots"), "above_floor_ms"), "{:.2f} ms",
               peers=with_values(lines.of("spawn", "command"), "above_floor_ms"), aim=0.2)
    for way, where in (("alone", "here"), ("three nodes", "on three nodes")):
        report.add(f"null tests a second, {where}", value(lines.of("peers null", f"testmesh, {way}"), "tests_per_s"), "{:.0f}/s",
                   floor=value(lines.of("peers null", "xargs -P2 -n1 (floor)"), "tests_per_s"),
                   peers=with_values(null, "tests_per_s") if way == "alone" else [])


def meshes(lines, report):
    for nodes in (1, 2, 4, 8):
        ours, peers = lines.of("peers throughput", "testmesh", nodes=nodes), lines.peers("peers throughput", nodes=nodes)
        report.add(f"null tests a second on {nodes} nodes of this machine", value(ours, "null_per_s"), "{:.0f}/s",
                   peers=with_values(peers, "null_per_s"))
    for nodes in (2, 4, 8):
        ours, peers = lines.of("peers throughput", "testmesh", nodes=nodes), lines.peers("peers throughput", nodes=nodes)
        report.add(f"sleeping tests on {nodes} nodes: time above the shortest", value(ours, "of_shortest"), "{:.2f} x", floor=1.0,
                   peers=with_values(peers, "of_shortest"))
        report.add(f"… speed-up, {nodes} nodes", value(ours, "speedup"), "{:.2f}", floor=nodes, peers=with_values(peers, "speedup"))
    for figures in lines.of("speedup"):
        report.add(f"uniform trace on {figures['nodes']} real nodes: speed-up", figures["speedup"], "{:.2f}", floor=figures["nodes"])
    for bench, where in (("makespan", "16 simulated nodes"), ("spread", "real nodes")):
        for figures in lines.of(bench, durations="known", machines="all well"):
            report.add(f"{figures['what']}, {where}: time / ideal", figures["ratio"], "{:.3f}", floor=1.0, aim=1 / 0.97)
        for figures in lines.of(bench):
            if figures["durations"] == "known" and figures["machines"] != "all well":
                report.add(f"… {figures['what']}, {where}, {figures['machines']}", figures["ratio"], "{:.3f}", floor=1.0)
    for figures in lines.of("scale"):
        report.add(f"{figures['what']}, simulated: time / ideal", figures["ratio"], "{:.3f}", floor=1.0, aim=1 / 0.97)
        report.add("… messages a machine", figures["messages_a_node"], "{:.0f}")
        report.add("… dispatcher's CPU a test", figures["dispatcher_us_a_test"], "{:.2f} us")


def shipping(lines, report):
    steps = [("first", "", 1.3), ("unchanged", ", unchanged", 0.001), ("forty places changed", ", forty places changed", 0.05)]
    for step, words, aim in steps:
        ours, peers = lines.of("peers ship", "testmesh", step=step), lines.peers("peers ship", step=step)
        receivers = value(ours, "receivers")
        report.add(f"100 MB to {receivers} nodes{words}: times its size leaves", value(ours, "of_size"), "{:.4f}",
                   peers=with_values(peers, "of_size"), aim=aim)
        report.add("… seconds", value(ours, "seconds"), "{:.2f} s", floor=value(lines.of("peers ship", "one plain"), "seconds"),
                   peers=with_values(peers, "seconds"))
        report.add("… CPU", value(ours, "cpu_s"), "{:.2f} s", floor=value(lines.of("peers ship", "one plain"), "cpu_s"),
                   peers=with_values(peers, "cpu_s"))
    for figures in lines.of("shipping"):
        if figures.get("ratio") is not None:
            report.add(f"{figures['what']}: beside a plain read or copy", figures["ratio"], "{:.2f} x", floor=1.0)


def small(lines, report):
    for figures in lines.of("listing"):
        report.add(f"{figures['files']} test262-like files listed", figures["list_s"], "{:.3f} s", floor=figures["walk_s"],
                   aim=0.3 if figures["files"] >= 50_000 else None)
    ours = lines.of("peers listing", "testmesh")
    report.add(f"{value(ours, 'files')} tests listed, beside others", value(ours, "seconds"), "{:.3f} s",
               floor=value(lines.of("peers listing", "a walk"), "seconds"), peers=with_values(lines.peers("peers listing"), "seconds"))
    for what in ("with nothing in its store", "that has the inputs"):
        report.add(f"a node starts until its first test runs, {what}", value(lines.of("peers join", f"testmesh, {what}"), "median_ms"),
                   "{:.0f} ms", peers=with_values(lines.peers("peers join"), "median_ms") if what.startswith("with") else [], aim=2000)
    for figures in lines.of("first"):
        report.add(figures["what"].lstrip("… "), figures["median_ms"], "{:.1f} ms")
    idle, others = lines.of("peers idle", "testmesh"), lines.peers("peers idle")
    report.add("idle node: CPU of a core", value(idle, "cpu_percent"), "{:.2f} %", peers=with_values(others, "cpu_percent"), aim=0.1)
    report.add("idle node: resident", value(idle, "mb"), "{:.1f} MB", peers=with_values(others, "mb"), aim=30)
    for figures in lines.of("trust"):
        if figures["what"] != "a minute in which nothing happens" and figures["virtual_ms"] is not None:
            gossip = "with" if figures["gossip"] else "without"
            report.add(f"{figures['what']}, {figures['nodes']} simulated nodes {gossip} gossip: all agree after",
                       figures["virtual_ms"], "{:.0f} ms")
    for figures in lines.of("flood"):
        report.add(f"a friend's longest wait, {figures['what']}", figures["longest_wait_ms"], "{:.0f} ms")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE", help="lines measured before")
    words.add_argument("--measure", action="append", choices=[*OURS, *PEERS], default=[], metavar="NAME",
                       help=f"one of {', '.join([*OURS, *PEERS])}")
    words.add_argument("--lines", type=pathlib.Path, default=ROOT / "target/figures.jsonl", help="where measured lines are added")
    words.add_argument("--bin", type=pathlib.Path, help="folder of built benchmarks")
    words.add_argument("--peers", default="", help="more words for compare.py")
    words.add_argument("--json", type=pathlib.Path, help="the table for programs")
    options = words.parse_args()
    for name in options.measure or ([] if options.files else [*OURS, *PEERS]):
        measure(name, options.lines.resolve(), options)
        options.files.append(options.lines)
    lines, report = Lines(dict.fromkeys(options.files)), Report()
    for part in (tests, meshes, shipping, small):
        part(lines, report)
    print("\n".join(report.markdown()))
    loads = [figures["load"] for figures in lines.all.values() if "load" in figures]
    if loads:
        print(f"\nLoad of the machine beside the peers: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores.")
    if options.json:
        rows = [{key: row[key] for key in row if key not in ("form", "first")} for row in report.rows]
        options.json.write_text(json.dumps({"cores": os.cpu_count(), "load": [min(loads), max(loads)] if loads else None, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
