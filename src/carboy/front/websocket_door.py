"""The embedded server's connections: uvicorn reads HTTP, the fast lane takes over at the upgrade.

Engine.IO requests take the fast path of `direct_requests.py`; this module knows uvicorn, and no answer.
"""

from __future__ import annotations

import functools
import sys
from asyncio import BaseTransport, Protocol
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from carboy.exceptions import RequestError
from carboy.front.direct_requests import DirectRequest, is_ordinary
from carboy.front.eager import EagerRun
from carboy.front.environ import Environ, environ_of_connection, environ_of_request, split_target
from carboy.front.http_text import response_head
from carboy.runtime.connection import Connection
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint
from carboy.transports.rewriting import Reply
from carboy.transports.websocket import QuietLogger, take_over

MAX_HEAD = 128 * 1024
"""Bytes of a request line and headers; the parser itself would take any number."""


class HTTPProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with a bound on heads; Engine.IO requests and upgrades are answered from here.

    Header names with an underscore are dropped: WSGI environments merge them with those that have a hyphen.

    Args:
        server: the server.
        endpoint: what answers Engine.IO requests.
        **given: what uvicorn gives to its protocol.
    """

    _chunk = b""
    _head_size: int | None = None  # of the head that is being read, in further chunks than its first
    cycle: Any  # uvicorn's, or a DirectRequest
    parser: Any
    _environ: Environ  # what all requests of the connection share

    def __init__(self, server: Server, endpoint: Endpoint, **given: Any) -> None:
        super().__init__(**given)
        self._server = server
        self._endpoint = endpoint
        self._path = server.config.path.encode()
        self._limit = server.config.max_http_buffer_size
        # These need a request as uvicorn keeps it.
        self._may_be_direct = not self.access_log and self.limit_concurrency is None

    def connection_made(self, transport: Any) -> None:
        """Takes the connection."""
        super().connection_made(transport)
        self._environ = environ_of_connection(
            scheme=self.scheme or "http", server=self.server, client=self.client, root_path=self.root_path
        )

    def data_received(self, data: bytes) -> None:
        """Takes bytes of requests."""
        within_head = self._head_size is not None
        self._chunk = data
        try:
            super().data_received(data)
        finally:
            self._chunk = b""
        if isinstance(self.cycle, DirectRequest):
            self.cycle.begin()  # its body has not come with its head
        if within_head and self._head_size is not None:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(response_head(Reply(431)))
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begins to count the head (called by the parser, as what follows)."""
        self._head_size = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header, unless a WSGI environment could not tell it from another."""
        if b"_" not in name:
            super().on_header(name, value.strip())

    def on_headers_complete(self) -> None:
        """Stops to count, and takes the fast path where there is one for the request."""
        self._head_size = None
        ours = self._may_be_direct and self.url.startswith(self._path)
        environ = self._request_environ() if ours else None
        if environ is None or not is_ordinary(environ, self._limit):
            super().on_headers_complete()
            return
        before, self.cycle = self.cycle, DirectRequest(self, self._endpoint, self._server.log, environ)
        if before is None or before.response_complete:
            self.cycle.take_turn()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, DirectRequest):  # it stood behind another one
            self.loop.call_soon(cycle.take_turn)  # not now: many of them would nest
        else:
            super()._start_asgi_task(cycle, app)

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over, with what the peer sent without waiting for the answer.

        uvicorn would write the head of the request anew, for its websocket class to parse.
        """
        upgrade = sys.exc_info()[1]  # uvicorn calls this where it handles the parser's exception
        early = self._chunk[upgrade.args[0] :] if isinstance(upgrade, httptools.HttpParserUpgrade) else b""
        self.connections.discard(self)
        door = WebSocketDoor(self._server, self._endpoint, self.server_state, early)
        door.connection_made(self.transport)
        self.transport.set_protocol(door)
        door.decide(self._request_environ())
        self.parser = None  # it refers back

    def _request_environ(self) -> Environ:
        path, query_string = split_target(self.url)
        return environ_of_request(
            self._environ,
            method=self.parser.get_method().decode("ascii"),
            path=path,
            query_string=query_string,
            headers=self.headers,
            http_version=self.parser.get_http_version(),
        )


class WebSocketDoor(Protocol):
    """One connection on its way from uvicorn to the fast lane.

    Args:
        server: the server.
        endpoint: checks handshakes.
        state: uvicorn's, with the connections and tasks that a stop waits for.
        early: what the peer sent behind its head, without waiting for the answer.

    Attributes:
        transport: the connection.
    """

    transport: Any = None

    def __init__(self, server: Server, endpoint: Endpoint, state: Any, early: bytes) -> None:
        self._server = server
        self._endpoint = endpoint
        self._state = state
        self._early = early
        self._decided = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Takes the connection."""
        self.transport = transport
        self._state.connections.add(self)

    def decide(self, environ: Environ) -> None:
        """Admits the handshake or refuses it; at once, unless a middleware or a callable has to be asked.

        Args:
            environ: its WSGI environment.
        """

        def done(admitted: Any, error: BaseException | None) -> None:
            self._decided = True
            if error is None:
                self._take_over(environ, *admitted)
            elif isinstance(error, RequestError):
                self._respond(self._endpoint.refusal(environ, error))
            else:
                log = self._server.log
                log.exception("A websocket could not be admitted", error=error)  # noqa: LOG004  # our own log
                self._respond(Reply(500))

        EagerRun(self._admit(environ), done, self._state.tasks)
        if not self._decided:
            self.transport.pause_reading()  # what the peer sends before the answer stays in the socket

    def connection_lost(self, error: Exception | None) -> None:
        """Takes note that the peer went away before the answer."""
        self._state.connections.discard(self)

    def shutdown(self) -> None:
        """Refuses what is still undecided (called by uvicorn when it stops)."""
        self.transport.close()

    async def _admit(self, environ: Environ) -> tuple[str, Connection | None]:
        if not environ["PATH_INFO"].startswith(self._server.config.path):
            raise RequestError(3, "Not found", 404)
        return await self._endpoint.admit(environ)

    def _take_over(self, environ: Environ, key: str, connection: Connection | None) -> None:
        transport = self.transport
        if transport.is_closing():
            return
        self._state.connections.discard(self)
        websocket = self._endpoint.websocket(environ, connection)
        max_bytes = self._server.config.max_http_buffer_size
        take_over(transport, key, websocket, QuietLogger(self._server.log), max_bytes, self._early)
        transport.resume_reading()

    def _respond(self, reply: Reply) -> None:
        if not self.transport.is_closing():
            self.transport.write(response_head(reply) + reply.body)
            self.transport.close()


def http_class(server: Server, endpoint: Endpoint) -> Callable[..., HTTPProtocol]:
    """Returns what uvicorn takes as its option `http`."""
    return functools.partial(HTTPProtocol, server, endpoint)
