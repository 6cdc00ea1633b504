"""The threads on which plain handlers run: one while handlers are short, more as soon as one blocks.

The interpreter lock makes idle helpers costly, so one thread, the runner, takes the jobs one after another.
When it has been inside one handler for a few milliseconds with others waiting, the next thread becomes the
runner; the old one finishes its handler and parks. While a handler runs that overran before, nobody is the
runner: the next job is handed to another thread at once, and without one the same thread goes on. Jobs are
taken in the order in which they came, since there is never more than one runner, and it changes only while it
is inside a handler.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any, Protocol

HAND_OFF_AFTER = 0.005
"""Seconds inside one handler after which the next thread takes over."""

SHORT_RUNS_TO_FORGET = 16
"""Short calls after which a handler that overran is forgiven one time."""

PARK_FOR = 60.0
"""Seconds without work after which a parked thread ends."""


class Pace(Protocol):
    """What is remembered of a handler between its calls.

    Attributes:
        overran: how many short calls it still owes until no overrun counts any more. Past what one overrun
            costs it is known to be slow: once happens to any handler whose thread loses the processor.
    """

    overran: int


class Source(Protocol):
    """Where jobs come from, with the count that back-pressure is made of.

    Attributes:
        started: how many of its jobs have started; only the handler threads write it.
    """

    started: int


Job = tuple[Any, ...]
"""A pace, a source, what to call, and what to call it with: flat, since many wait under load."""


class _Worker:
    """One thread: whether it is inside a job, how many it has ended, and what wakes it when it is parked."""

    __slots__ = ("busy", "ended", "wake")

    def __init__(self) -> None:
        self.busy = False
        self.ended = 0
        self.wake = threading.Lock()  # held; released once for each time it parks
        self.wake.acquire()


class HandlerThreads:
    """A bounded set of threads that start jobs in order.

    Args:
        bound: threads at most.
        arm: asks the loop to call `check` after that many seconds; it is called in the loop's thread.
        failed: told of an exception that a job lets out, which is a defect of ours.
        soon: asks the loop for a call at the end of this round, in the loop's thread.
        full: told when a job waits and no further thread may be started.
        clock: tells the time in seconds, by which handlers count as short.
        park_for: seconds without work after which a thread ends.
    """

    def __init__(
        self,
        bound: int,
        arm: Callable[[float], None],
        failed: Callable[[BaseException], None],
        soon: Callable[[Callable[[], None]], object],
        *,
        full: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic,
        park_for: float = PARK_FOR,
    ) -> None:
        self._full = full
        self._bound = bound
        self._arm = arm
        self._failed = failed
        self._soon = soon
        self._round: list[Job] = []
        self._clock = clock
        self._park_for = park_for
        self._armed = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._parked: list[_Worker] = []
        self._runner: _Worker | None = None
        self._numbers = itertools.count(1)
        self._submitted = 0
        self._started = 0
        self._ended = 0  # by threads that are gone
        self._started_when_armed = 0
        self._stopping = False

    @property
    def threads(self) -> int:
        """Threads that exist."""
        return len(self._workers)

    @property
    def active(self) -> bool:
        """Whether a job waits or is under way."""
        with self._lock:
            if self._stopping:
                return any(worker.busy for worker in self._workers)
            return self._submitted != self._ended + sum(worker.ended for worker in self._workers)

    def submit(self, *job: Any) -> None:
        """Adds a job behind all others; only the loop's thread does this.

        It starts when the loop has read what there is to read: a thread that is woken while the loop is in
        the middle of that takes the interpreter lock from it between two sockets.

        Args:
            *job: the pace of its handler, its source, what to call on a handler thread (it is not to raise),
                and what to call it with.
        """
        self._submitted += 1
        jobs = self._round
        jobs.append(job)
        if len(jobs) == 1:
            self._soon(self._start_round)

    def _start_round(self) -> None:
        """Hands over what was submitted in this round of the loop."""
        jobs, self._round = self._round, []
        put = self._jobs.put
        for job in jobs:
            put(job)
        if self._runner is None:
            with self._lock:
                if self._runner is None:  # else a thread that had nothing else to do took over meanwhile
                    self._hand_off()
        if not self._armed:
            self._watch()

    def check(self) -> None:
        """Hands over if the runner is still inside the job that it was in when the timer was armed."""
        self._armed = False
        if self._stopping or not self._jobs.qsize():
            return
        with self._lock:
            runner = self._runner
            if runner is None:
                self._hand_off()
            elif runner.busy and self._started == self._started_when_armed:
                self._replace(runner)
        self._watch()

    def stop(self) -> None:
        """Ends the threads that are idle at once, and the others after their job; jobs that wait are dropped.

        It is final. A second call changes nothing.
        """
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
        """Makes a thread that is free the runner, or nobody if there is none; the lock is held."""
        self._runner = None
        if self._stopping:
            return
        if self._parked:
            self._runner = self._parked.pop()
            self._runner.wake.release()
        elif len(self._workers) < self._bound:
            self._start_worker()
        else:
            self._full()

    def _replace(self, runner: _Worker) -> None:
        """Hands over, unless the runner ends its job in this very moment; the lock is held.

        At the end of a job it takes no lock: it says that it is not busy, and then looks whether it is the
        runner; here it is the other way round. So it takes no further job while somebody else has the part.
        """
        self._runner = None
        if runner.busy:
            self._hand_off()
        else:
            self._runner = runner

    def _start_worker(self) -> None:
        worker = _Worker()
        name = f"carboy-handler-{next(self._numbers)}"
        self._runner = worker
        self._workers.add(worker)
        try:
            threading.Thread(target=self._work, args=(worker,), name=name, daemon=True).start()
        except RuntimeError:
            # The system has none to give, or the interpreter is about to end (Python 3.12). The threads that
            # there are go on, and `check` tries again.
            self._runner = None
            self._workers.discard(worker)
            self._full()

    def _work(self, me: _Worker) -> None:
        while not self._stopping:
            while self._runner is me:
                job = self._jobs.get()
                if job is None or self._stopping:
                    self._jobs.put(None)  # for the next that looks
                    break
                self._run(me, job)
                del job  # an idle thread keeps no client alive
            else:
                if self._take_or_park(me):
                    continue
            break
        with self._lock:
            self._retire(me)

    def _retire(self, me: _Worker) -> None:
        if me in self._workers:
            self._workers.discard(me)
            self._ended += me.ended

    def _take_or_park(self, me: _Worker) -> bool:
        """Takes the runner's part if nobody has it, else waits for it.

        Returns:
            False if the thread is to end.
        """
        with self._lock:
            if me.busy:
                me.busy = False  # not before: who sees all idle finds a runner, or this thread free
                me.ended += 1
            if self._stopping:
                return False
            if self._runner is None or self._runner is me:
                self._runner = me
                return True
            self._parked.append(me)
        if me.wake.acquire(timeout=self._park_for):
            return True
        with self._lock:
            if me in self._parked:
                self._parked.remove(me)
                self._retire(me)
                return False
        return me.wake.acquire()  # it was made the runner in the very moment in which the time was up

    def _run(self, me: _Worker, job: Job) -> None:
        pace: Pace = job[0]
        source: Source = job[1]
        # Without the lock, which costs as much as all of this: while a thread is the runner and not busy,
        # nobody takes that part from it, so nobody else counts.
        self._started += 1
        source.started += 1
        me.busy = True
        if pace.overran > SHORT_RUNS_TO_FORGET:
            self._stand_back(me)
        clock = self._clock
        began = clock()
        try:
            job[2](*job[3:])
        except BaseException as error:  # noqa: BLE001 (the thread must go on)
            self._failed(error)
        if clock() - began > HAND_OFF_AFTER:
            pace.overran = min(pace.overran, SHORT_RUNS_TO_FORGET) + SHORT_RUNS_TO_FORGET
        elif pace.overran:
            pace.overran -= 1
        if self._runner is me:
            me.busy = False
            me.ended += 1

    def _stand_back(self, me: _Worker) -> None:
        """Lets another thread take over before a job that is known to be slow."""
        with self._lock:
            if self._runner is me:
                self._runner = None  # before the look at the queue: what comes after it finds no runner
                if self._jobs.qsize():
                    self._hand_off()
