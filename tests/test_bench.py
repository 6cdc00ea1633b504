"""The benchmark works: its load generator drives the server that it measures, and its chart is a picture."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest

from ports import free_port

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)

needs_compiler = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux",
    reason="the load generator needs Linux and a C compiler (apt-get install gcc libc6-dev)",
)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load generator, compiled with warnings as errors."""
    program = tmp_path_factory.mktemp("load") / "load"
    subprocess.run(
        [COMPILER, "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, BENCH / "load.c"], check=True
    )
    return program


def answers(port: int) -> bool:
    """Whether the application answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1) as response:
            return bool(response.read() == b"pong")
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of `bench/server.py`, running as a process of its own."""
    number = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen([sys.executable, BENCH / "server.py", str(number)], env=environment) as process:
        try:
            deadline = time.monotonic() + 20
            while not answers(number):
                assert process.poll() is None, "bench/server.py ended"
                assert time.monotonic() < deadline, "bench/server.py does not answer"
                time.sleep(0.02)
            yield number
        finally:
            process.terminate()


def drive(load: Path, port: int, *options: str) -> dict[str, object]:
    """Run the load generator for a moment and return its report."""
    command = [load, "--port", str(port), "--seconds", "0.3", "--warmup", "0.1", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return json.loads(done.stdout)


@needs_compiler
@pytest.mark.parametrize(
    "options",
    [
        ("--scenario", "echo", "--clients", "10", "--in-flight", "4"),
        ("--scenario", "echo", "--clients", "10", "--in-flight", "4", "--transport", "polling"),
        ("--scenario", "broadcast", "--clients", "20"),
        ("--scenario", "rooms", "--clients", "20", "--rooms", "5"),
        ("--scenario", "connects", "--clients", "4"),
    ],
    ids=lambda options: "-".join(word for word in options[1::2] if word.isalpha()),
)
def test_server_of_the_benchmark_answers_all_without_an_error(load: Path, port: int, options: tuple) -> None:
    """In every scenario something is delivered and nothing is lost, changed or refused."""
    report = drive(load, port, *options)
    if not report["error"] and not report["deliveries"]:  # the server may have stood still for all of it
        report = drive(load, port, *options)
    assert report["error"] is None
    assert report["deliveries"] > 0


@needs_compiler
def test_load_generator_notices_a_server_that_is_not_there(load: Path) -> None:
    """A run that cannot connect reports an error instead of figures."""
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        report = drive(load, listener.getsockname()[1])
    assert report["error"]
    assert report["deliveries"] == 0


def test_chart_is_a_picture_that_names_what_it_has_no_figure_for(tmp_path: Path) -> None:
    """Results become well-formed SVG: a bar for each ratio, and words where there is none."""
    measured = {"median": 1.0, "ratio": 12.4, "unsteady": False}
    results = {
        "base": "one",
        "machine": {"cpu": "<any>"},
        "servers": {name: {"title": name, "versions": {}} for name in ("one", "carboy", "broken")},
        "scenarios": [
            {
                "title": "echo",
                "cells": {"one": measured | {"ratio": 1.0}, "carboy": measured, "broken": {"failed": "lost"}},
            }
        ],
    }
    source, target = tmp_path / "results.json", tmp_path / "chart.svg"
    source.write_text(json.dumps(results), encoding="utf-8")
    subprocess.run([sys.executable, BENCH / "chart.py", source, target], check=True)
    picture = ET.parse(target).getroot()
    bars = [
        bar.get("class")
        for bar in picture.findall(".//{*}rect")
        if (bar.get("class") or "").startswith("bar")
    ]
    words = [text.text for text in picture.findall(".//{*}text")]
    assert bars == ["bar0", "bar"]
    assert "no valid figure" in words
    assert "12\N{MULTIPLICATION SIGN}" in words
