"""What all tests share: with `CI` set, nothing may be missing, so a test that skips has failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import brokers  # found by the line above under every import mode

NOTHING_MAY_BE_MISSING = bool(os.environ.get("CI"))

if not NOTHING_MAY_BE_MISSING:  # where it is set, Hypothesis has no deadline by itself
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with the same reason; an expected failure stays one."""
    if NOTHING_MAY_BE_MISSING and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (a skip is a failure where CI is set)"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at each test that ran or skipped."""
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at each file, which may skip as a whole."""
    report = yield
    fail_if_skipped(report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Leave sockets that nobody closed to later Pythons: asyncio of 3.10 leaves some open itself."""
    if sys.version_info < (3, 11):
        for warning in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning"):
            config.addinivalue_line("filterwarnings", f"ignore:(unclosed|Exception ignored in):{warning}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave Kafka out unless `KAFKA` is set: no package of this system has it, so it must be fetched."""
    left_out = [item for item in items if item.get_closest_marker("kafka")]
    if left_out and not os.environ.get("KAFKA"):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def start_broker(
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Callable[[type[brokers.Broker]], brokers.Broker], None, None]:
    """Start one broker of a kind for the whole run, or return the one that runs; all end with the run."""
    started: dict[type[brokers.Broker], brokers.Broker] = {}

    def start(kind: type[brokers.Broker]) -> brokers.Broker:
        brokers.require(kind)
        if kind not in started:
            started[kind] = broker = kind(tmp_path_factory.mktemp(kind.__name__.lower()))
            broker.prepare()
        if started[kind].process is None:
            started[kind].start()
        return started[kind]

    yield start
    for broker in started.values():
        broker.stop()
