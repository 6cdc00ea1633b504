"""What waits for acknowledgements of clients of other processes.

How many clients are asked there is not known. So an answer may come as long as it is waited for; that there
will be none is known only if the one client that was asked has left, or each other process has said so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carboy.runtime.acks import NOBODY, TIMED_OUT, Answered, Lost
from carboy.runtime.deadlines import Deadline, Deadlines
from carboy.runtime.log import Log

MAX_WAITING = 10_000
"""Emits that wait at once, at most: who emits with a callback and without a timeout may never be answered."""


@dataclass
class _Asked:
    answered: Answered
    lost: Lost
    awaited: set[str] | None  # who may still have a recipient, if all are known
    deadline: Deadline | None = None
    is_answered: bool = False


class RemoteAcks:
    """The emits of this process that clients elsewhere may acknowledge.

    Args:
        on_loop: calls a function where acknowledgements are dealt with.
        log: where it is told that too many wait.
    """

    def __init__(self, on_loop: Callable[..., Any], log: Log) -> None:
        self._on_loop = on_loop
        self._log = log
        self._lock = threading.Lock()
        self._deadlines = Deadlines(log)
        self._waiting: dict[int, _Asked] = {}

    def add(
        self,
        number: int,
        answered: Answered,
        lost: Lost,
        awaited: frozenset[str] | None,
        timeout: float | None,
    ) -> None:
        """Begins to wait.

        Args:
            number: under which the answers come.
            answered: called with None and the arguments for each answer.
            lost: called once with None and the reason if there is none.
            awaited: the nodes that may have a recipient; None if not all of them are known.
            timeout: seconds, None for no limit.
        """
        asked = _Asked(answered, lost, None if awaited is None else set(awaited))
        with self._lock:
            self._waiting[number] = asked
            oldest = next(iter(self._waiting)) if len(self._waiting) > MAX_WAITING else None
        if timeout is not None:
            asked.deadline = self._deadlines.set(timeout, self.give_up, number)
        if oldest is not None:
            self._drop(oldest)
        if awaited is not None and not awaited:
            self.lost(number, None, NOBODY)

    def answered(self, number: Any, arguments: list[Any], *, final: bool = False) -> None:
        """Takes an answer; one that nobody waits for is ignored.

        Args:
            number: of the emit.
            arguments: of the acknowledgement.
            final: whether no other can come.
        """
        with self._lock:  # so that it is answered or lost, and not both
            asked = self._waiting.get(number) if isinstance(number, int) else None
            if asked is None:
                return
            asked.is_answered = True
        self._on_loop(asked.answered, None, arguments)
        if final:
            self._end(number, "")

    def lost(self, number: Any, node: str | None, why: str) -> None:
        """Takes note that no answer will come.

        Args:
            number: of the emit.
            node: from which none will; None if from nowhere.
            why: the reason.
        """
        with self._lock:
            asked = self._waiting.get(number) if isinstance(number, int) else None
            if asked is None:
                return
            if node is not None:
                if asked.awaited is None:
                    return
                asked.awaited.discard(node)
                if asked.awaited:
                    return
        self._end(number, why)

    def node_lost(self, node: str) -> None:
        """Takes note that a node is there no more."""
        for number in tuple(self._waiting):
            self.lost(number, node, NOBODY)

    def give_up(self, number: int) -> None:
        """Waits no longer."""
        self._end(number, TIMED_OUT)

    def _drop(self, number: int) -> None:
        """Gives up on the emit that has waited longest, since too many wait."""
        asked = self._waiting.get(number)
        if asked is not None and not asked.is_answered:
            text = "Too many emits wait for their callbacks: give them a timeout="
            self._log.rarely("asked too much", text)
        self.give_up(number)

    def _end(self, number: int, why: str) -> None:
        with self._lock:
            asked = self._waiting.pop(number, None)
        if asked is None:
            return
        if asked.deadline is not None:
            asked.deadline.cancel()
        if not asked.is_answered:
            self._on_loop(asked.lost, None, why)
