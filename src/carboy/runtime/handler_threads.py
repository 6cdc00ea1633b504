"""The threads on which plain handlers run: one at a time while handlers are short, more as soon as one blocks.

The interpreter lock makes idle helpers costly, so one thread, the runner, takes the jobs one after another. When it has been
inside one handler for a few milliseconds with others waiting, the next thread becomes the runner; the old one finishes its
handler and parks. A handler that overran once is handed off at once on its later calls, until it was short a number of times.
Jobs therefore start in the order in which they came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any, Protocol

HAND_OFF_AFTER = 0.005
"""Seconds inside one handler after which the next thread takes over."""

SHORT_RUNS_TO_FORGET = 16
"""Short calls after which a handler that overran once counts as short again."""

PARK_FOR = 60.0
"""Seconds without work after which a parked thread ends."""


class Pace(Protocol):
    """What is remembered of a handler between its calls.

    Attributes:
        overran: how many short calls it still owes to count as short; 0 for a short handler.
    """

    overran: int


class Source(Protocol):
    """Where jobs come from, with the count that back-pressure is made of.

    Attributes:
        started: how many of its jobs have started; only the handler threads write it.
    """

    started: int


Job = tuple[Pace, Source, Callable[..., None], tuple[Any, ...]]


class _Worker:
    """One thread: whether it is inside a job, and what wakes it when it is parked."""

    __slots__ = ("busy", "wake")

    def __init__(self) -> None:
        self.busy = False
        self.wake = threading.Semaphore(0)


class HandlerThreads:
    """A bounded set of threads that start jobs in order.

    Args:
        bound: threads at most.
        arm: asks the loop to call `check` after that many seconds; it is called in the loop's thread.
    """

    def __init__(self, bound: int, arm: Callable[[float], None]) -> None:
        self._bound = bound
        self._arm = arm
        self._armed = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._parked: list[_Worker] = []
        self._runner: _Worker | None = None
        self._started = 0
        self._started_when_armed = 0
        self._stopping = False

    @property
    def threads(self) -> int:
        """Threads that exist."""
        return len(self._workers)

    @property
    def active(self) -> bool:
        """Whether a job waits or is under way."""
        return self._jobs.qsize() > 0 or any(worker.busy for worker in tuple(self._workers))

    def submit(self, pace: Pace, source: Source, function: Callable[..., None], *arguments: Any) -> None:
        """Adds a job behind all others; only the loop's thread does this.

        Args:
            pace: the handler's memory.
            source: whose job it is.
            function: what to call on a handler thread; it must not raise.
            *arguments: what to call it with.
        """
        self._jobs.put((pace, source, function, arguments))
        if self._runner is None:
            with self._lock:
                self._hand_off()
        if not self._armed:
            self._watch()

    def count(self, source: Source) -> None:
        """Counts a job of a source as started that no thread of these runs."""
        with self._lock:
            source.started += 1

    def check(self) -> None:
        """Hands over if the runner is still inside the job that it was in when the timer was armed."""
        self._armed = False
        if self._jobs.qsize():
            if self._started == self._started_when_armed:
                with self._lock:
                    self._hand_off()
            self._watch()

    def stop(self) -> None:
        """Ends the threads that are idle at once, and the others after their job; jobs that wait are dropped."""
        with self._lock:
            self._stopping = True
            parked, self._parked = self._parked, []
        for worker in parked:
            worker.wake.release()
        self._jobs.put(None)

    def _watch(self) -> None:
        self._armed = True
        self._started_when_armed = self._started
        self._arm(HAND_OFF_AFTER)

    def _hand_off(self) -> None:
        """Makes a thread that is free the runner, or nobody if the bound is reached; the lock is held."""
        if self._parked:
            self._runner = self._parked.pop()
            self._runner.wake.release()
        elif len(self._workers) < self._bound:
            self._runner = worker = _Worker()
            self._workers.add(worker)
            name = f"carboy-handler-{len(self._workers)}"
            threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        else:
            self._runner = None

    def _work(self, me: _Worker) -> None:
        while True:
            while self._runner is me:
                job = self._jobs.get()
                if job is None:
                    self._jobs.put(None)  # for the next that looks
                    return
                self._run(me, job)
            if not self._take_or_park(me):
                return

    def _take_or_park(self, me: _Worker) -> bool:
        """Takes the runner's part if nobody has it, else waits for it.

        Returns:
            False if the thread is to end.
        """
        with self._lock:
            if self._stopping:
                return False
            if self._runner is None:
                self._runner = me
                return True
            self._parked.append(me)
        woken = me.wake.acquire(timeout=PARK_FOR)
        with self._lock:
            if not woken and me in self._parked:
                self._parked.remove(me)
                self._workers.discard(me)
                return False
        return not self._stopping

    def _run(self, me: _Worker, job: Job) -> None:
        pace, source, function, arguments = job
        me.busy = True
        with self._lock:  # two threads may be here at once, in the moment of a hand-off
            self._started += 1
            source.started += 1
            if pace.overran and self._runner is me:
                self._hand_off()
        began = monotonic()
        function(*arguments)
        if monotonic() - began > HAND_OFF_AFTER:
            pace.overran = SHORT_RUNS_TO_FORGET
        elif pace.overran:
            pace.overran -= 1
        me.busy = False
