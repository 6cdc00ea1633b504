"""The websocket lane for any ASGI server that is not ours: it frames, and we queue what it is slow to take.

It has the port of the fast lane, so nothing above knows which of the two carries a session. Everything
happens in the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from carboy.engineio.close_codes import (
    ABNORMAL_CLOSURE,
    INVALID_TEXT,
    MESSAGE_TOO_BIG,
    NORMAL_CLOSURE,
    PROTOCOL_ERROR,
)
from carboy.runtime.message import Message
from carboy.transports.websocket import (
    CLOSE_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    Carried,
    Receiver,
)

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024
"""Bytes in the queue from which the connection counts its output, and at which it stops, as in asyncio."""

FAILURES = frozenset({PROTOCOL_ERROR, INVALID_TEXT, MESSAGE_TOO_BIG})


class ASGIWebSocket:
    """One websocket of an ASGI server.

    Args:
        max_bytes: bytes of one message.
        opened: called once with this object when messages may be sent; returns the connection.

    Attributes:
        stalled: whether output piles up, since the server does not take it.
    """

    __slots__ = (
        "_close_code",
        "_connection",
        "_max_bytes",
        "_opened",
        "_queue",
        "_queued",
        "_readable",
        "_receiver",
        "_tasks",
        "_timer",
        "_wake",
        "stalled",
    )

    name = "websocket"

    def __init__(self, max_bytes: int, opened: Callable[[ASGIWebSocket], Carried]) -> None:
        self._max_bytes = max_bytes
        self._opened = opened
        self._connection: Carried | None = None
        self._queue: deque[tuple[str, Any, int]] = deque()
        self._queued = 0
        self.stalled = False
        self._close_code: int | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()

    def bind(self, receiver: Receiver) -> None:
        """Gives everything that comes from here on to a receiver."""
        self._receiver = receiver

    async def run(self, receive: Receive, send: Send) -> None:
        """Accepts the handshake and carries messages until either side has closed.

        Args:
            receive: the channel of the scope, from which `websocket.connect` was taken.
            send: the other channel.
        """
        await send({"type": "websocket.accept"})
        self._connection = self._opened(self)
        reader = asyncio.ensure_future(self._read(receive))
        writer = asyncio.ensure_future(self._write(send))
        reader.add_done_callback(lambda _: writer.cancel())
        self._tasks = (reader, writer)
        try:
            await asyncio.wait(self._tasks)
        finally:
            self._cut()
            outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
            self._close_code = self._close_code or ABNORMAL_CLOSURE
            if self._timer is not None:
                self._timer.cancel()
            self._lose(TRANSPORT_CLOSE)
        _raise_unexpected(outcomes)

    # The port `Transport`

    def write(self, messages: list[Message]) -> bool:
        """Queues messages for the server."""
        if self._close_code is not None:
            return True  # nobody reads it any more
        for message in messages:
            if message.text is not None:
                self._queue.append(("text", message.text.decode(), len(message.text)))
            for binary in message.binaries:
                # Daphne sends no empty binary message; as text in base64 every client takes it too.
                self._queue.append(("bytes", binary, len(binary)) if binary else ("text", "b", 0))
            self._queued += message.size
        self._wake.set()
        if self._queued > HIGH_WATER and not self.stalled:
            self.stalled = True
            if self._carries:
                self._connection.stall()  # type: ignore[union-attr]  # `_carries` has looked
        return True

    def backlog(self) -> int:
        """Returns the bytes that were written but not taken by the server."""
        return self._queued

    def close(self, code: int) -> None:
        """Closes behind what is queued; a peer that does not read it is cut off, now or after a moment."""
        if self._close_code is None:
            self._close_code = code
            self._readable.set()
            self._wake.set()
            if self.stalled:
                self._cut()
            else:
                self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._cut)

    def release(self) -> None:
        """Closes: the session is over."""
        self.close(NORMAL_CLOSURE)

    def hurry(self) -> None:
        """Does nothing: a websocket has no request that waits."""

    def pause_reading(self) -> None:
        """Reads nothing until `resume_reading`; the server's own buffer fills up, and then the peer waits."""
        self._readable.clear()

    def resume_reading(self) -> None:
        """Reads again."""
        self._readable.set()

    # The two directions

    async def _read(self, receive: Receive) -> None:
        while True:
            await self._readable.wait()
            event = await receive()
            if event["type"] == "websocket.disconnect":
                self._lose(TRANSPORT_ERROR if event.get("code") in FAILURES else TRANSPORT_CLOSE)
                return
            if self._close_code is None:
                self._take(event)

    def _take(self, event: Event) -> None:
        data = event.get("bytes")
        if data is not None:
            if len(data) <= self._max_bytes:
                self._receiver.receive_binary(data)
            else:
                self._fail(MESSAGE_TOO_BIG)
            return
        try:
            text = (event.get("text") or "").encode()
        except UnicodeEncodeError:
            self._fail(INVALID_TEXT)
            return
        if not text:
            self._fail(PROTOCOL_ERROR)
        elif len(text) > self._max_bytes:
            self._fail(MESSAGE_TOO_BIG)
        else:
            self._receiver.receive_text(text)

    async def _write(self, send: Send) -> None:
        try:
            while self._queue or self._close_code is None:
                if self._queue:
                    await self._write_one(send)
                else:
                    self._wake.clear()
                    await self._wake.wait()
            await send({"type": "websocket.close", "code": self._close_code})
        except (OSError, RuntimeError):  # what servers raise once the peer has gone
            self.close(ABNORMAL_CLOSURE)
            self._queue.clear()
            self._queued = 0

    async def _write_one(self, send: Send) -> None:
        kind, data, size = self._queue.popleft()
        await send({"type": "websocket.send", kind: data})
        self._queued -= size
        if self.stalled and self._queued <= LOW_WATER:
            self.stalled = False
            if self._carries:
                self._connection.unstall()  # type: ignore[union-attr]  # `_carries` has looked

    # The end

    def _cut(self) -> None:
        """Ends both directions; the server closes the connection when `run` returns."""
        for task in self._tasks:
            task.cancel()

    @property
    def _carries(self) -> bool:
        return self._connection is not None and self._connection.transport is self

    def _fail(self, code: int) -> None:
        self.close(code)
        self._lose(TRANSPORT_ERROR)

    def _lose(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.transport_lost(self, reason)


def _raise_unexpected(outcomes: Iterable[Any]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
