"""A poll whose socket has left its WSGI server: it waits on the hub, and its answer closes the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from carboy.front.http_text import response_head
from carboy.transports.rewriting import Reply

TAKE_TIME = 60.0
"""Seconds that a peer is given to take its answer."""


class MovedPoll(asyncio.Protocol):
    """One poll.

    Args:
        task: what becomes its reply.
        left: called when the peer has gone before that.
    """

    def __init__(self, task: asyncio.Task[Reply], left: Callable[[], None]) -> None:
        self._task = task
        self._left = left
        self._transport: Any = None
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection."""
        self._transport = transport
        self._task.add_done_callback(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Takes note that the peer has gone, or that all is said."""
        if self._cut is not None:
            self._cut.cancel()
        if not self._task.done():
            self._left()

    def _answer(self, task: asyncio.Task[Reply]) -> None:
        if self._transport.is_closing():
            return
        reply = Reply(503) if task.cancelled() else task.result()
        self._transport.write(response_head(reply) + reply.body)
        self._transport.close()
        self._cut = asyncio.get_running_loop().call_later(TAKE_TIME, self._transport.abort)
