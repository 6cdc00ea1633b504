"""What waits for answers from elsewhere: answered, lost once, or given up; and never kept for ever."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from brokers_in_memory import until

from carboy.runtime import remote_acks
from carboy.runtime.acks import LEFT, NOBODY, TIMED_OUT
from carboy.runtime.log import Log
from carboy.runtime.remote_acks import RemoteAcks


class Waiting:
    """Acks, and what has become of them."""

    def __init__(self, logger: logging.Logger) -> None:
        self.acks = RemoteAcks(lambda function, *arguments: function(*arguments), Log(logger))
        self.news: list[Any] = []

    def add(self, number: int, awaited: set[str] | None = None, timeout: float | None = None) -> None:
        """Begins to wait."""
        nodes = None if awaited is None else frozenset(awaited)
        self.acks.add(
            number,
            lambda client, arguments: self.news.append((number, arguments)),
            lambda client, why: self.news.append((number, why)),
            nodes,
            timeout,
        )


@pytest.fixture
def waiting(logger: logging.Logger) -> Waiting:
    """Nothing waits."""
    return Waiting(logger)


def test_any_number_of_answers_is_taken(waiting: Waiting) -> None:
    """Until it is known or decided that no other comes; then nothing is lost any more."""
    waiting.add(1)
    waiting.acks.answered(1, ["a"])
    waiting.acks.answered(1, ["b"], final=True)
    waiting.acks.answered(1, ["c"])
    waiting.acks.lost(1, None, LEFT)
    assert waiting.news == [(1, ["a"]), (1, ["b"])]


@pytest.mark.parametrize("number", [2, "1", None, [], {}, 1.5])
def test_answers_that_nobody_waits_for_are_ignored(waiting: Waiting, number: Any) -> None:
    """Whatever their number is."""
    waiting.add(1)
    waiting.acks.answered(number, [])
    waiting.acks.lost(number, None, LEFT)
    assert waiting.news == []


def test_last_node_that_has_nobody_ends_the_wait(waiting: Waiting) -> None:
    """If all nodes are known; a node that is gone has nobody either."""
    waiting.add(1, {"a", "b"})
    waiting.add(2)
    waiting.add(3, set())
    waiting.acks.lost(1, "a", NOBODY)
    waiting.acks.lost(1, "a", NOBODY)
    waiting.acks.lost(2, "a", NOBODY)
    assert waiting.news == [(3, NOBODY)]
    waiting.acks.node_lost("b")
    assert waiting.news == [(3, NOBODY), (1, NOBODY)]


def test_time_runs_out(waiting: Waiting) -> None:
    """Once, for those that were not answered; however many wait, no thread is added for them."""
    waiting.add(0, timeout=60)
    before = threading.active_count()
    for number in range(1, 100):
        waiting.add(number, timeout=0)
    waiting.add(100, timeout=0.1)
    waiting.acks.answered(100, ["a"], final=True)
    assert threading.active_count() <= before  # those of earlier tests may end meanwhile
    until(lambda: len(waiting.news) == 100)
    assert sorted(waiting.news) == [*((number, TIMED_OUT) for number in range(1, 100)), (100, ["a"])]
    deadline = waiting.acks._waiting[0].deadline
    assert deadline is not None
    waiting.acks.give_up(0)
    assert deadline.due_tick == -1


def test_answer_that_races_with_the_deadline_is_taken_alone(waiting: Waiting) -> None:
    """Who gives up while an answer is being taken finds it answered."""
    waiting.add(1)
    asked = waiting.acks._waiting[1]
    with waiting.acks._lock:
        answering = threading.Thread(target=waiting.acks.answered, args=(1, ["a"]))
        answering.start()
        answering.join(0.05)
        assert not asked.is_answered  # it waits for the lock, and so would whoever gives up
    answering.join()
    waiting.acks.give_up(1)
    assert waiting.news == [(1, ["a"])]


def test_those_that_wait_are_bounded(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, lines: list[logging.LogRecord]
) -> None:
    """The oldest goes: without a word if it was answered, else with advice."""
    monkeypatch.setattr(remote_acks, "MAX_WAITING", 2)
    for number in (1, 2):
        waiting.add(number)
    waiting.acks.answered(1, [])
    waiting.add(3)
    assert (waiting.news, lines) == ([(1, [])], [])
    waiting.add(4)
    assert waiting.news == [(1, []), (2, TIMED_OUT)]
    assert "timeout=" in lines[0].getMessage()
