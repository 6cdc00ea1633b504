"""Runs the JavaScript client's cases under Node and reads their reports; it starts no servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[2]
MODES = ("websocket", "polling", "upgrade")
CASE_SECONDS = 60.0
_CHECK = re.compile(r'^check(?:In\(\[(?P<modes>[^\]]*)\],\s*|\(\s*)"(?P<name>[^"]+)"', re.MULTILINE)


@dataclass
class Report:
    """What one case said in one mode.

    Attributes:
        errors: for each check that ran, None or why it failed.
        output: everything the process printed, for the checks that never ran.
    """

    errors: dict[str, str | None] = field(default_factory=dict)
    output: str = ""

    def verify(self, name: str, server_log: str = "") -> None:
        """Fail as the named check did, and show what the server had printed by its end."""
        if name not in self.errors:
            pytest.fail(f"the case ended before this check:\n{self.output}\n{server_log}", pytrace=False)
        if self.errors[name] is not None:
            pytest.fail(f"{name}\n{self.errors[name]}\n{server_log}", pytrace=False)


def missing(what: str) -> None:
    """Skip loudly for want of a tool, or fail where nothing may be missing (`CI` is set)."""
    message = f"NOT TESTED: {what}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def require_node() -> str:
    """Return the path of Node, and see to it that the client is installed."""
    node = shutil.which("node")
    if node is None:
        missing("node is not installed, no JavaScript client was run")
    if not (ROOT / "node_modules" / "socket.io-client").is_dir():
        missing("socket.io-client is not installed (npm install), no JavaScript client was run")
    return str(node)


def checks(case: str) -> list[tuple[str, str]]:
    """Return the (mode, name) of every check of a case, as its source lists them."""
    found: list[tuple[str, str]] = []
    for match in _CHECK.finditer((CASES / f"{case}.mjs").read_text()):
        modes = re.findall(r"\w+", match["modes"]) if match["modes"] else MODES
        found.extend((mode, match["name"]) for mode in modes)
    return found


def run(case: str, url: str, mode: str, environment: dict[str, str] | None = None) -> Report:
    """Run one case against a server, and return its report."""
    command = [require_node(), str(CASES / f"{case}.mjs"), url, mode]
    try:
        ended = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            check=False,
            capture_output=True,
            text=True,
            timeout=CASE_SECONDS,
        )
        output, suffix = ended.stdout, ended.stderr
    except subprocess.TimeoutExpired as error:
        output, suffix = _text(error.stdout), f"{_text(error.stderr)}\n(killed after {CASE_SECONDS} s)"
    report = Report(output=output + suffix)
    for line in output.splitlines():
        if line.startswith("{"):
            outcome = json.loads(line)
            report.errors[outcome["check"]] = outcome["error"]
    return report


@contextmanager
def running(case: str, url: str, mode: str) -> Iterator[subprocess.Popen[str]]:
    """Run one case beside the test, which talks to it over its standard streams."""
    command = [require_node(), str(CASES / f"{case}.mjs"), url, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _text(stream: bytes | str | None) -> str:
    return stream.decode(errors="replace") if isinstance(stream, bytes) else stream or ""
