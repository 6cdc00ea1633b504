"""The heartbeat of a session: when to ping, and when the peer is gone.

Must not read a clock or set a timer: it is told `now` and says when it wants to be asked again. It is the
base of `Session`, not a part of it: one lives for each client, idle or not, and its flag is read for every
message.
"""

from __future__ import annotations

import enum

PUNCTUAL = 0.05
"""Seconds by which a ping may leave late and still count as sent when it was due, for clocks that tick."""


class Beat(enum.Enum):
    """What is due."""

    NOTHING = enum.auto()
    PING = enum.auto()
    DEAD = enum.auto()


class Heartbeat:
    """The heartbeat of Engine.IO v4 as the server sees it.

    A ping is due `interval` after the opening or the last pong, and `timeout` later the peer is gone, unless
    it has answered. The first other packet while an answer is awaited starts the timeout once more (Node
    since 6.6.12): a pong may stand behind a large message.

    While the peer is paused (not read, since too much of what it sent still waits) its timeout stands still.
    It is pinged all the same, every `interval`, because clients in turn count our pings. Its pongs are among
    what is not read.

    Args:
        interval: seconds from a pong to the next ping.
        timeout: seconds for the answer.
        now: the time of the opening, in seconds.

    Attributes:
        awaiting_pong: whether a ping is unanswered. Only then is `activity` worth a call, on the path of each
            message.
    """

    __slots__ = ("_due", "_extended", "_left", "_pinged", "awaiting_pong", "interval", "timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self.interval = interval
        self.timeout = timeout
        self.awaiting_pong = False
        self._due = now + interval
        self._pinged = now
        self._extended = False
        self._left: float | None = None  # of the timeout, while paused

    def deadline(self) -> float:
        """Returns when `beat` wants to be called, in seconds on the clock of `now`.

        `activity` only moves it later; `pong`, `pause` and `resume` may move it earlier, so ask again after
        them.
        """
        return self._due

    def beat(self, now: float) -> Beat:
        """Says what is due at `now`; the caller sends the ping, or ends the session."""
        if now < self._due:
            return Beat.NOTHING
        paused = self._left is not None
        if self.awaiting_pong and not paused:
            return Beat.DEAD
        self._pinged = self._due if now - self._due <= PUNCTUAL else now
        self._due = self._pinged + (self.interval if paused else self.timeout)
        self.awaiting_pong = True
        return Beat.PING

    def pong(self, now: float) -> None:
        """Takes note of a pong, also of one that was not asked for."""
        self.awaiting_pong = False
        self._extended = False
        self._due = now + self.interval

    def activity(self, now: float) -> None:
        """Takes note of a packet that is no pong."""
        if self.awaiting_pong and not self._extended:
            self._extended = True
            self.refresh(now)

    def refresh(self, now: float) -> None:
        """Starts a running timeout afresh, as a change of the transport does (Node behaviour)."""
        if not self.awaiting_pong:
            return
        if self._left is None:
            self._due = now + self.timeout
        else:
            self._left = self.timeout

    def pause(self, now: float) -> None:
        """Stops the timeout, since the peer is no longer read; a second call changes nothing."""
        if self._left is not None:
            return
        self._left = self.timeout
        if self.awaiting_pong:
            self._left = max(0.0, self._due - now)
            self._due = self._pinged + self.interval

    def resume(self, now: float) -> None:
        """Lets the timeout run on, which the next packet may extend anew: the pong may stand behind it."""
        if self._left is None:
            return
        if self.awaiting_pong:
            self._due = now + self._left
            self._extended = False
        self._left = None
