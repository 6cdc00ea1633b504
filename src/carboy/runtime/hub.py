"""The hub: the one event loop of a process, and what runs around it.

It is the embedded server's own loop, or a background thread's. All sockets, sessions and timers live on it;
what other threads want of it goes through the outbox. It knows no protocol.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from carboy.runtime.handler_tasks import HandlerTasks
from carboy.runtime.handler_threads import HandlerThreads
from carboy.runtime.log import Log
from carboy.runtime.outbox import Outbox
from carboy.runtime.timer_wheel import Timed, TimerWheel

FAN_OUT_SLICE = 4096
"""Sends after which a fan-out gives the loop back, so that heartbeats and reads run in between."""

LET_THREADS_RUN = 0.001
"""Seconds for which handler threads have the interpreter lock before they are judged."""


class Corked(Protocol):
    """Something with output that leaves in one write at the end of a round."""

    def flush(self) -> None:
        """Writes what has gathered."""


class Hub:
    """A loop with its outbox, timers and handler threads.

    Args:
        handler_threads: threads for plain handlers, at most.
        log: where defects of ours are told.

    Attributes:
        outbox: what other threads want done on the loop.
        timers: the timer wheel.
        threads: the handler threads; other ones on each loop.
        handler_tasks: what starts coroutine functions; another one on each loop.
        tasks: all tasks that are under way, those of coroutine functions among them.
    """

    timers: TimerWheel
    threads: HandlerThreads
    handler_tasks: HandlerTasks
    tasks: set[asyncio.Task[Any]]

    def __init__(self, handler_threads: int, log: Log) -> None:
        self._max_threads = handler_threads
        self._log = log
        self.outbox = Outbox(self._wake, self._failed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self._reset()

    def _reset(self) -> None:
        self.timers = TimerWheel(self._failed)
        self.threads = HandlerThreads(
            self._max_threads, self._arm_hand_off, self._failed, self._soon, full=self._tell_threads_full
        )
        self.handler_tasks = HandlerTasks(self.spawn)
        self.tasks = set()
        self._corked: list[Corked] = []
        self._flush_scheduled = False
        self._rest_scheduled = False
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
        """Runs the hub on a loop, from the loop's own thread, with nothing left of a loop before.

        Only what waits in the outbox stays: it may be the end of a handler that outlived the old loop.
        """
        self._reset()
        self._loop = loop
        self._thread = threading.get_ident()
        loop.call_soon(self.drain)  # in any case: a wake-up may have been lost with the old loop

    def detach(self) -> None:
        """Forgets the loop, which has ended."""
        self.threads.stop()
        self._loop = None
        self._thread = None

    def abandon(self) -> None:
        """Forgets the loop in a process that was forked while it ran; its threads are the other process's."""
        self._reset()
        self._loop = None
        self._thread = None

    def now(self) -> float:
        """Returns the loop's clock in seconds."""
        return self.loop.time()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
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
            try:
                connection.flush()
            except Exception as error:  # noqa: BLE001, PERF203 (a defect must not cost the others)
                self._failed(error)

    def drain(self) -> None:
        """Does what the outbox holds, then writes what came of it."""
        if not self._rest_scheduled:
            self._drain()

    def _drain_rest(self) -> None:
        self._rest_scheduled = False
        self._drain()

    def _drain(self) -> None:
        self._flush_scheduled = True  # by us, below
        done = False
        try:
            done = self.outbox.drain(FAN_OUT_SLICE)
        finally:
            if not done:
                self._rest_scheduled = True  # this once, however often threads wake the loop meanwhile
                self.loop.call_soon(self._drain_rest)
            self.flush()

    def fan_out(
        self, send: Callable[[Any, Any], None], recipients: tuple[Any, ...], message: Any, begin: int = 0
    ) -> None:
        """Sends one message to many; past the slice the rest waits for the next round, ahead of all else.

        Args:
            send: what to do with one recipient and the message.
            recipients: the snapshot of the recipients.
            message: the message.
            begin: how many of them have it already.
        """
        end = begin + FAN_OUT_SLICE
        now = recipients[begin:end]
        for recipient in now:
            try:
                send(recipient, message)
            except Exception as error:  # noqa: BLE001, PERF203 (a defect must not cost the others)
                self._failed(error)
        self.outbox.spend(len(now))
        if end < len(recipients):
            self.outbox.put_first(self.fan_out, send, recipients, message, end)

    def schedule(self, item: Timed, when: float) -> None:
        """Puts an item on the timer wheel, to be called at `when` (seconds of the loop's clock)."""
        self.timers.schedule(item, when)
        self._turn_in_time()

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return  # `attach` will see to it
        try:  # not contextlib.suppress, which shows on the path of an event under light load
            if threading.get_ident() == self._thread:
                loop.call_soon(self.drain)
            else:
                loop.call_soon_threadsafe(self.drain)
        except RuntimeError:
            pass  # the loop was closed a moment ago

    def _arm_hand_off(self, delay: float) -> None:
        # In two steps: where the loop was busy until now, a thread with a short handler waits for the
        # interpreter lock, and gets it in between.
        self.loop.call_later(delay, self.loop.call_later, LET_THREADS_RUN, self.threads.check)

    def _soon(self, function: Callable[[], None]) -> None:
        self.loop.call_soon(function)

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

    def _tell_threads_full(self) -> None:
        if self._max_threads > 1:  # one alone is meant to make events wait
            self._log.rarely(
                "handler_threads",
                "Events wait: the %d handler threads are busy, and no further one can be started"
                " (option handler_threads)",
                self.threads.threads,
            )

    def _failed(self, error: BaseException) -> None:
        self._log.exception("A defect of the server, which goes on", error=error)
