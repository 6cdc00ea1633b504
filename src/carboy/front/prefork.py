"""Several processes of the embedded server, and the first one, which starts them and replaces those that end.

It serves nobody itself. Everything that it has to know comes through two pipes: signals through one, and
through the other which worker serves, and what it is asked to do.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Protocol

from carboy.front.workers.masters import Master
from carboy.runtime.log import Log

LOOK, STOP, INTERRUPT, RESTART = 0, -1, -2, -3
"""What a worker writes to the pipe, beside its process id when it serves, and what signals mean."""

MAX_FAILURES = 3
"""Workers in a row that end before they serve; then all is given up."""

SHORT_LIFE = 1.0
"""Seconds; the next worker waits for so long behind one that lived no longer."""

GRACE = 5.0
"""Seconds that the end of a worker may take longer than it should, before it is killed."""

LOOK_EVERY = 0.2
"""Seconds between two looks at the workers, where no signal tells of their end: outside the main thread."""

_NEWS = struct.Struct("<i")


def make_master() -> Master:
    """Returns what the workers of this process will have in common."""
    return Master(os.getpid(), secrets.token_hex(8))


class Site(Protocol):
    """What a worker runs: the embedded server."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until it is stopped."""

    def stop(self) -> None:
        """Begins to stop."""


