"""From measurements to ratios, a table and a file of results. It measures nothing.

A ratio says how many times better a server did than the base: more per second, or less memory.
"""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from typing import Any

UNSTEADY = 0.2  # rounds that differ by more than this part of their median are marked
GENERATOR_BUSY = 0.95  # the generator's own share of its core from which on it may be the limit


def cpu_model() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def cell(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the rounds of one server in one scenario together; one failed round makes the figure invalid."""
    reasons = [entry["failed"] for entry in rounds if "failed" in entry]
    if reasons:
        return {"failed": reasons[0], "failed_rounds": len(reasons), "rounds": len(rounds)}
    figures = [entry["figure"] for entry in rounds]
    median = statistics.median(figures)
    return {
        "median": median,
        "figures": figures,
        "unsteady": (max(figures) - min(figures)) / median > UNSTEADY,
        "generator_bound": statistics.median(entry["load"] for entry in rounds) > GENERATOR_BUSY,
    }


def set_ratios(cells: dict[str, dict[str, Any]], base: str, *, less_is_better: bool) -> None:
    """Give each valid cell of a scenario its ratio to the base, where that is valid."""
    reference = cells.get(base, {}).get("median")
    for entry in cells.values():
        if reference and "median" in entry:
            ratio = entry["median"] / reference
            entry["ratio"] = 1 / ratio if less_is_better else ratio


def spell(ratio: float) -> str:
    """Two significant digits are what a run is good for."""
    return f"{ratio:.0f}x" if ratio >= 9.95 else f"{ratio:.1f}x" if ratio >= 0.995 else f"{ratio:.2f}x"


def spell_cell(entry: dict[str, Any]) -> str:
    if "failed" in entry:
        return "failed"
    mark = "~" if entry["unsteady"] else ""
    limit = ">" if entry["generator_bound"] else ""
    return f"{limit}{mark}{spell(entry['ratio'])}" if "ratio" in entry else "no base"


def failures(rows: list[tuple[str, dict[str, dict[str, Any]]]]) -> list[str]:
    """Why figures are missing; a reason that a server has more than once is told once."""
    found: dict[tuple[str, str], list[str]] = {}
    for title, cells in rows:
        for name, entry in cells.items():
            if "failed" in entry:
                where = f"{title} ({entry['failed_rounds']} of {entry['rounds']} rounds)"
                found.setdefault((name, entry["failed"]), []).append(where)
    return [
        f"! {name} failed: {reason}\n    in: {'; '.join(where)}" for (name, reason), where in found.items()
    ]


def lines_of(columns: list[str], rows: list[tuple[str, dict[str, dict[str, Any]]]]) -> list[str]:
    """The table, the legend of the marks that occur in it, and the reasons of failures."""
    width = max(len(title) for title, _ in rows)
    widths = [max(len(name), 8) for name in columns]
    heads = "  ".join(name.rjust(size) for name, size in zip(columns, widths, strict=True))
    lines = [f"{'':{width}}  {heads}"]
    for title, cells in rows:
        texts = (spell_cell(cells[name]).rjust(size) for name, size in zip(columns, widths, strict=True))
        lines.append(f"{title:{width}}  {'  '.join(texts)}")
    everything = [entry for _, cells in rows for entry in cells.values()]
    if any(entry.get("unsteady") for entry in everything):
        lines.append("~ the rounds of this figure differ by more than a fifth: too noisy to rely on")
    if any(entry.get("generator_bound") for entry in everything):
        lines.append("> the load generator had no more to give: the server may do better than this")
    return lines + failures(rows)
