"""The server behind any WSGI server: polling everywhere, websockets where the server shows its socket.

Neither holds a thread while it is idle: the socket moves to the hub and the thread goes back to work. Where a socket cannot be
moved (TLS) a thread carries its bytes; where none is shown only polling is offered, and a poll returns after a while.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from carboy.engineio.requests import is_websocket_upgrade
from carboy.exceptions import LimitError, RequestError
from carboy.front.background import BackgroundHub
from carboy.front.handover import can_move, find_socket, take_socket
from carboy.front.http_text import response_head, status_line
from carboy.front.relay import relay
from carboy.runtime.connection import Connection
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint, Reply
from carboy.transports.websocket import QuietLogger, take_over

StartResponse = Callable[..., Any]

HOLD_BEFORE_MOVE = 0.02
"""Seconds that a poll waits on its thread before its socket moves: most answers to a client's own events come within."""

POLL_TIME = 5.0
"""Seconds after which a poll that holds a thread returns with nothing, and the client polls again."""


class WSGIFront:
    """Answers what a WSGI server brings.

    Args:
        server: the server.
        max_relays: threads that carry the bytes of websockets over TLS, at most.
        shutdown_timeout: seconds that handlers are given when the process ends.
    """

    def __init__(self, server: Server, max_relays: int = 64, shutdown_timeout: float = 10.0) -> None:
        self._server = server
        self._endpoint = Endpoint(server)
        self._logger = QuietLogger(server.log)
        self._relays = threading.BoundedSemaphore(max_relays)
        self._max_relays = max_relays
        self.hub = BackgroundHub(server, shutdown_timeout)

    def handles(self, environ: dict[str, Any]) -> bool:
        """Returns whether a request is below the server's path."""
        path: str = environ.get("PATH_INFO", "")
        return path.startswith(self._server.config.path)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request (PEP 3333)."""
        shown = find_socket(environ)
        if is_websocket_upgrade(environ):
            return self._websocket(environ, start_response, shown)
        body = _read_body(environ, self._server.config.max_http_buffer_size)
        exchange = _Exchange(body)
        serving = self._endpoint.serve(environ, exchange, websockets=shown is not None)
        if environ["REQUEST_METHOD"] != "GET":
            return _reply(self.hub.run(serving), start_response)
        movable = can_move(shown)
        task, done = self.hub.run(_begin(serving, HOLD_BEFORE_MOVE if movable else POLL_TIME))
        if done:
            return _reply(task.result(), start_response)
        if movable and shown is not None:
            ours = take_socket(shown, environ)
            self.hub.call(self._finish_elsewhere, task, exchange, ours)
            return _nothing("200 OK", start_response)
        self.hub.call(exchange.returned.set)
        return _reply(self.hub.run(_end(task)), start_response)

    # Polls that wait

    def _finish_elsewhere(self, task: asyncio.Task[Reply], exchange: _Exchange, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accept = loop.connect_accepted_socket(lambda: _PollProtocol(task, exchange), ours)
        self._server.hub.spawn(accept)

    # Websockets

    def _websocket(
        self, environ: dict[str, Any], start_response: StartResponse, shown: socket.socket | None
    ) -> Iterable[bytes]:
        try:
            if shown is None:
                self._server.log.rarely(
                    "no socket",
                    "This WSGI server does not show its sockets, so clients stay on polling; gunicorn with gthread workers"
                    " shows them",
                )
                raise RequestError(0, "Transport unknown")
            key, connection = self.hub.run(self._endpoint.admit(environ))
        except RequestError as error:
            return _reply(self._endpoint.refusal(environ, error), start_response)
        if can_move(shown):
            self.hub.call(self._adopt, take_socket(shown, environ), environ, key, connection)
        elif not self._carry(shown, environ, key, connection):
            busy = RequestError(3, "Too many websockets over TLS", 503)
            return _reply(self._endpoint.refusal(environ, busy), start_response)
        return _nothing("101 Switching Protocols", start_response)

    def _adopt(
        self, ours: socket.socket, environ: dict[str, Any], key: str, connection: Connection | None
    ) -> None:
        websocket = self._endpoint.websocket(environ, connection)
        max_bytes = self._server.config.max_http_buffer_size

        def opened(transport: Any) -> None:
            take_over(transport, key, websocket, self._logger, max_bytes)

        loop = asyncio.get_running_loop()
        self._server.hub.spawn(loop.connect_accepted_socket(lambda: _Opening(opened), ours))

    def _carry(
        self, shown: socket.socket, environ: dict[str, Any], key: str, connection: Connection | None
    ) -> bool:
        """Carries the bytes of a TLS socket on this thread until it is closed; False if too many do so."""
        if not self._relays.acquire(blocking=False):
            return False
        self._server.log.rarely(
            "tls",
            "A websocket over TLS holds a thread of the WSGI server (%d at most); let a proxy such as nginx speak TLS",
            self._max_relays,
        )
        try:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            self.hub.call(self._adopt, ours, environ, key, connection)
            relay(shown, theirs)
        finally:
            self._relays.release()
        return True


class _Exchange:
    """A request whose body was read on its thread.

    Attributes:
        returned: set when the request is to return with what there is.
    """

    def __init__(self, body: bytes | LimitError) -> None:
        self._body = body
        self.returned = asyncio.Event()

    async def read(self, limit: int) -> bytes:
        if isinstance(self._body, LimitError):
            raise self._body
        return self._body

    async def gone(self) -> None:
        await self.returned.wait()


class _Opening(asyncio.Protocol):
    """A socket on its way to the fast lane."""

    def __init__(self, opened: Callable[[Any], None]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # In the next round of the loop: the transport is not complete before this returns.
        asyncio.get_running_loop().call_soon(self._opened, transport)


class _PollProtocol(asyncio.Protocol):
    """A poll that waits on the hub; its socket closes with the answer."""

    def __init__(self, task: asyncio.Task[Reply], exchange: _Exchange) -> None:
        self._task = task
        self._exchange = exchange

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._task.add_done_callback(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._exchange.returned.set()

    def _answer(self, task: asyncio.Task[Reply]) -> None:
        if not self._transport.is_closing():
            reply = task.result()
            self._transport.write(response_head(reply) + reply.body)
            self._transport.close()


async def _begin(serving: Any, patience: float) -> tuple[asyncio.Task[Reply], bool]:
    task: asyncio.Task[Reply] = asyncio.ensure_future(serving)
    done, _ = await asyncio.wait((task,), timeout=patience)
    return task, bool(done)


async def _end(task: asyncio.Task[Reply]) -> Reply:
    return await task


def _read_body(environ: dict[str, Any], limit: int) -> bytes | LimitError:
    length = environ.get("CONTENT_LENGTH", "")
    if length.isdigit():
        if int(length) > limit:
            return LimitError(f"a body of {length} bytes is longer than {limit}", "max_http_buffer_size")
        body: bytes = environ["wsgi.input"].read(int(length))
        return body
    if environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(limit + 1)
        if len(body) > limit:
            return LimitError(f"a body is longer than {limit} bytes", "max_http_buffer_size")
        return body
    return b""


def _reply(reply: Reply, start_response: StartResponse) -> Iterable[bytes]:
    start_response(status_line(reply.status), [*reply.headers, ("Content-Length", str(len(reply.body)))])
    return [reply.body]


def _nothing(status: str, start_response: StartResponse) -> Iterable[bytes]:
    """Ends a request whose socket is gone: the server writes this into the stand-in and closes that."""
    start_response(status, [("Upgrade", "websocket"), ("Connection", "close")])
    return []
