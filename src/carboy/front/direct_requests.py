"""The fast path of the embedded server: Engine.IO requests are answered where uvicorn has parsed them.

What it saves of each request: an ASGI scope, a task, an `asyncio.Event`, the messages of `receive` and
`send`, and another task for a poll that waits. What is out of the ordinary goes by `ASGIApplication`,
and both ways lead through `Endpoint`, which alone decides on answers.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from carboy.front.eager import EagerRun
from carboy.front.environ import Environ, environ_of_connection, environ_of_request, split_target
from carboy.front.http_text import response_head
from carboy.runtime.log import Log
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint
from carboy.transports.rewriting import Reply

METHODS = ("GET", "POST")

MAX_BODY = 64 * 1024
"""Bytes of a body up to which it is gathered here; a larger one is read piece by piece, as ASGI does it."""


class Door(asyncio.Protocol):
    """What takes a connection over at an upgrade."""

    def decide(self, environ: Environ) -> None:
        """Admits the handshake or refuses it."""
        raise NotImplementedError


class DirectProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, where Engine.IO requests become no ASGI scopes.

    Args:
        server: the server.
        endpoint: what answers Engine.IO requests.
        **given: what uvicorn gives its protocols.
    """

    cycle: Any  # uvicorn's, or a DirectRequest
    parser: Any
    pipeline: Any
    transport: Any
    watches = False  # whether a poll waits, whose end must be noticed behind other requests too

    def __init__(self, server: Server, endpoint: Endpoint, **given: Any) -> None:
        super().__init__(**given)
        self._server = server
        self._endpoint = endpoint
        self._path = server.config.path.encode()
        self._limit = min(server.config.max_http_buffer_size, MAX_BODY)
        # For these uvicorn looks at its own cycles.
        self._may_be_direct = not self.config.access_log and self.limit_concurrency is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection; uvicorn asks the system for each address several times."""
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(self.transport)
        self.server = _address(transport.get_extra_info("sockname"))
        self.client = _address(transport.get_extra_info("peername"))
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._shared_environ = environ_of_connection(
            scheme=self.scheme, server=self.server, client=self.client, root_path=self.root_path
        )

    def on_message_begin(self) -> None:
        """Begins a request; uvicorn would make its scope here."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Takes the fast path, where there is one for the request."""
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        ours = self._may_be_direct and self.url.startswith(self._path)
        environ = self._environ() if ours else None
        if environ is None or not is_ordinary(environ, self._limit):
            self._make_scope()
            super().on_headers_complete()
        else:
            self._take(DirectRequest(self, self._endpoint, self._server.log, environ))
        if self.watches:
            self.flow.resume_reading()

    def _make_scope(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers  # the list that the scope has

    def _take(self, request: DirectRequest) -> None:
        before, self.cycle = self.cycle, request
        if before is None or before.response_complete:
            request.take_turn()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self.app))

    def switch(self, door: Door) -> None:
        """Hands the connection over at an upgrade; uvicorn would write the head anew, to be parsed again.

        Args:
            door: what takes it.
        """
        environ = self._environ()
        self.connections.discard(self)
        self.parser = self.cycle = None  # they refer back
        door.connection_made(self.transport)
        self.transport.set_protocol(door)
        door.decide(environ)

    def _environ(self) -> Environ:
        path, query_string = split_target(self.url)
        return environ_of_request(
            self._shared_environ,
            method=self.parser.get_method().decode("ascii"),
            path=path,
            query_string=query_string,
            headers=self.headers,
            http_version=self.parser.get_http_version(),
        )


def is_ordinary(environ: Environ, limit: int) -> bool:
    """Tells whether a request can be answered directly.

    Args:
        environ: its WSGI environment.
        limit: bytes that its body may have.
    """
    length = environ.get("CONTENT_LENGTH", "0")
    return (
        environ["REQUEST_METHOD"] in METHODS
        and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        and "HTTP_TRANSFER_ENCODING" not in environ
        and "HTTP_EXPECT" not in environ
        and "HTTP_UPGRADE" not in environ
        and length.isdecimal()
        and int(length) <= limit
    )


