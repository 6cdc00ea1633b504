"""The log tells people what happened, and never floods them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from carboy.runtime.log import QUIET_FOR, Log


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Returns where the test has moved it."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a logger that no other test uses; it is as it was afterwards."""
    logger = logging.getLogger("carboy.test_log")
    logger.propagate = False
    yield logger.name
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()


def test_logger_of_the_application_is_used(logger: logging.Logger, lines: list[logging.LogRecord]) -> None:
    """A logger as the option gets every line, with its level."""
    log = Log(logger)
    log.info("a %s", 1)
    log.warning("b")
    assert [(line.levelname, line.getMessage()) for line in lines] == [("INFO", "a 1"), ("WARNING", "b")]


def test_exception_is_told_with_its_traceback(logger: logging.Logger, lines: list[logging.LogRecord]) -> None:
    """The line has the exception, also when it is not being handled any more."""
    try:
        int("x")
    except ValueError as error:
        kept = error
    Log(logger).exception("broken %s", "here", error=kept)
    assert lines[0].getMessage() == "broken here"
    assert lines[0].exc_info == (ValueError, kept, kept.__traceback__)


def test_progress_is_told_only_if_it_is_asked_for(name: str) -> None:
    """False leaves the logger to the application, True shows progress."""
    logging.getLogger(name).handlers.clear()  # those of pytest
    quiet = Log(False, name).logger
    assert (quiet.level, quiet.handlers) == (logging.NOTSET, [])
    loud = Log(True, name).logger
    assert loud is quiet
    assert (loud.level, len(loud.handlers)) == (logging.INFO, 1)
    Log(True, name)
    assert len(loud.handlers) == 1


def test_line_of_one_kind_is_not_repeated_for_a_while(
    logger: logging.Logger, lines: list[logging.LogRecord], clock: Clock
) -> None:
    """What a peer can cause as often as it likes is told once in the interval."""
    log = Log(logger, clock=clock)
    for number in range(5):
        log.rarely("kind", "line %d", number)
    clock.now += QUIET_FOR - 0.1
    log.rarely("kind", "line %d", 5)
    assert [line.getMessage() for line in lines] == ["line 0"]


def test_next_line_tells_how_many_were_not(
    logger: logging.Logger, lines: list[logging.LogRecord], clock: Clock
) -> None:
    """After the interval the line comes again, with the number that was kept back, once."""
    log = Log(logger, clock=clock)
    for number in range(4):
        log.rarely("kind", "line %d", number)
    for number in (7, 8):
        clock.now += QUIET_FOR
        log.rarely("kind", "line %d", number)
    told = [line.getMessage() for line in lines]
    assert told == ["line 0", "line 7 (3 more like this since the last such line)", "line 8"]


def test_kinds_do_not_hush_each_other(
    logger: logging.Logger, lines: list[logging.LogRecord], clock: Clock
) -> None:
    """Each kind has an interval of its own."""
    log = Log(logger, clock=clock)
    log.rarely("one", "a")
    log.rarely("other", "b")
    assert [line.getMessage() for line in lines] == ["a", "b"]


def test_line_keeps_no_exception(logger: logging.Logger, lines: list[logging.LogRecord]) -> None:
    """An exception in a line is its text, so that a handler that keeps lines does not keep all its frames."""
    log = Log(logger)
    log.rarely("kind", "Closing %s: %s", "x", ValueError("no good"))
    log.warning("%s", OSError("gone"))
    assert [line.getMessage() for line in lines] == ["Closing x: no good", "gone"]
    assert not any(isinstance(argument, BaseException) for line in lines for argument in line.args or ())
