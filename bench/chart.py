"""Draws the results: a bar for each server in each scenario, its length the ratio on a logarithmic scale.

    python bench/chart.py bench/results/latest.json picture.svg

The picture follows the reader's light or dark theme, and has a ground of its own for pages that do not.
"""

from __future__ import annotations

import json
import math
import sys
from html import escape
from pathlib import Path
from typing import Any

from report import spell

WIDTH = 800
MARGIN = 24
LABELS = 150  # room for the names of the servers
VALUES = 70  # room for the ratio behind the longest bar
BAR, BAR_STEP = 13, 17
HEAD = 64  # the title
GROUP_HEAD = 30
FOOT = 62

TIMES = "\N{MULTIPLICATION SIGN}"

STYLE = """
  text { font: 12px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #3d444d }
  .ground { fill: #ffffff } .title { font-size: 16px; font-weight: 600; fill: #1f2328 }
  .scenario { font-size: 13px; font-weight: 600; fill: #1f2328 } .note { font-size: 11px; fill: #59636e }
  .name { text-anchor: end } .ours { font-weight: 600; fill: #0b6e4f } .grid { stroke: #d1d9e0 }
  .base { stroke: #59636e } .tick { text-anchor: middle; font-size: 11px; fill: #59636e }
  .bar0 { fill: #9aa4af } .bar1 { fill: #8c7fb8 } .bar2 { fill: #5b8fc7 } .bar3 { fill: #c08a3e }
  .bar { fill: #12936a }
  @media (prefers-color-scheme: dark) {
    text { fill: #c9d1d9 } .ground { fill: #0d1117 } .title, .scenario { fill: #f0f6fc }
    .note, .tick { fill: #9198a1 } .grid { stroke: #30363d } .base { stroke: #9198a1 } .ours { fill: #4cc38a }
    .bar0 { fill: #6e7681 } .bar1 { fill: #8f82c4 } .bar2 { fill: #4f86c0 } .bar3 { fill: #b98436 }
    .bar { fill: #2fa874 }
  }
"""


class Scale:
    """From a ratio to a place on the page; both ends are marks of the 1-2-5 series, and 1 is always shown."""

    def __init__(self, ratios: list[float]) -> None:
        marks = [step * 10.0**power for power in range(-4, 7) for step in (1, 2, 5)]
        low = max(mark for mark in marks if mark <= min([1.0, *ratios]) * 1.0001)
        high = min(mark for mark in marks if mark >= max([2.0, *ratios]) * 0.9999)
        self.marks = [mark for mark in marks if low <= mark <= high]

    def __call__(self, ratio: float) -> float:
        """Return the x of a ratio, in pixels."""
        low, high = math.log(self.marks[0]), math.log(self.marks[-1])
        left, right = MARGIN + LABELS, WIDTH - MARGIN - VALUES
        return left + (math.log(ratio) - low) / (high - low) * (right - left)


def text(x: float, y: float, content: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(content)}</text>'


def bar(scale: Scale, y: float, title: str, entry: dict[str, Any], kind: str) -> list[str]:
    """One server: its name, a bar from 1 to its ratio, and the ratio in figures."""
    ours = "ours" if kind == "bar" else ""
    parts = [text(MARGIN + LABELS - 10, y + BAR - 2, title, f"name {ours}")]
    if "ratio" not in entry:
        return [*parts, text(scale(1) + 8, y + BAR - 2, "no valid figure", "note")]
    start, end = sorted((scale(1), scale(entry["ratio"])))
    start, end = (start - 1.5, end + 1.5) if end - start < 3 else (start, end)
    parts.append(
        f'<rect x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="{BAR}" rx="2" class="{kind}"/>'
    )
    number = ("~" if entry["unsteady"] else "") + spell(entry["ratio"]).replace("x", TIMES)
    return [*parts, text(max(end, scale(1)) + 6, y + BAR - 2, number, ours)]


def kinds(names: list[str]) -> dict[str, str]:
    """A colour for each server; Carboy's is its own."""
    others = [name for name in names if name != "carboy"]
    return {"carboy": "bar"} | {name: f"bar{number % 4}" for number, name in enumerate(others)}


def grid(scale: Scale, top: float, bottom: float) -> list[str]:
    """The lines behind the bars of one scenario."""
    return [
        f'<path d="M{scale(mark):.1f} {top - 4}V{bottom}" class="{"base" if mark == 1 else "grid"}"/>'
        for mark in scale.marks
    ]


def notes(results: dict[str, Any]) -> list[str]:
    """What a ratio means nothing without: the versions and the machine."""
    versions: dict[str, str] = {}
    for server in results["servers"].values():
        versions |= server["versions"]
    shown = ("carboy", "Flask-SocketIO", "python-socketio", "socket.io", "Node.js", "Python")
    named = ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
    place = (
        f"{results['machine']['cpu']}, one core for the server, one for the load, loopback, small messages"
    )
    return [f"Medians of one run. {place}.", f"{named}."]


def draw(results: dict[str, Any]) -> str:
    """The picture of one file of results, as the text of an SVG."""
    servers, scenarios = results["servers"], results["scenarios"]
    cells = [cell for scenario in scenarios for cell in scenario["cells"].values()]
    scale = Scale([cell["ratio"] for cell in cells if "ratio" in cell])
    base = servers[results["base"]]["title"]
    colours = kinds([*servers])
    body: list[str] = []
    y = HEAD
    for scenario in scenarios:
        body.append(text(MARGIN, y + 14, scenario["title"], "scenario"))
        y += GROUP_HEAD - 8
        body += grid(scale, y, y + BAR_STEP * len(servers))
        for name, server in servers.items():
            body += bar(scale, y, server["title"], scenario["cells"][name], colours[name])
            y += BAR_STEP
        y += 8
    height = y + FOOT
    title = f"How many times better than {base}"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
        text(MARGIN, 30, title, "title"),
        text(MARGIN, 48, "More per second, or less memory. Logarithmic scale; longer is better.", "note"),
    ]
    ticks = [text(scale(mark), y + 11, f"{mark:g}{TIMES}", "tick") for mark in scale.marks]
    foot = [text(MARGIN, y + 38 + 15 * number, note, "note") for number, note in enumerate(notes(results))]
    return "\n".join([*head, *body, *ticks, *foot, "</svg>", ""])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")
