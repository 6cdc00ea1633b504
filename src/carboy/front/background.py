"""The hub of a process whose server is not ours: one thread with a loop, started with the first request, never before a fork."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from carboy.runtime.draining import drain
from carboy.runtime.server import Server

Result = TypeVar("Result")


class BackgroundHub:
    """Runs the hub of a server in a thread of its own.

    Args:
        server: the server.
        shutdown_timeout: seconds that handlers are given when the process ends.
    """

    def __init__(self, server: Server, shutdown_timeout: float = 10.0) -> None:
        self._server = server
        self._shutdown_timeout = shutdown_timeout
        self._lock = threading.Lock()
        self._process: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> asyncio.AbstractEventLoop:
        """Starts the hub unless it runs in this process already.

        Returns:
            Its loop.
        """
        if self._process == os.getpid():
            return self._server.hub.loop
        with self._lock:
            if self._process != os.getpid():
                self._start()
        return self._server.hub.loop

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine on the hub and waits for it, in any thread but the hub's own."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.start()).result()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has the hub call a function; does not wait."""
        self.start().call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Drains the server and ends the thread; nothing happens in a process that has not started it."""
        with self._lock:
            thread = self._thread
            if thread is None or self._process != os.getpid():
                return
            self._thread, self._process = None, None
            loop = self._server.hub.loop
            asyncio.run_coroutine_threadsafe(drain(self._server, self._shutdown_timeout), loop).result()
            loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

    def _start(self) -> None:
        if self._process is not None:
            self._server.log.warning(
                "This process was forked from one that serves Socket.IO already (process %d), whose clients stay there;"
                " it begins anew. Fork before the first request, as gunicorn does",
                self._process,
            )
            self._server.forget_all()
        started = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(started,), name="carboy-hub", daemon=True)
        self._thread.start()
        started.wait()
        self._process = os.getpid()
        atexit.register(self.stop)

    def _work(self, started: threading.Event) -> None:
        loop = _new_event_loop()
        asyncio.set_event_loop(loop)
        self._server.hub.attach(loop)
        loop.call_soon(started.set)
        try:
            loop.run_forever()
        finally:
            self._server.hub.detach()
            loop.close()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
