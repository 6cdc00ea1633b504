"""Requests without a network: an endpoint, and what a front end would bring to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import serving
from raw import handshake_headers, opened

from carboy.engineio.requests import parse_query
from carboy.exceptions import LimitError
from carboy.front.environ import environ_of_connection, environ_of_request, split_target
from carboy.runtime.connection import Connection
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint, Reply

SECONDS = 20.0


class Body:
    """The body and the end of a request, which `arrive` and `leave` bring."""

    def __init__(self, body: bytes | None = b"") -> None:
        self._body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()
        if body is not None:
            self.arrive(body)

    def arrive(self, body: bytes) -> None:
        """Bring the body."""
        self._body.set_result(body)

    def leave(self) -> None:
        """Let the peer go away."""
        self._left.set()
        if not self._body.done():
            self._body.set_exception(ConnectionError())

    async def read(self, limit: int) -> bytes:
        """Read the body, as `endpoint.Exchange` says."""
        body = await self._body
        if len(body) > limit:
            raise LimitError("too long", "max_http_buffer_size")
        return body

    async def gone(self) -> bool:
        """Return when the peer has gone."""
        await self._left.wait()
        return True


class Poller:
    """A polling client of an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.target = serving.POLLING

    async def open(self, query: str = "", headers: str = "") -> Reply:
        """Open a session."""
        reply = await self.request("GET", self.target + query, headers=headers)
        self.sid = opened(reply.body)["sid"]
        self.target += f"&sid={self.sid}"
        return reply

    async def join(self) -> None:
        """Join the namespace "/"."""
        assert (await self.post(b"40")).body == b"ok"
        assert (await self.poll()).body.startswith(b"40{")

    async def request(
        self, method: str, target: str | None = None, body: bytes | Body = b"", headers: str = ""
    ) -> Reply:
        """Send a request and wait for its reply."""
        exchange = body if isinstance(body, Body) else Body(body)
        serving_it = self.endpoint.serve(environ(method, target or self.target, headers), exchange)
        return await asyncio.wait_for(serving_it, SECONDS)

    async def poll(self, body: Body | None = None) -> Reply:
        """Send a GET."""
        return await self.request("GET", body=body or Body())

    async def post(self, body: bytes | Body, headers: str = "", query: str = "") -> Reply:
        """Send a POST."""
        return await self.request("POST", self.target + query, body, headers)

    def begin(self, awaitable: Awaitable[Reply]) -> asyncio.Future[Reply]:
        """Send a request and go on."""
        return asyncio.ensure_future(awaitable)

    @property
    def connection(self) -> Connection:
        """The server's side."""
        connections: dict[str, Connection] = self.endpoint._server.connections
        return connections[self.sid]


class Candidate:
    """A websocket without a network that wants to take a session over."""

    name = "websocket"
    stalled = False

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.closed: int | None = None
        self.receiver: Any = None
        self.paused = False

    def bind(self, receiver: Any) -> None:
        """Take who is to get what the client sends."""
        self.receiver = receiver

    def write(self, messages: list[Any]) -> bool:
        """Take what is sent to the client."""
        self.received += [packet for message in messages for packet in message.packets()]
        return True

    def backlog(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def close(self, code: int) -> None:
        """Note the first close."""
        if self.closed is None:
            self.closed = code

    def release(self) -> None:
        """Close."""
        self.close(1000)

    def hurry(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Note it."""
        self.paused = True

    def resume_reading(self) -> None:
        """Note it."""
        self.paused = False


def environ(method: str, target: str, headers: str = "") -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode("latin-1")
    return environ_of_head(head, scheme="http", server=("127.0.0.1", 80), client=("127.0.0.1", 1))


def environ_of_head(head: bytes, **connection: Any) -> dict[str, Any]:
    """Return the WSGI environment of a request line and headers."""
    request_line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = request_line.split(b" ")
    path, query_string = split_target(target)
    pairs = (line.partition(b":") for line in lines if line)
    return environ_of_request(
        environ_of_connection(**connection),
        method=method.decode(),
        path=path,
        query_string=query_string,
        headers=[(name, value.strip()) for name, _, value in pairs],
        http_version=version.removeprefix(b"HTTP/").decode(),
    )


def upgrade(target: str, headers: str = "") -> dict[str, Any]:
    """Return the WSGI environment of an opening handshake."""
    return environ("GET", target, handshake_headers() + headers)


async def settle() -> None:
    """Let everything happen that is ready to."""
    for _ in range(10):
        await asyncio.sleep(0)


def session_of(target: str) -> str | None:
    """Return the id in a target."""
    return parse_query(target.partition("?")[2]).sid


def at_endpoint(test: Callable[[Poller], Awaitable[None]], server: Server | None = None) -> None:
    """Run a coroutine with a polling client of a fresh endpoint, and stop the hub after it."""
    server = server or serving.make_server()

    async def run() -> None:
        server.hub.attach(asyncio.get_running_loop())
        try:
            await asyncio.wait_for(test(Poller(Endpoint(server))), SECONDS)
        finally:
            server.hub.threads.stop()
            server.hub.detach()

    asyncio.run(run())
