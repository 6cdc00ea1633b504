"""Timeouts without a hub."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest
from brokers_in_memory import until

from carboy.runtime.deadlines import Deadlines
from carboy.runtime.log import Log


@pytest.fixture
def deadlines(logger: logging.Logger) -> Deadlines:
    """Nothing is to come."""
    return Deadlines(Log(logger))


def threads() -> int:
    """Returns how many threads wait for deadlines, those of earlier tests included."""
    return sum(thread.name == "carboy-deadlines" for thread in threading.enumerate())


def test_functions_are_called_in_time_by_one_thread(deadlines: Deadlines) -> None:
    """The earliest first, also one that was set last; none of them early."""
    before, called = threads(), []
    for seconds in (60, 0.2, 0.1, 0.0):
        due_at = time.monotonic() + seconds
        deadlines.set(seconds, lambda due: called.append((due, time.monotonic())), due_at)
    assert threads() == before + 1
    until(lambda: len(called) == 3)
    assert [due for due, _ in called] == sorted(due for due, _ in called)
    assert all(passed >= due for due, passed in called)


def test_cancelled_deadline_is_never_called(deadlines: Deadlines) -> None:
    """Cancelling is possible in the thread that calls too, and after it was called."""
    called: list[str] = []
    second = deadlines.set(60, called.append, "second")
    first = deadlines.set(0.05, second.cancel)
    deadlines.set(0.15, called.append, "third")
    until(lambda: called)
    first.cancel()
    assert called == ["third"]
    assert second.due_tick == -1


def test_function_that_fails_costs_no_other(deadlines: Deadlines, lines: list[logging.LogRecord]) -> None:
    """It is a defect, and so says the log."""
    called: list[str] = []
    deadlines.set(0, int, "x")
    deadlines.set(0.05, called.append, "next")
    until(lambda: called)
    assert lines[0].levelno == logging.ERROR


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_child_of_a_fork_has_deadlines_of_its_own(deadlines: Deadlines) -> None:
    """Though its parent has held the lock, and its thread is the parent's alone."""
    theirs = deadlines.set(60, print)
    with deadlines._changed:
        child = os.fork()
        if child == 0:  # pragma: no cover
            called = threading.Event()
            theirs.cancel()
            deadlines.set(0, called.set)
            os._exit(0 if called.wait(10) else 1)
    assert os.waitpid(child, 0)[1] == 0
