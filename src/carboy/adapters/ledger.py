"""How a node finds out what it has missed: numbers on messages, and a bounded memory of those sent.

A broker forgets what it could not deliver. So each sender numbers its messages, one count for all nodes and
one for each node that it writes to alone; who misses a number asks for it, and who still has it sends it
again. Messages that come twice are known by their numbers too. No broker and no clock: `now` comes in.
"""

from __future__ import annotations

from collections import deque

MAX_HELD = 10_000
"""Messages of one sender that wait for an earlier one, at most."""

MAX_HELD_BYTES = 64 * 1024 * 1024
"""Bytes that they have together, at most."""

ASK_AGAIN = 1.0
"""Seconds after which a missing message is asked for again, if none of those asked for has come."""

PATIENCE = 5.0
"""Seconds that a missing message is waited for; then it counts as lost."""


class Sent:
    """The messages that were sent lately, and the number of the next.

    Args:
        max_messages: how many are kept.
        max_bytes: bytes that they have together.
        last: the number before the first.
    """

    def __init__(self, max_messages: int, max_bytes: int, last: int = 0) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self.last = last

    def keep(self, message: bytes) -> None:
        """Counts a message and keeps it, and lets go of the oldest beyond the bounds."""
        self.last += 1
        self._kept.append((self.last, message))
        self._bytes += len(message)
        while len(self._kept) > self._max_messages or self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.popleft()[1])

    def drop(self, message: bytes) -> None:
        """Forgets a message that cannot be sent, so that nobody gets it who asks."""
        entry = next((entry for entry in self._kept if entry[1] is message), None)
        if entry is not None:
            self._kept.remove(entry)
            self._bytes -= len(message)

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
    """

    def __init__(self) -> None:
        self.lost = 0
        self._last: int | None = None  # up to here nothing is missing
        self._noted = 0  # the sender is known to have come so far
        self._asked = 0  # what is missing was asked for so far
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0
        self._first_held = 0  # the lowest of them
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
        if number > self._last and number not in self._held:
            self._hold(number, message)
        delivered = self._deliver(now)
        while len(self._held) > MAX_HELD or self._held_bytes > MAX_HELD_BYTES:
            delivered += self.give_up(now)
        return delivered

    def note(self, number: int, now: float) -> None:
        """Takes note that the sender has come to a number, which may show that something is missing."""
        if self._last is None:
            self._last = number
        self._noted = max(number, self._noted)
        self._review(now, progress=False)

    def to_ask(self) -> tuple[int, int] | None:
        """Returns the first and the last number of what is missing and was not asked for yet, or None."""
        missing = self._missing()
        if missing is None or missing[1] <= self._asked:
            return None
        first = max(missing[0], self._asked + 1)
        self._asked = missing[1]
        return first, missing[1]

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
        early = [self._release(number) for number in sorted(self._held) if number < first]
        self.lost += first - 1 - self._last - len(early)
        self._last = first - 1
        return early + self._deliver(now)

    def give_up(self, now: float) -> list[bytes]:
        """Goes on without what is missing next, and returns what is to be delivered now."""
        missing = self._missing()
        return [] if missing is None else self.skip(missing[1] + 1, now)

    def end(self, now: float) -> list[bytes]:
        """Gives up on all that is missing, and returns what is to be delivered now."""
        delivered: list[bytes] = []
        while self._missing() is not None:
            delivered += self.give_up(now)
        return delivered

    def tick(self, now: float) -> list[bytes]:
        """Gives up on what has been missing for too long.

        Args:
            now: seconds of the same clock.

        Returns:
            What is to be delivered now.
        """
        if self._waiting_since is None:
            return []
        waited = now - self._waiting_since
        if waited >= ASK_AGAIN:
            self._asked = 0
        return self.give_up(now) if waited >= PATIENCE else []

    def resume(self, now: float) -> None:
        """Begins to wait anew: what was asked for, or the answer, may have been lost."""
        self._asked = 0
        if self._waiting_since is not None:
            self._waiting_since = now

    def _missing(self) -> tuple[int, int] | None:
        """Returns the first and the last number of the first messages that have not come, or None."""
        if self._last is None:
            return None
        end = self._first_held - 1 if self._held else self._noted
        return (self._last + 1, end) if end > self._last else None

    def _hold(self, number: int, message: bytes) -> None:
        self._first_held = min(self._first_held, number) if self._held else number
        self._held[number] = message
        self._held_bytes += len(message)

    def _release(self, number: int) -> bytes:
        message = self._held.pop(number)
        self._held_bytes -= len(message)
        return message

    def _deliver(self, now: float) -> list[bytes]:
        assert self._last is not None
        delivered = []
        while self._last + 1 in self._held:
            self._last += 1
            delivered.append(self._release(self._last))
        if self._held and self._first_held <= self._last:
            self._first_held = min(self._held)
        self._review(now, progress=bool(delivered))
        return delivered

    def _review(self, now: float, *, progress: bool) -> None:
        if self._last is not None and not self._held and self._noted <= self._last:
            self._waiting_since = None
        elif progress or self._waiting_since is None:
            self._waiting_since = now
