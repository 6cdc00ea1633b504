"""Asks the official JavaScript parsers; one Node process answers all questions of a test run."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import javascript  # found by the line above under every import mode

SCRIPT = Path(__file__).with_name("official_parsers.mjs")


class RefusedError(Exception):
    """The parser has thrown."""


class Parsers:
    """The official parsers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, name: str, argument: Any) -> Any:
        """Return what a parser returns for an argument, bytes and all.

        Raises:
            RefusedError: if it throws.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"name": name, "argument": _pack(argument)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RefusedError(answer["error"])
        return _unpack(answer.get("value"))


@contextmanager
def parsers() -> Iterator[Parsers]:
    """Start Node for the time of a block."""
    node = javascript.require_node()
    with subprocess.Popen(
        [node, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Parsers(process)
        assert process.stdin is not None
        process.stdin.close()


def as_javascript(value: Any) -> Any:
    """Return data as they are after a way through JavaScript: all numbers are doubles, infinity is null."""
    if isinstance(value, list):
        return [as_javascript(item) for item in value]
    if isinstance(value, dict):
        return {key: as_javascript(item) for key, item in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return as_double(value)
    return value


def as_double(number: float) -> float | None:
    """Return a number as a double, None for one that is too large."""
    try:
        double = float(number)
    except OverflowError:
        return None
    return double if math.isfinite(double) else None


def _pack(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [_pack(item) for item in value]
    if isinstance(value, dict):
        return {key: _pack(item) for key, item in value.items()}
    return value


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        return {key: _unpack(item) for key, item in value.items()}
    return value
