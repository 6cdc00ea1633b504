"""Measures Carboy beside other Socket.IO servers, in one run, and prints ratios.

python bench/run.py                          all servers, all scenarios: some six minutes
python bench/run.py --scenarios echo,rooms --servers node,carboy --rounds 5
python bench/run.py --with 'mine=python my_server.py {port}'

The servers take turns in each round of each scenario, so that a slow moment of the machine meets all of them.
The results go to bench/results. How to read them, and what they do not tell: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import chart
import environments
import measure
import report
from environments import MissingToolError, Server
from measure import SCENARIOS, FailedError

RESULTS = environments.HERE / "results"
PUBLISHED_CHART = environments.ROOT / "docs/images/benchmark.svg"


class Progress:
    """One line that changes on a terminal; in a file, a line for each server of each scenario."""

    def __init__(self, steps: int = 0) -> None:
        self.steps = steps
        self.step = 0
        self.started = time.monotonic()
        self.live = sys.stdout.isatty()

    def show(self, text: str) -> None:
        """Print what the next line replaces."""
        print(f"\r\033[K{text}" if self.live else text, end="" if self.live else "\n", flush=True)

    def measuring(self, title: str, server: str, number: int, rounds: int) -> None:
        """Say what comes next, and when all of it will be done."""
        passed = time.monotonic() - self.started
        minutes = passed / self.step * (self.steps - self.step) / 60 if self.step else 0
        left = f", {minutes:.0f} min left" if minutes >= 1 else ""
        self.step += 1
        if self.live or number == 1:
            self.show(f"[{self.step:3}/{self.steps}] {title}: {server}, round {number} of {rounds}{left}")

    def keep(self, text: str) -> None:
        """Print what stays."""
        print(f"\r\033[K{text}" if self.live else text, flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--servers", help=f"which and in which order, out of {','.join(environments.SERVERS)}"
    )
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="out of %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="how often each figure is taken (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each time (%(default)s)")
    parser.add_argument("--base", default="flask-socketio", help="the server that counts as 1 (%(default)s)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of all Python servers")
    parser.add_argument("--publish", action="store_true", help="draw the chart of docs/images anew as well")
    parser.add_argument(
        *("--with",),
        dest="more",
        action="append",
        default=[],
        metavar="NAME='COMMAND {port}'",
        help="a server of yours, with the events of bench/server.py",
    )
    options = parser.parse_args(arguments)
    options.scenarios = options.scenarios.split(",")
    options.more = dict(
        pair.split("=", 1) if "=" in pair else parser.error(f"no = in {pair}") for pair in options.more
    )
    options.servers = options.servers.split(",") if options.servers else [*environments.SERVERS]
    options.servers += [name for name in options.more if name not in options.servers]
    for name in {*options.servers} - {*environments.SERVERS} - {*options.more}:
        parser.error(f"no such server: {name}")
    for name in {*options.scenarios} - {*SCENARIOS}:
        parser.error(f"no such scenario: {name}")
    return options


def set_up(options: argparse.Namespace, progress: Progress) -> list[Server]:
    """Make the servers ready that can be; the others get a loud line and are left out."""
    servers = []
    for name in options.servers:
        progress.show(f"Setting up {name} (below .cache/bench; only the first time takes long)")
        try:
            if name in options.more:
                servers.append(Server(name, name, options.more[name]))
            else:
                servers.append(environments.SERVERS[name](options.python))
        except MissingToolError as reason:
            progress.keep(f"!!! {name} is LEFT OUT: {reason}")
    return servers


def one_round(load: Path, server: Server, scenario: measure.Scenario, seconds: float) -> dict[str, Any]:
    try:
        return measure.measure(load, server, scenario, seconds)
    except FailedError as reason:
        return {"failed": str(reason)}


def measure_all(
    options: argparse.Namespace, servers: list[Server], load: Path, progress: Progress
) -> list[tuple[str, dict[str, dict[str, Any]]]]:
    """All scenarios, all rounds; prints the ratios of a scenario as soon as it is through."""
    rows = []
    for scenario in (SCENARIOS[name] for name in options.scenarios):
        rounds: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
        for number in range(options.rounds):
            first = number % len(servers)
            for server in servers[first:] + servers[:first]:
                progress.measuring(scenario.title, server.title, number + 1, options.rounds)
                rounds[server.name].append(one_round(load, server, scenario, options.seconds))
        cells = {name: report.cell(entries) for name, entries in rounds.items()}
        report.set_ratios(cells, options.base, less_is_better=scenario.figure == "kib")
        rows.append((scenario.title, cells))
        found = "   ".join(f"{server.title} {report.spell_cell(cells[server.name])}" for server in servers)
        progress.keep(f"{scenario.title}: {found}")
    return rows


def save(options: argparse.Namespace, servers: list[Server], rows: list[tuple[str, dict[str, Any]]]) -> None:
    """Write the results and the chart."""
    results = {
        "command": shlex.join(["python", "bench/run.py", *sys.argv[1:]]),
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": report.machine(),
        "pinned": measure.CORES is not None,
        "base": options.base,
        "servers": {server.name: {"title": server.title, "versions": server.versions} for server in servers},
        "scenarios": [{"title": title, "cells": cells} for title, cells in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for file in (RESULTS / "benchmark.svg", *([PUBLISHED_CHART] if options.publish else [])):
        file.write_text(chart.draw(results), encoding="utf-8")
        print(f"Chart: {file.relative_to(environments.ROOT)}")
    print(
        f"All figures, versions and the machine: {(RESULTS / 'latest.json').relative_to(environments.ROOT)}"
    )


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a thousand clients are a thousand open files
    progress = Progress()
    try:
        load = environments.load_generator()
    except MissingToolError as reason:
        print(f"!!! Nothing can be measured: {reason}", file=sys.stderr)
        return 1
    servers = set_up(options, progress)
    if not servers:
        return 1
    if options.base not in {server.name for server in servers}:
        options.base = servers[0].name
        progress.keep(f"!!! Ratios are to {servers[0].title}: the usual base is not in this run")
    if measure.CORES is None:
        progress.keep("!!! One core for server and load: ratios will be flatter than with two")
    progress = Progress(len(options.scenarios) * options.rounds * len(servers))
    rows = measure_all(options, servers, load, progress)
    title = next(server.title for server in servers if server.name == options.base)
    print(f"\nTimes better than {title} (memory: times less)\n")
    print("\n".join(report.lines_of([server.name for server in servers], rows)), end="\n\n")
    save(options, servers, rows)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nstopped; nothing was written")
