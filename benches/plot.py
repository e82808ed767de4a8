#!/usr/bin/env python3
"""Pictures of figures as SVG: of the lines that benchmarks and benches/peers/compare.py write, and of one run.

    benches/plot.py overhead LINES >overhead.svg     runners by CPU a null test above their floor
    benches/plot.py speedup LINES >speedup.svg       speed-up against nodes, ours and the peers'
    benches/plot.py timeline RUN >timeline.svg       a run, with a lane a slot, grouped by machine

RUN is a file of `run-tests --json-test-results FILE --slow-tests-cutoff 1000000`, whose tests carry `start` and
`duration` in seconds and, unless they ran on this machine, `peer`; `slot` where it is told; or one of
`--log-test-schedule FILE`, which tells neither machines nor slots. Only the standard library.
"""

import json
import re
import sys
from xml.sax.saxutils import escape

WIDTH, BAR, LEFT = 860, 26, 380
OURS, OTHERS = "#2a6fbb", ["#c8553d", "#588157", "#8d6a9f", "#b08900"]
# Results by colour; the rest, of which there should be none, in another.
RESULTS = {"PASS": "#2a6fbb", "": "#2a6fbb", "FAIL": "#c8553d", "CRASH": "#8d2f23", "TIMEOUT": "#b08900"}


def text(x, y, words, anchor="start", size=13, colour="black"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(words)}</text>'


def svg(height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"])


def figures(path, bench):
    """By what they are of, in the order measured; the last of a kind counts."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [(line["what"], line["figures"]) for line in lines if line["bench"] == bench]


def overhead(path):
    rows = {what: row["above_floor_ms"] for what, row in figures(path, "peers null") if "floor" not in what}
    rows = sorted(rows.items(), key=lambda row: row[1])
    most = max(value for _, value in rows)
    parts = [text(10, 22, "CPU ms a null test above the bare start of its process", size=15)]
    for number, (what, value) in enumerate(rows):
        y = 40 + number * BAR
        length = max(1.0, value / most * (WIDTH - LEFT - 70))
        parts.append(text(LEFT - 8, y + 15, what, "end"))
        parts.append(f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{BAR - 6}" '
                     f'fill="{OURS if what.startswith("testmesh") else "#b0b0b0"}"/>')
        parts.append(text(LEFT + length + 6, y + 15, f"{value:.2f}"))
    return svg(50 + len(rows) * BAR, parts)


def speedup(path):
    series = {}
    for what, row in figures(path, "peers throughput") or [("testmesh", row) for _, row in figures(path, "speedup")]:
        series.setdefault(what, {})[row["nodes"]] = row["speedup"]
    most, size, left, top = max(nodes for points in series.values() for nodes in points), 380, 60, 40

    def place(nodes, speed):
        return left + nodes / most * size, top + size - speed / most * size

    (x0, y0), (x1, y1) = place(0, 0), place(most, most)
    parts = [text(10, 22, "speed-up of sleeping tests against nodes; dashed: the number of nodes", size=15),
             f'<path d="M{x0} {y0}H{x1}M{x0} {y0}V{y1}" stroke="black" fill="none"/>',
             f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#b0b0b0" stroke-dasharray="4" fill="none"/>']
    colours = dict(zip(sorted(series, key=lambda what: what != "testmesh"), [OURS, *OTHERS]))
    for nodes in sorted({nodes for points in series.values() for nodes in points}):
        parts.append(text(place(nodes, 0)[0], y0 + 18, str(nodes), "middle"))
    for number, (what, colour) in enumerate(colours.items()):
        points = sorted(series[what].items())
        line = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in points)
        parts.append(f'<path d="M{line}" stroke="{colour}" fill="none" stroke-width="2"/>')
        for point in points:
            x, y = place(*point)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        parts.append(text(x1 + 40, top + 20 + number * 22, f"{what}: {points[-1][1]:.2f} on {points[-1][0]}", colour=colour))
    return svg(top + size + 30, parts)


def runs(path):
    """Machine, name, result, start, end and slot of each run of a test."""
    with open(path, encoding="utf-8") as file:
        content = file.read()
    if not content.lstrip().startswith("{"):
        found = re.findall(r"^(.+): ([A-Z ]+) \(([\d.]+):([\d.]+)\)$", content, re.MULTILINE)
        return [("all machines", name, result, float(start), float(end), None) for name, result, start, end in found]
    results = json.loads(content)
    told = {}
    # What failed is in both lists, what passed in the list of the slowest only.
    for run in results["slowest_tests"] + results["results"]:
        if "start" not in run:
            sys.exit(f"{path}: the tests do not say when they started; --log-test-schedule tells it without machines")
        told[run["name"], run["variant"], run["run"]] = (run.get("peer", "this machine"), run["name"], run["result"], run["start"],
                                                         run["start"] + run["duration"], run.get("slot"))
    return list(told.values())


def lanes(found):
    """By slot; where it is not told, a run goes where one has ended, to the first free lane."""
    if all(run[5] is not None for run in found):
        return [[run for run in found if run[5] == slot] for slot in sorted({run[5] for run in found})]
    free = []
    for run in sorted(found, key=lambda run: run[3]):
        # What is told to the microsecond may overlap by one.
        lane = next((lane for lane in free if lane[-1][4] <= run[3] + 1e-3), None)
        if lane is None:
            free.append(lane := [])
        lane.append(run)
    return free


def timeline(path):
    found = runs(path)
    if not found:
        sys.exit(f"{path}: no test ran")
    begin, end = min(run[3] for run in found), max(run[4] for run in found)
    left, high, y = 130, 14, 46
    scale = (WIDTH - left - 20) / (end - begin)
    parts = [text(10, 22, f"{len(found)} runs of tests in {end - begin:.1f} s, a lane a slot", size=15)]
    for machine in sorted({run[0] for run in found}, key=lambda name: (name != "this machine", name)):
        group = lanes([run for run in found if run[0] == machine])
        busy = sum(run[4] - run[3] for lane in group for run in lane) / (end - begin) / len(group)
        parts.append(text(left - 8, y + 11, machine, "end"))
        if len(group) > 1:
            parts.append(text(left - 8, y + 11 + high, f"{len(group)} slots, {busy:.0%} busy", "end", 10, "#606060"))
        for lane in group:
            parts.append(f'<rect x="{left}" y="{y}" width="{WIDTH - left - 20}" height="{high - 2}" fill="#f0f0f0"/>')
            for _, name, result, start, stop, _ in lane:
                # White between two, as long as there is room for it.
                width = max((stop - start) * scale - 0.5, 0.4)
                colour = RESULTS.get(result, "#8d6a9f")
                parts.append(f'<rect x="{left + (start - begin) * scale:.2f}" y="{y}" width="{width:.2f}" height="{high - 2}" '
                             f'fill="{colour}"><title>{escape(name)}: {stop - start:.3f} s</title></rect>')
            y += high
        y += 10
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600) if (end - begin) / step <= 12 or step == 3600)
    for number in range(int((end - begin) / step) + 1):
        x = left + number * step * scale
        parts.append(f'<path d="M{x:.1f} 40V{y - 6}" stroke="black" stroke-opacity="0.15"/>')
        parts.append(text(x, y + 8, f"{number * step:g} s", "middle", 11))
    return svg(y + 20, parts)


def main():
    kinds = {"overhead": overhead, "speedup": speedup, "timeline": timeline}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    print(kinds[sys.argv[1]](sys.argv[2]))


if __name__ == "__main__":
    main()