class WorkerProcesses:
    """The workers of one `run`.

    Args:
        count: how many.
        sockets: where they listen.
        log: where the ends of workers are told.
        shutdown_timeout: seconds that a worker takes to end.
        started: called once in this process when all of them serve.
        leave: called in each worker that ends, when it serves no more.
    """

    def __init__(
        self,
        count: int,
        sockets: list[socket.socket],
        log: Log,
        shutdown_timeout: float,
        started: Callable[[], None],
        leave: Callable[[], None],
    ) -> None:
        self._count = count
        self._sockets = sockets
        self._log = log
        self._end_time = shutdown_timeout + GRACE
        self._started: Callable[[], None] | None = started
        self._leave = leave
        self._news, self._tell_end = os.pipe()
        self._signals, self._tell_signal = os.pipe()
        os.set_blocking(self._tell_signal, False)
        self._alive, self._hold = os.pipe()  # ends when this process does
        self._born: dict[int, float] = {}
        self._ready: set[int] = set()
        self._leaving: set[int] = set()
        self._outdated: deque[int] = deque()
        self._replacement: int | None = None
        self._due: list[float] = []
        self._failures = 0
        self._stopping = False
        self._in_main_thread = False

    def run(self, site: Site) -> None:
        """Serves until `stop`, SIGINT or SIGTERM; returns in this process alone.

        Args:
            site: what each worker runs.

        Raises:
            RuntimeError: if workers end before they serve.
        """
        self._site = site
        try:
            with self._handle_signals():
                self._due = [monotonic()] * self._count
                while not self._stopping:
                    self._start_due()
                    self._take_news()
                    self._reap()
                self._end_all()
        finally:
            for end in (
                self._news,
                self._tell_end,
                self._signals,
                self._tell_signal,
                self._alive,
                self._hold,
            ):
                os.close(end)
        if self._failures >= MAX_FAILURES:
            raise RuntimeError(f"{MAX_FAILURES} worker processes ended before they served; the log says why")

    def stop(self) -> None:
        """Begins to stop all workers, from any thread of any of them."""
        self.tell(STOP)

    def tell(self, news: int) -> None:
        """Tells the first process something; one that has ended is not told."""
        with suppress(OSError):
            os.write(self._tell_end, _NEWS.pack(news))

    def tell_ready(self, _: int) -> None:
        """Tells the first process that this worker serves."""
        self.tell(os.getpid())

    # Workers begin

    def _start_due(self) -> None:
        now = monotonic()
        due = [when for when in self._due if when <= now]
        self._due = [when for when in self._due if when > now]
        for _ in due:
            if self._fork() is None:
                self._due.append(now + SHORT_LIFE)

    def _fork(self) -> int | None:
        """Returns a new worker, or None if the system has no room for one."""
        everything = signal.valid_signals()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, everything)
        try:
            process = os.fork()
            if process == 0:
                self._work(before)
        except OSError as error:
            self._log.rarely("fork", "No worker process can be started: %s", error)
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._born[process] = monotonic()
        return process

    def _work(self, mask: set[int | signal.Signals]) -> None:
        """Serves as a worker, in its own process, and ends it."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)  # it is the first process's, or the application's there
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(self._hold)
            threading.Thread(target=self._watch, name="carboy-first", daemon=True).start()
            self._site.run(self._sockets)
            self._leave()
            status = 0
        except BaseException as error:  # noqa: BLE001  # it is told here, and goes nowhere
            self._log.exception("A worker process failed", error=error)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            os._exit(status)  # what follows `run`, and what the process does at its exit, the first one does

    def _watch(self) -> None:
        """Stops this worker when the first process has been killed."""
        os.read(self._alive, 1)
        self._site.stop()

    # News

    @contextmanager
    def _handle_signals(self) -> Iterator[None]:
        """Has the numbers of signals written to their pipe.

        Python itself calls handlers between bytecodes, so one whose signal comes right before a wait begins
        would be called when it has ended.
        """
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if not self._in_main_thread:
            yield
            return
        wakeup = signal.set_wakeup_fd(self._tell_signal, warn_on_full_buffer=False)
        before = {number: signal.signal(number, _ignore) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)

    def _take_news(self, wait: float | None = None) -> None:
        """Waits for news, for the start of a worker that is due, or for some seconds."""
        limits = [when - monotonic() for when in self._due]
        limits += [] if wait is None else [wait]
        limits += [] if self._in_main_thread else [LOOK_EVERY]
        timeout = max(0.0, min(limits)) if limits else None
        readable = select.select([self._news, self._signals], [], [], timeout)[0]
        if self._signals in readable:
            for number in os.read(self._signals, 64):
                self._take(_SIGNALS.get(number, LOOK))
        if self._news in readable:
            for (news,) in _NEWS.iter_unpack(os.read(self._news, _NEWS.size)):
                self._take(news)

    def _take(self, news: int) -> None:
        if news in (STOP, INTERRUPT):
            # Whoever interrupts a stop does not want to wait.
            again = self._stopping and news == INTERRUPT
            self._stopping = True
            self._kill_all(signal.SIGINT if again else signal.SIGTERM)
        elif news == RESTART:
            self._restart()
        elif news > 0:
            self._serves(news)

    def _serves(self, process: int) -> None:
        if process not in self._born:
            return  # it has ended meanwhile
        self._ready.add(process)
        self._failures = 0
        if self._started is not None and len(self._ready) == self._count:
            self._started()
            self._started = None
        if process == self._replacement and not self._stopping:
            self._replacement = None
            self._dismiss(self._outdated.popleft() if self._outdated else process)

    def _restart(self) -> None:
        """Begins to replace the workers, one after another, so that the address is served all the time.

        While one is under way another one changes nothing, since its workers are as new as any.
        """
        if not self._outdated and not self._leaving and self._replacement is None:
            self._outdated = deque(self._ready)
            self._replace_next()

    def _replace_next(self) -> None:
        if self._outdated and not self._stopping:
            self._replacement = self._fork()
            if self._replacement is None:
                self._end_restart("no new worker process can be started")

    def _end_restart(self, reason: str) -> None:
        self._log.warning("The restart ends here: %s", reason)
        self._outdated.clear()
        self._replacement = None

    def _dismiss(self, process: int) -> None:
        self._leaving.add(process)
        _kill(process, signal.SIGTERM)

    # Workers end

    def _reap(self) -> None:
        for process in tuple(self._born):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: int, status: int) -> None:
        lived = monotonic() - self._born.pop(process)
        served = process in self._ready
        self._ready.discard(process)
        if process in self._leaving:
            self._leaving.discard(process)
            self._replace_next()
        elif process == self._replacement:
            self._end_restart("a new worker process ended before it served")
        elif not self._stopping:
            self._ended_by_itself(process, status, served=served)
            self._due.append(monotonic() + (SHORT_LIFE if served and lived < SHORT_LIFE else 0))

    def _ended_by_itself(self, process: int, status: int, *, served: bool) -> None:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        self._log.warning("The worker process %d has ended (%s); another takes its place", process, how)
        if process in self._outdated:
            self._outdated.remove(process)
        self._failures += not served
        self._stopping = self._failures >= MAX_FAILURES

    def _end_all(self) -> None:
        self._due.clear()
        self._kill_all(signal.SIGTERM)
        deadline = monotonic() + self._end_time
        while self._born and monotonic() < deadline:
            self._reap()
            if self._born:
                self._take_news(deadline - monotonic())
        self._kill_all(signal.SIGKILL)
        for process in self._born:
            os.waitpid(process, 0)

    def _kill_all(self, number: signal.Signals) -> None:
        for process in self._born:
            _kill(process, number)


_SIGNALS: dict[int, int] = {signal.SIGTERM: STOP, signal.SIGINT: INTERRUPT}
if hasattr(signal, "SIGHUP"):  # everywhere but on Windows
    _SIGNALS |= {signal.SIGHUP: RESTART, signal.SIGCHLD: LOOK}


def _ignore(*_: object) -> None:
    """Handles a signal, which the pipe tells of."""


def _kill(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)
