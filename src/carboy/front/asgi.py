"""The server as an ASGI application: Socket.IO below its path, another application everywhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from carboy.exceptions import LimitError
from carboy.front.environ import environ_of_scope
from carboy.runtime.draining import drain
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint, Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class ASGIExchange:
    """The HTTP request of an ASGI scope.

    Args:
        scope: the scope.
        receive: the scope's channel.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive

    async def read(self, limit: int) -> bytes:
        """Reads the body, as `endpoint.Exchange` says."""
        length = dict(self._scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise _too_long(limit)
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the peer has gone")
            body += message.get("body", b"")
            if len(body) > limit:
                raise _too_long(limit)
            if not message.get("more_body", False):
                return bytes(body)

    async def gone(self) -> None:
        """Returns when the peer has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _too_long(limit: int) -> LimitError:
    return LimitError(f"a body is longer than {limit} bytes", "max_http_buffer_size")


class ASGIApplication:
    """Socket.IO below the server's path, and another application for the rest.

    Args:
        server: the server.
        other: the other ASGI application; None answers 404.
        drain_timeout: seconds that handlers are given at the end of the lifespan.
    """

    def __init__(self, server: Server, other: Application | None = None, drain_timeout: float = 10.0) -> None:
        self._server = server
        self._other = other
        self._drain_timeout = drain_timeout
        self._path = server.config.path
        self.endpoint = Endpoint(server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one scope (ASGI 3)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and _path(scope).startswith(self._path):
            self._start()
            reply = await self.endpoint.serve(environ_of_scope(scope), ASGIExchange(scope, receive))
            await _send_reply(reply, send)
        elif self._other is not None:
            await self._other(scope, receive, send)
        elif scope["type"] == "http":
            await _send_reply(Reply(404, [("Content-Type", "text/plain")], b"Not found"), send)

    def _start(self) -> None:
        if not self._server.hub.running:
            self._server.hub.attach(asyncio.get_running_loop())

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await drain(self._server, self._drain_timeout)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    return path[len(root_path) :] if root_path and path.startswith(root_path) else path


async def _send_reply(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    headers.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