class DirectRequest:
    """A request, from its head to its answer; uvicorn's protocol takes it for a cycle of its own.

    Args:
        carrier: the connection.
        endpoint: what answers it.
        log: where failures of ours are told.
        environ: its WSGI environment.

    Attributes:
        body: what has come of the body; written by uvicorn, as what follows.
        more_body: whether some is still to come.
        disconnected: whether the peer has gone.
        keep_alive: whether the connection stays.
        response_complete: whether it was answered.
    """

    __slots__ = (
        "_arrived",
        "_begun",
        "_carrier",
        "_endpoint",
        "_environ",
        "_gone",
        "_has_turn",
        "_log",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
    )

    def __init__(self, carrier: DirectProtocol, endpoint: Endpoint, log: Log, environ: Environ) -> None:
        self._carrier = carrier
        self._endpoint = endpoint
        self._log = log
        self._environ = environ
        self._has_turn = False
        self._begun = False
        self._arrived: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[bool] | None = None
        self.body = b""
        self.more_body = True
        self.disconnected = False
        self.keep_alive = carrier.parser.should_keep_alive()
        self.response_complete = False

    # What uvicorn's protocol calls

    @property
    def message_event(self) -> DirectRequest:
        """What is to be told of each change."""
        return self

    def set(self) -> None:
        """Takes note that more of the body has come, or that the peer has gone."""
        if self.response_complete:
            return
        if not self.more_body:
            self._begin()
        if self.disconnected or not self.more_body:
            _resolve(self._arrived, None)
        if self.disconnected:
            _resolve(self._gone, True)

    async def run_asgi(self, _: Any) -> None:
        """Takes its turn behind another request; in a task, since a pipeline of them would nest."""
        self.take_turn()

    def take_turn(self) -> None:
        """Takes note that the requests before it have their answers, and begins once its body is there."""
        self._has_turn = True
        if not self.more_body:
            self._begin()
        elif "CONTENT_LENGTH" in self._environ:
            self._carrier.loop.call_soon(self._begin)  # the body may take its time

    def _begin(self) -> None:
        """Lets the endpoint answer, if it is its turn: at once, where nothing has to wait."""
        if self._has_turn and not self._begun:
            self._begun = True
            EagerRun(self._endpoint.serve(self._environ, self), self._finish, self._carrier.tasks)

    @property
    def response_started(self) -> bool:
        """Whether a part of the answer was written, which leaves in one piece."""
        return self.response_complete

    # The port `Exchange`

    async def read(self, limit: int) -> bytes:
        """Reads the body, whose announced length is within the limit."""
        while self.more_body and not self.disconnected:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        if self.more_body:
            raise ConnectionError("the peer has gone")
        return self.body

    def gone(self) -> asyncio.Future[bool]:
        """Returns True when the peer has gone."""
        self._gone = asyncio.get_running_loop().create_future()
        if self.disconnected:
            self._gone.set_result(True)
        self._carrier.watches = True
        self._carrier.flow.resume_reading()
        return self._gone

    # The answer

    def _finish(self, reply: Reply, error: BaseException | None) -> None:
        if error is not None:
            self._log.exception("A request could not be answered", error=error)
            reply = Reply(500, [("Content-Type", "text/plain; charset=utf-8")], b"Internal Server Error")
            self.keep_alive = False
        if self._carrier.flow.write_paused:  # the peer asks and asks, and does not read
            drained = self._carrier.flow.drain()
            EagerRun(drained, lambda *_: self._write(reply), self._carrier.tasks)
        else:
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        self.response_complete = True
        carrier, transport = self._carrier, self._carrier.transport
        carrier.watches = False
        if not self.disconnected and not transport.is_closing():
            fixed = carrier.server_state.default_headers
            close = self._endpoint.closing or not self.keep_alive  # who comes back finds another worker
            transport.write(response_head(reply, fixed, close=close) + reply.body)
            if close:
                transport.close()
        carrier.on_response_complete()


def _address(name: Any) -> Any:
    """Returns host and port of an address; the path and None of a Unix socket's; None of a nameless one."""
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return (name, None) if name and isinstance(name, str) else None


def _resolve(future: asyncio.Future[Any] | None, result: Any) -> None:
    if future is not None and not future.done():
        future.set_result(result)
