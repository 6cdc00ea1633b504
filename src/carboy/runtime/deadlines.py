"""Timeouts of a process that may have no hub: one thread for all of them, which the first one starts.

What is due is called in that thread, without a lock. A forked process begins anew, with none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from carboy.runtime.forks import tell_of_forks
from carboy.runtime.log import Log
from carboy.runtime.timer_wheel import TimerWheel


class Deadlines:
    """Calls functions later.

    Args:
        log: where it is told that one has failed.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """Begins anew: a process that was just forked has no thread, and the lock may have been held."""
        self._started = False
        self._starting = threading.Lock()

    def _start(self) -> None:
        self._wheel = TimerWheel(self._failed)
        self._changed = threading.Condition(threading.Lock())
        self._due: list[Deadline] = []
        threading.Thread(target=self._run, name="carboy-deadlines", daemon=True).start()
        self._started = True

    def set(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Deadline:
        """Has a function called.

        Args:
            seconds: from now.
            function: the function, which must not wait.
            *arguments: its arguments.

        Returns:
            The deadline, which can be cancelled.
        """
        if not self._started:
            with self._starting:
                if not self._started:
                    self._start()
        deadline = Deadline(self, function, arguments)
        with self._changed:
            before = self._wheel.next_due()
            self._wheel.schedule(deadline, time.monotonic() + seconds)
            if before != self._wheel.next_due():
                self._changed.notify()
        return deadline

    def cancel(self, deadline: Deadline) -> None:
        """Forgets a deadline; one that is over is left alone."""
        if self._started:
            with self._changed:
                self._wheel.cancel(deadline)

    def reached(self, deadline: Deadline) -> None:
        """Takes note that a deadline is due (called by the wheel, with the lock held)."""
        self._due.append(deadline)

    def _run(self) -> None:
        while True:
            for deadline in self._wait():
                try:
                    deadline.function(*deadline.arguments)
                except Exception as error:  # noqa: BLE001, PERF203 (a defect must not cost the others)
                    self._failed(error)

    def _wait(self) -> list[Deadline]:
        """Waits until something is due, or may be, and returns it."""
        with self._changed:
            due = self._wheel.next_due()
            self._changed.wait(None if due is None else max(0.0, due - time.monotonic()))
            self._wheel.turn(time.monotonic())
            reached, self._due = self._due, []
            return reached

    def _failed(self, error: BaseException) -> None:
        self._log.exception("A defect of the server, which goes on", error=error)


class Deadline:
    """One call to come.

    Attributes:
        due_tick: where it is on the wheel, which alone writes it.
        function: what is called.
        arguments: its arguments.
    """

    __slots__ = ("_deadlines", "arguments", "due_tick", "function")

    def __init__(
        self, deadlines: Deadlines, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self._deadlines = deadlines
        self.due_tick = -1
        self.function = function
        self.arguments = arguments

    def cancel(self) -> None:
        """Is not called any more, unless it is already under way."""
        self._deadlines.cancel(self)

    def expire(self, now: float) -> None:
        """Is due (called by the timer wheel)."""
        self._deadlines.reached(self)
