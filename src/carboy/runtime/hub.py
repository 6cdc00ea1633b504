"""The hub: the one event loop of a process, and what runs around it.

It is the embedded server's own loop, or a background thread's. All sockets, sessions and timers live on it; what other
threads want of it goes through the outbox. It knows no protocol.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol

from carboy.runtime.handler_threads import HandlerThreads
from carboy.runtime.outbox import Outbox
from carboy.runtime.timer_wheel import Timed, TimerWheel

FAN_OUT_SLICE = 4096
"""Sends after which a fan-out gives the loop back, so that heartbeats and reads run in between."""


class Corked(Protocol):
    """Something with output that leaves in one write at the end of a round."""

    def flush(self) -> None:
        """Writes what has gathered."""


class Hub:
    """A loop with its outbox, timers and handler threads.

    Args:
        handler_threads: threads for plain handlers, at most.
    """

    def __init__(self, handler_threads: int) -> None:
        self.outbox = Outbox(self._wake)
        self.timers = TimerWheel()
        self.threads = HandlerThreads(handler_threads, self._arm_hand_off)
        self.tasks: set[asyncio.Task[Any]] = set()
        self._corked: list[Corked] = []
        self._flush_scheduled = False
        self._budget = FAN_OUT_SLICE
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._turn_at = float("inf")

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the hub runs."""
        if self._loop is None:
            raise RuntimeError("the hub has not started")
        return self._loop

    @property
    def running(self) -> bool:
        """Whether the hub has a loop."""
        return self._loop is not None

    @property
    def is_here(self) -> bool:
        """Whether the caller is in the loop's thread, where nothing may block."""
        return threading.get_ident() == self._thread

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs the hub on a loop, from the loop's own thread."""
        self._loop = loop
        self._thread = threading.get_ident()
        if self.outbox.pending:
            loop.call_soon(self.drain)

    def detach(self) -> None:
        """Forgets the loop, which has ended."""
        self._loop = None
        self._thread = None
        self._turn = None
        self._turn_at = float("inf")

    def now(self) -> float:
        """Returns the loop's clock in seconds."""
        return self.loop.time()

    def spawn(self, coroutine: Any) -> None:
        """Starts a coroutine as a task and keeps it until it is done; only in the loop's thread."""
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def cork(self, connection: Corked) -> None:
        """Remembers that a connection has output, to be flushed at the end of this round of the loop."""
        self._corked.append(connection)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes the output of every corked connection: one write each."""
        self._flush_scheduled = False
        corked, self._corked = self._corked, []
        for connection in corked:
            connection.flush()

    def drain(self) -> None:
        """Does what the outbox holds, then writes what came of it."""
        self._budget = FAN_OUT_SLICE
        self._flush_scheduled = True  # by us, below
        done = False
        try:
            done = self.outbox.drain(self._within_budget)
        finally:
            if not done:
                self.loop.call_soon(self.drain)
            self.flush()

    def fan_out(self, send: Callable[[Any, Any], None], recipients: tuple[Any, ...], message: Any) -> None:
        """Sends one message to many; past the slice the rest waits for the next round, ahead of everything else.

        Args:
            send: what to do with one recipient and the message.
            recipients: the snapshot of the recipients.
            message: the message.
        """
        now, later = recipients[:FAN_OUT_SLICE], recipients[FAN_OUT_SLICE:]
        for recipient in now:
            send(recipient, message)
        self._budget -= len(now)
        if later:
            self.outbox.put_first(self.fan_out, send, later, message)

    def schedule(self, item: Timed, when: float) -> None:
        """Puts an item on the timer wheel, to be called at `when` (seconds of the loop's clock)."""
        self.timers.schedule(item, when)
        self._turn_in_time()

    def _within_budget(self) -> bool:
        return self._budget > 0

    def _wake(self) -> None:
        if self._loop is None:
            return
        if self.is_here:
            self._loop.call_soon(self.drain)
        else:
            self._loop.call_soon_threadsafe(self.drain)

    def _arm_hand_off(self, delay: float) -> None:
        self.loop.call_later(delay, self.threads.check)

    def _turn_in_time(self) -> None:
        due = self.timers.next_due()
        if due is not None and due < self._turn_at:
            if self._turn is not None:
                self._turn.cancel()
            self._turn_at = due
            self._turn = self.loop.call_at(due, self._turn_wheel)

    def _turn_wheel(self) -> None:
        self._turn_at = float("inf")
        self._turn = None
        self.timers.turn(self.now())
        self._turn_in_time()
