"""Draws a soak: memory, clients and events per second, each over time on a scale of its own from zero."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from chart import MARGIN, STYLE, WIDTH, text

PANELS = (
    ("kilobytes", "Memory (MiB)", 1 / 1024),
    ("clients", "Clients", 1),
    ("rate", "Events per second", 1),
)
HEAD, PANEL, GAP, FOOT = 56, 110, 34, 34
LINE = ".line { fill: none; stroke: #12936a; stroke-width: 1.5 }"


def panel(samples: list[dict[str, Any]], top: float, key: str, title: str, factor: float) -> list[str]:
    """One line over time, with its name and its largest value."""
    values = [sample[key] * factor for sample in samples]
    highest = max([*values, 1e-9])
    width = WIDTH - 2 * MARGIN
    span = max(samples[-1]["second"], 1e-9)
    points = " ".join(
        f"{MARGIN + sample['second'] / span * width:.1f},{top + PANEL * (1 - value / highest):.1f}"
        for sample, value in zip(samples, values, strict=True)
    )
    return [
        text(MARGIN, top - 8, f"{title}: {values[-1]:,.0f} at the end, {highest:,.0f} at most", "scenario"),
        f'<path class="grid" d="M{MARGIN} {top}H{WIDTH - MARGIN}M{MARGIN} {top + PANEL}H{WIDTH - MARGIN}"/>',
        f'<polyline class="line" points="{points}"/>',
    ]


def draw(samples: list[dict[str, Any]], title: str) -> str:
    """The picture of all samples, as the text of an SVG."""
    height = HEAD + len(PANELS) * (PANEL + GAP) + FOOT - GAP
    body: list[str] = []
    for number, (key, name, factor) in enumerate(PANELS):
        body += panel(samples, HEAD + GAP / 2 + number * (PANEL + GAP), key, name, factor)
    seconds = samples[-1]["second"]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">',
        f"<title>{escape(title)}</title><style>{STYLE}{LINE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
        text(MARGIN, 30, title, "title"),
        *body,
        text(MARGIN, height - 10, f"0 to {seconds:.0f} seconds", "note"),
        "</svg>",
        "",
    ])  # fmt: skip
