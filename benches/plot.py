#!/usr/bin/env python3
"""Pictures of figures: SVG files from the JSON of benches/peers/compare.py and `cargo bench --bench mesh`.

    benches/plot.py overhead COMPARE.json >overhead.svg     runners by CPU a null test above their floor
    benches/plot.py speedup MESH.json >speedup.svg          speed-up against nodes; MESH.json has a line a figure

Only the standard library.
"""

import json
import sys
from xml.sax.saxutils import escape

WIDTH, BAR, LEFT = 860, 26, 380


def text(x, y, words, anchor="start", size=13):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def svg(height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>"])


def overhead(path):
    with open(path, encoding="utf-8") as file:
        rows = [row for row in json.load(file)["rows"] if "floor" not in row["runner"]]
    rows.sort(key=lambda row: row["above_floor_ms"])
    most = max(row["above_floor_ms"] for row in rows)
    parts = [text(10, 22, "CPU ms a null test above the bare start of its process", size=15)]
    for number, row in enumerate(rows):
        y = 40 + number * BAR
        length = max(1.0, row["above_floor_ms"] / most * (WIDTH - LEFT - 70))
        colour = "#2a6fbb" if row["runner"].startswith("testmesh") else "#b0b0b0"
        parts.append(text(LEFT - 8, y + 15, row["runner"].split(":")[0], "end"))
        parts.append(f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{BAR - 6}" fill="{colour}"/>')
        parts.append(text(LEFT + length + 6, y + 15, f"{row['above_floor_ms']:.2f}"))
    return svg(50 + len(rows) * BAR, parts)


def speedup(path):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    points = sorted({line["figures"]["nodes"]: line["figures"]["speedup"] for line in lines if line["bench"] == "speedup"}.items())
    most, size, left, top = max(nodes for nodes, _ in points), 360, 60, 40

    def place(nodes, speed):
        return left + nodes / most * size, top + size - speed / most * size

    (x0, y0), (x1, y1) = place(0, 0), place(most, most)
    parts = [text(10, 22, "speed-up against nodes; the line is the number of nodes", size=15),
             f'<path d="M{x0} {y0}H{x1}M{x0} {y0}V{y1}" stroke="black" fill="none"/>',
             f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#b0b0b0" stroke-dasharray="4" fill="none"/>',
             '<path d="M' + "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in points) + '" stroke="#2a6fbb" fill="none" stroke-width="2"/>']
    for nodes, speed in points:
        x, y = place(nodes, speed)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2a6fbb"/>')
        parts.append(text(x + 8, y + 16, f"{speed:.2f}"))
        parts.append(text(x, y0 + 18, str(nodes), "middle"))
    return svg(top + size + 30, parts)


def main():
    kinds = {"overhead": overhead, "speedup": speedup}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    print(kinds[sys.argv[1]](sys.argv[2]))


if __name__ == "__main__":
    main()
