"""The hub of a process whose server is not ours: a thread with a loop, which the first request starts.

Nothing may start earlier, since servers load the application and then fork.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError  # not the builtin before Python 3.11
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakMethod

from carboy.config import SHUTDOWN_TIMEOUT
from carboy.exceptions import BlockingCallError, RequestError
from carboy.front.green_threads import refuse_green_threads
from carboy.front.gunicorn_worker import call_at_exit
from carboy.front.uwsgi_options import refuse_uwsgi_without_threads
from carboy.runtime.forks import tell_of_forks
from carboy.runtime.server import Server

Result = TypeVar("Result")

GRACE = 5.0
"""Seconds that the end may take longer than it should, before the process ends anyway."""

START_TIME = 10.0
"""Seconds in which a thread must have started; where it has not, threads do not run at all."""


class BackgroundHub:
    """Runs the hub of a server in a thread of its own.

    Args:
        server: the server.
        finish: ends the sessions, on the hub's loop, when the process ends.
        shutdown_timeout: seconds that `finish` takes at most.
    """

    def __init__(
        self,
        server: Server,
        finish: Callable[[], Coroutine[Any, Any, None]],
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    ) -> None:
        self._server = server
        self._finish = finish
        self._shutdown_timeout = shutdown_timeout
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._forked_from = 0
        self._stopped = False
        tell_of_forks(self)

    def start(self) -> None:
        """Starts the hub unless it runs in this process already.

        Raises:
            ConfigurationError: if the process is one in which it would hang.
        """
        with self._lock:
            self._start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine on the hub and waits for it, in any thread but the hub's own.

        Raises:
            RequestError: if the process is about to end.
            BlockingCallError: in the hub's own thread, which would wait for itself.
        """
        try:
            self._refuse_here()
            with self._lock:
                future = asyncio.run_coroutine_threadsafe(coroutine, self._start())
        except BaseException:
            coroutine.close()
            raise
        try:
            return future.result()
        except CancelledError:
            raise _stopping() from None

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has the hub call a function; does not wait.

        Raises:
            RequestError: if the process is about to end.
        """
        with self._lock:
            self._start().call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Ends the sessions and the thread, for good; a process that has not started it is left alone."""
        with self._lock:
            loop, thread = self._loop, self._thread
            if loop is None or thread is None or self._stopped:
                return
            self._stopped = True
        ending = asyncio.run_coroutine_threadsafe(self._finish(), loop)
        with suppress(FutureTimeoutError, CancelledError):
            ending.result(self._shutdown_timeout + GRACE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(GRACE)

    def _refuse_here(self) -> None:
        if self._server.hub.is_here:
            raise BlockingCallError("a request to the Socket.IO server inside a coroutine on its own loop")

    def _start(self) -> asyncio.AbstractEventLoop:
        """Returns the loop, which runs; the lock is held."""
        if self._stopped:
            raise _stopping()
        if self._loop is None:
            refuse_green_threads()
            refuse_uwsgi_without_threads()
            if self._forked_from:
                self._server.log.warning(
                    "This process was forked from one that serves Socket.IO (process %d), whose clients stay"
                    " there; it begins anew. Let the server fork before the first request, as gunicorn does",
                    self._forked_from,
                )
            self._loop = self._start_thread()
            self._process = os.getpid()
            if not call_at_exit(self.stop):
                stop = WeakMethod(self.stop)
                atexit.register(lambda: _call(stop()))
        return self._loop

    def _start_thread(self) -> asyncio.AbstractEventLoop:
        loop = _new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(loop, started), name="carboy-hub", daemon=True
        )
        self._thread.start()
        if not started.wait(START_TIME):
            raise RuntimeError("The thread of Socket.IO does not run; does this server allow threads?")
        self._server.listen()
        return loop

    def _work(self, loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        self._server.hub.attach(loop)
        loop.call_soon(started.set)
        try:
            loop.run_forever()
        finally:
            cancel_all(loop)
            self._server.hub.detach()
            loop.close()

    def forked(self) -> None:
        """Begins anew in a child, without the other threads, which may have held locks."""
        self._lock = threading.Lock()
        if self._loop is not None:
            self._forked_from = self._process
            self._loop = self._thread = None
            self._stopped = False


def _call(stop: Callable[[], None] | None) -> None:
    if stop is not None:
        stop()


def _stopping() -> RequestError:
    return RequestError(3, "The server is stopping", 503)


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what still runs on a loop that has stopped, so that no thread waits for it."""
    loop.run_until_complete(asyncio.sleep(0))  # what was handed in at the last moment becomes a task
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 (some systems have none)
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
