"""Whether a server may accept connections: not while the process is about to run out of file descriptors.

Without one, uvloop closes what comes without a word. So accepting stops a little earlier, and the kernel
keeps who comes meanwhile waiting. asyncio pauses by itself, but tells of each connection with a traceback.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from carboy.runtime.log import Log

if sys.platform != "win32":  # which has no such bound
    import resource

RESERVE = 32
"""File descriptors that are left for everything else: an eighth of all, but not more than this."""

LOOK_EVERY = 0.25
"""Seconds between two looks at whether some have become free."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Listen = Callable[[socket.socket], Awaitable[asyncio.AbstractServer]]


class Accepting:
    """Pauses and resumes the listening sockets of one server.

    Args:
        log: where a pause is told.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._servers: list[Any] = []
        self._listen: Listen | None = None
        self._waiting: list[socket.socket] = []
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def begin(self, servers: list[Any], listen: Listen) -> None:
        """Takes the servers that listen, unless their loop or their sockets cannot be paused.

        Args:
            servers: what listens; changed in place.
            listen: begins to listen on a socket.
        """
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.BaseEventLoop):
            loop.set_exception_handler(self._handle)
        elif all(isinstance(shown.getsockname(), tuple) for server in servers for shown in server.sockets):
            self._servers = servers  # a Unix socket may lose its name where it is closed
            self._listen = listen

    def accepted(self, descriptor: int) -> None:
        """Takes note of a new connection; the system always hands out the lowest free number."""
        if descriptor >= _bound() and self._task is None and self._listen is not None:
            self._tell(f"{descriptor} are open")
            self._waiting = [_duplicate(shown) for server in self._servers for shown in server.sockets]
            for server in self._servers:
                server.close()
            self._task = asyncio.get_running_loop().create_task(self._resume(self._listen))

    def end(self) -> None:
        """Accepts nothing any more."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()
        for listener in self._waiting:
            listener.close()

    async def _resume(self, listen: Listen) -> None:
        while not _some_are_free(self._waiting[0]):  # noqa: ASYNC110  # nobody tells of a file that is closed
            await asyncio.sleep(LOOK_EVERY)
        self._servers[:] = [await listen(listener) for listener in self._waiting]
        self._waiting = []
        self._task = None
        self._log.rarely("descriptors again", "Accepting connections again")

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tells in one line what asyncio tells with a traceback for each connection that it cannot accept."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            self._tell(os.strerror(error.errno))
        elif not (self._ended and "_start_serving" in context["message"]):  # it would go on accepting
            loop.default_exception_handler(context)

    def _tell(self, why: str) -> None:
        self._log.rarely(
            "descriptors",
            "Accepting no connections for now: this process may open no more files (ulimit -n): %s",
            why,
        )


def _bound() -> float:
    """Returns the number of a file descriptor from which there are too few."""
    if sys.platform == "win32":
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if limit == resource.RLIM_INFINITY else limit - min(RESERVE, limit // 8)


def _duplicate(shown: Any) -> socket.socket:
    """Returns a socket of its own for a listening socket, which loops show as something less."""
    return socket.socket(fileno=os.dup(shown.fileno()))


def _some_are_free(listener: socket.socket) -> bool:
    try:
        probe = listener.dup()
    except OSError:
        return False
    with probe:
        return probe.fileno() < _bound()
