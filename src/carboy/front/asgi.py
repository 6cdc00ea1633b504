"""The server as an ASGI application: Socket.IO below its path, another application everywhere else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from carboy.config import SHUTDOWN_TIMEOUT
from carboy.exceptions import LimitError, RequestError
from carboy.front.environ import environ_of_scope, path_of_scope
from carboy.front.workers.group import WorkerGroup
from carboy.front.workers.masters import Master, master_of_asgi, master_of_lifespan
from carboy.runtime.draining import drain
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint
from carboy.transports.other_worker import OtherWorker
from carboy.transports.rewriting import Middleware, Reply

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

    async def gone(self) -> bool:
        """Returns True when the peer has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        return True


def _too_long(limit: int) -> LimitError:
    return LimitError(f"a body is longer than {limit} bytes", "max_http_buffer_size")


class ASGIApplication:
    """Socket.IO below the server's path, and another application for the rest.

    Args:
        server: the server.
        other: the other ASGI application; None answers 404.
        drain_timeout: seconds that handlers are given at the end of the lifespan.
        middleware: the WSGI middleware around the other application, for handshakes.
        alone: whether this process has no other workers to look for; or whoever serves it joins them.

    Attributes:
        endpoint: answers what is below the path.
        group: the other workers, if it belongs to several.
    """

    def __init__(
        self,
        server: Server,
        other: Application | None = None,
        drain_timeout: float = SHUTDOWN_TIMEOUT,
        middleware: Middleware | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self._server = server
        self._other = other
        self._drain_timeout = drain_timeout
        self._path = server.config.path
        self.endpoint = Endpoint(server, middleware)
        self.group = WorkerGroup(server, self.endpoint)
        self._settled = alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one scope (ASGI 3)."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if not self._settled:
            await self._join(master_of_asgi(scope, self.group.number))
            self._settled = True
        if kind in ("http", "websocket") and path_of_scope(scope).startswith(self._path):
            self._start()
            await (self._http if kind == "http" else self._websocket)(scope, receive, send)
        elif self._other is not None:
            await self._elsewhere(self._other, scope, receive, send)
        elif kind == "http":
            await _send_reply(Reply(404, [("Content-Type", "text/plain")], b"Not found"), send)
        elif kind == "websocket":
            await send({"type": "websocket.close"})

    async def _elsewhere(self, other: Application, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await other(scope, receive, send)
        except (asyncio.CancelledError, RuntimeError) as error:
            # The latter comes from the pool of threads when the interpreter has begun to end, as it does
            # below a reloader while this serves on.
            ends = (
                self.endpoint.closing if isinstance(error, asyncio.CancelledError) else _has_no_threads(error)
            )
            if not ends or scope["type"] != "http":
                raise
            with contextlib.suppress(Exception):  # it may have answered in part
                await _send_reply(
                    Reply(503, [("Content-Type", "text/plain")], b"The server is stopping"), send
                )

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = ASGIExchange(scope, receive)
        reply = await self.endpoint.serve(environ_of_scope(scope), exchange)
        if self.endpoint.closing and scope.get("http_version") in ("1.0", "1.1"):  # later ones forbid it
            reply = reply._replace(headers=[*reply.headers, ("Connection", "close")])
        await _send_reply(reply, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        environ = environ_of_scope(scope)
        try:
            session = await self.endpoint.admit_checked(environ)
            if isinstance(session, OtherWorker):
                await session.converse(environ, receive, send)
                return
        except RequestError as error:
            await _send_refusal(self.endpoint.refusal(environ, error), scope, send)
        else:
            await self.endpoint.asgi_websocket(environ, session).run(receive, send)

    async def _join(self, master: Master | None) -> None:
        """Joins the other workers of the same master: at the start, or with the first request."""
        if master is not None:
            self._start()
            await self.group.join(master)

    def _start(self) -> None:
        hub = self._server.hub
        if not hub.running or hub.loop.is_closed():
            hub.attach(asyncio.get_running_loop())
            if self._server.cluster is not None:
                self._server.cluster.start()  # here nothing may wait for it

    async def _stop(self) -> None:
        self.endpoint.closing = True
        self.group.hurry()
        await drain(self._server, self._drain_timeout)
        await self.group.leave()
        self._server.hub.detach()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts and stops with the server; the other application, if it wants to know, in between."""
        heard: list[str] = []
        answered = False

        async def hear() -> MutableMapping[str, Any]:
            message = await receive()
            heard.append(message["type"])
            if message["type"] == "lifespan.startup":
                self.endpoint.closing = False
                self._start()
                if not self._settled:
                    await self._join(master_of_lifespan(self.group.number))
                await asyncio.to_thread(self._server.listen)
            else:
                await self._stop()
            return message

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal answered
            answered = True
            await send(message)

        if self._other is not None:
            try:
                await self._other(scope, hear, answer)
            except Exception:
                if answered:
                    raise
            if answered:
                return
        if not heard:
            await hear()
        await send(
            {"type": "lifespan.startup.complete"}
        )  # the other application has no lifespan, but we have
        await hear()
        await send({"type": "lifespan.shutdown.complete"})


def _has_no_threads(error: RuntimeError) -> bool:
    return str(error).startswith("cannot schedule new futures after")


async def _send_reply(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    headers.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _send_refusal(reply: Reply, scope: Scope, send: Send) -> None:
    """Refuses a websocket with an answer where the server can send one; else the server makes it a 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    start = {"type": "websocket.http.response.start", "status": reply.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": reply.body})
