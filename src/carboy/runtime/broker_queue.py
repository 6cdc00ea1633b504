"""What waits for the broker, and the ledgers, behind one lock: any thread adds, the bus's thread takes.

It knows neither the loop nor the broker, and never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from carboy.adapters.ledgers import Answer, Ledgers

Result = TypeVar("Result")

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of messages that are kept, at most."""

BATCH = 500
"""Messages that are published at once."""


MAX_REFUSALS = 5
"""Times that one message alone may fail on a connection that works; then it is what the broker refuses."""


class BrokerQueue:
    """The messages of one node on their way to the broker.

    Args:
        node: the name of the node.
        channel: the channel of the cluster.
        max_messages: messages that wait, at most, and that are kept for those who miss them.
        overflowed: called when one had to be given up.

    Attributes:
        lost: messages that were given up before the broker had them.
    """

    def __init__(self, node: str, channel: str, max_messages: int, overflowed: Callable[[], None]) -> None:
        self._channel = channel
        self._max_messages = max_messages
        self._overflowed = overflowed
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._ledgers = Ledgers(node, max_messages, MAX_BYTES)
        self._careful = 0  # messages that are published one by one, since one of them may be refused
        self._refusals = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def name(self, node: str | None) -> str:
        """Returns the name of the channel of one node, or of all."""
        return self._channel if node is None else f"{self._channel}.{node}"

    def add(self, message: bytes, node: str | None) -> bool:
        """Numbers a message and adds it; returns whether nothing waited before it."""
        with self._lock:
            was_empty = not self._waiting
            lost = self._append(node, self._ledgers.stamp(message, node))
        self._tell(lost)
        return was_empty

    def add_answers(self, answers: Sequence[Answer]) -> None:
        """Adds messages without a number, behind all others since what they say counts after them."""
        with self._lock:
            lost = sum(self._append(node, message) for node, message in answers)
        self._tell(lost)

    def take_batch(self) -> list[tuple[str, bytes]]:
        """Takes the messages that are to be published next, with the names of their channels."""
        with self._lock:
            size = min(1 if self._careful else BATCH, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            self._bytes -= sum(len(message) for _, message in batch)
        return batch

    def published(self, count: int) -> None:
        """Takes note that so many messages have reached the broker."""
        self._careful = max(0, self._careful - count)
        self._refusals = 0

    def put_back(self, batch: Sequence[tuple[str, bytes]], *, failed: bool) -> bool:
        """Puts a batch back; what of it went out nevertheless is known by its number, if it comes twice.

        Args:
            batch: what was taken.
            failed: whether the broker did not take it; one message that it never takes must not hold up all.

        Returns:
            Whether it was given up instead: it is one message, which the broker refuses.
        """
        with self._lock:
            if failed:
                self._careful = max(self._careful, len(batch))
                self._refusals += len(batch) == 1
            if self._refusals >= MAX_REFUSALS:
                self._careful -= 1
                self._refusals = 0
                self.lost += 1
                self._ledgers.drop(batch[0][1])
                return True
            self._waiting.extendleft(reversed(batch))
            self._bytes += sum(len(message) for _, message in batch)
            return False

    def ask(self, question: Callable[..., Result], *arguments: Any, **keys: Any) -> Result:
        """Calls a method of `Ledgers`.

        Args:
            question: the method.
            *arguments: its arguments.
            **keys: its keyword arguments.
        """
        with self._lock:
            return question(self._ledgers, *arguments, **keys)

    @property
    def missed(self) -> int:
        """Messages of other nodes that never came."""
        with self._lock:
            return self._ledgers.missed

    @property
    def echoes(self) -> int:
        """Messages of this node that have come back."""
        return self._ledgers.echoes

    def _append(self, node: str | None, message: bytes) -> int:
        self._waiting.append((self.name(node), message))
        self._bytes += len(message)
        lost = 0
        while len(self._waiting) > self._max_messages or self._bytes > MAX_BYTES:
            self._bytes -= len(self._waiting.popleft()[1])
            lost += 1
        self.lost += lost
        return lost

    def _tell(self, lost: int) -> None:
        if lost:
            self._overflowed()
