"""The fast path of the embedded server: Engine.IO requests are answered where uvicorn has parsed them.

What it saves of each request: an ASGI scope, a task, an `asyncio.Event`, the messages of `receive` and
`send`, and another task for a poll that waits. What is out of the ordinary goes by `ASGIApplication`,
and both ways lead through `Endpoint`, which alone decides on answers.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from carboy.front.eager import EagerRun
from carboy.front.environ import Environ
from carboy.front.http_text import response_head
from carboy.runtime.log import Log
from carboy.transports.endpoint import Endpoint
from carboy.transports.rewriting import Reply

METHODS = ("GET", "POST")

MAX_BODY = 64 * 1024
"""Bytes of a body up to which it is gathered here; a larger one is read piece by piece, as ASGI does it."""


class Carrier(Protocol):
    """uvicorn's protocol of one connection, as far as a request knows it."""

    parser: Any
    transport: asyncio.Transport
    flow: Any
    server_state: Any
    tasks: set[Any]

    def on_response_complete(self) -> None:
        """Goes on with the next request."""


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
        and int(length) <= min(limit, MAX_BODY)
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

    def __init__(self, carrier: Carrier, endpoint: Endpoint, log: Log, environ: Environ) -> None:
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
            self.begin()
        if self.disconnected or not self.more_body:
            _resolve(self._arrived, None)
        if self.disconnected:
            _resolve(self._gone, True)

    def take_turn(self) -> None:
        """Takes note that the requests before it have their answers; begins if its body is there."""
        self._has_turn = True
        if not self.more_body:
            self.begin()

    def begin(self) -> None:
        """Lets the endpoint answer, if it is its turn: at once, where nothing has to wait."""
        if self._has_turn and not self._begun:
            self._begun = True
            EagerRun(self._serve(), self._finish, self._carrier.tasks)

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
        return self._gone

    # The answer

    async def _serve(self) -> Reply:
        reply = await self._endpoint.serve(self._environ, self)
        if self._carrier.flow.write_paused:  # the peer asks and asks, and does not read
            await self._carrier.flow.drain()
        return reply

    def _finish(self, reply: Reply, error: BaseException | None) -> None:
        if error is not None:
            self._log.exception("A request could not be answered", error=error)  # our own log
            reply = Reply(500, [("Content-Type", "text/plain; charset=utf-8")], b"Internal Server Error")
            self.keep_alive = False
        self.response_complete = True
        carrier, transport = self._carrier, self._carrier.transport
        if not transport.is_closing():
            fixed = carrier.server_state.default_headers
            transport.write(response_head(reply, fixed, close=not self.keep_alive) + reply.body)
            if not self.keep_alive:
                transport.close()
        carrier.on_response_complete()


def _resolve(future: asyncio.Future[Any] | None, result: Any) -> None:
    if future is not None and not future.done():
        future.set_result(result)
