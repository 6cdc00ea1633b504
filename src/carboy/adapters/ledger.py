"""How a node finds out what it has missed: numbers on messages, and a bounded memory of those sent.

A broker forgets what it could not deliver. So each sender numbers its messages, one count for all nodes and
one for each node that it writes to alone; who misses a number asks for it, and who still has it sends it
again. Messages that come twice are known by their numbers too. No broker and no clock: `now` comes in.
"""

from __future__ import annotations

from collections import deque

MAX_HELD = 10_000
"""Messages of one sender that wait for an earlier one, at most."""

PATIENCE = 5.0
"""Seconds that a missing message is waited for; then it counts as lost."""


class Sent:
    """The messages that were sent lately, and the number of the next.

    Args:
        max_messages: how many are kept.
        max_bytes: bytes that they have together.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self.last = 0

    def next_number(self) -> int:
        """Returns the number of the message that is sent next."""
        self.last += 1
        return self.last

    def keep(self, number: int, message: bytes) -> None:
        """Keeps a message that may be asked for, and lets go of the oldest beyond the bounds."""
        self._kept.append((number, message))
        self._bytes += len(message)
        while len(self._kept) > self._max_messages or self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.popleft()[1])

    def again(self, first: int, last: int) -> tuple[int, list[bytes]]:
        """Returns what was asked for.

        Args:
            first: the first number.
            last: the last number.

        Returns:
            The first number from which on all are there still, and the messages.
        """
        found = [(number, message) for number, message in self._kept if first <= number <= last]
        return (found[0][0] if found else last + 1), [message for _, message in found]


class Heard:
    """What has come from one sender, in one of its counts.

    Attributes:
        lost: messages that never came.
        asked: the missing ones that the sender was asked for, or None.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.asked: tuple[int, int] | None = None
        self._last: int | None = None  # up to here nothing is missing
        self._noted = 0  # the sender is known to have come so far
        self._held: dict[int, bytes] = {}
        self._waiting_since: float | None = None

    def take(self, number: int, message: bytes, now: float) -> list[bytes]:
        """Takes a message.

        Args:
            number: its number.
            message: the message.
            now: seconds of any clock.

        Returns:
            What is to be delivered now, in order; nothing if it came before, or too early.
        """
        if self._last is None:
            self._last = number - 1
        if number == self._last + 1 and not self._held:  # the usual case
            self._last = number
            self._review(now, progress=True)
            return [message]
        if number > self._last:
            self._held.setdefault(number, message)
        delivered = self._deliver(now)
        return delivered + self.give_up(now) if len(self._held) > MAX_HELD else delivered

    def note(self, number: int, now: float) -> None:
        """Takes note that the sender has come to a number, which may show that something is missing."""
        if self._last is None:
            self._last = number
        self._noted = max(number, self._noted)
        self._review(now, progress=False)

    def missing(self) -> tuple[int, int] | None:
        """Returns the first and the last number of the first messages that have not come, or None."""
        if self._last is None:
            return None
        end = min(self._held) - 1 if self._held else self._noted
        return (self._last + 1, end) if end > self._last else None

    def skip(self, first: int, now: float) -> list[bytes]:
        """Takes note that the sender has nothing before a number any more.

        Args:
            first: the number.
            now: seconds of the same clock.

        Returns:
            What is to be delivered now.
        """
        if self._last is None or first - 1 <= self._last:
            return []
        early = [self._held.pop(number) for number in sorted(self._held) if number < first]
        self.lost += first - 1 - self._last - len(early)
        self._last = first - 1
        return early + self._deliver(now)

    def give_up(self, now: float) -> list[bytes]:
        """Goes on without what is missing, and returns what is to be delivered now."""
        missing = self.missing()
        return [] if missing is None else self.skip(missing[1] + 1, now)

    def is_overdue(self, now: float) -> bool:
        """Tells whether something has been waited for too long."""
        return self._waiting_since is not None and now - self._waiting_since >= PATIENCE

    def _deliver(self, now: float) -> list[bytes]:
        assert self._last is not None
        delivered = []
        while self._last + 1 in self._held:
            self._last += 1
            delivered.append(self._held.pop(self._last))
        self._review(now, progress=bool(delivered))
        return delivered

    def _review(self, now: float, *, progress: bool) -> None:
        if self._last is not None and not self._held and self._noted <= self._last:
            self._waiting_since = None
        elif progress or self._waiting_since is None:
            self._waiting_since = now
