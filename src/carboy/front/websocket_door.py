"""The embedded server's door for websockets: uvicorn hands the connection over, the fast lane takes it.

uvicorn makes one of these for each upgrade (its option `ws`), calls `connection_made`, feeds the request's head as bytes, and
only then sets it as the protocol of the transport; hence nothing is decided before the next round of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from carboy.exceptions import RequestError
from carboy.front.environ import environ_of_head
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint, Reply
from carboy.transports.websocket import QuietLogger, take_over


class WebSocketDoor(asyncio.Protocol):
    """One connection on its way from uvicorn to the fast lane.

    Args:
        server: the server.
        endpoint: checks handshakes.
        logger: what picows logs to.
        connections: uvicorn's set of connections, which a stop waits for.
    """

    def __init__(self, server: Server, endpoint: Endpoint, logger: QuietLogger, connections: set[Any]) -> None:
        self._server = server
        self._endpoint = endpoint
        self._logger = logger
        self._connections = connections
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection."""
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Takes the head of the request; the peer has nothing else to send before the answer."""
        self._transport.pause_reading()
        self._server.hub.spawn(self._decide(data))

    def connection_lost(self, error: Exception | None) -> None:
        """Takes note that the peer went away before the answer."""
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Refuses what is still undecided (called by uvicorn when it stops)."""
        self._transport.close()

    async def _decide(self, head: bytes) -> None:
        transport = self._transport
        environ = environ_of_head(
            head,
            scheme="https" if transport.get_extra_info("sslcontext") else "http",
            server=_address(transport.get_extra_info("sockname")),
            client=_address(transport.get_extra_info("peername")),
        )
        try:
            if not environ["PATH_INFO"].startswith(self._server.config.path):
                raise RequestError(3, "Not found", 404)
            key, connection = await self._endpoint.admit(environ)
        except RequestError as error:
            _respond(transport, self._endpoint.refusal(environ, error))
        else:
            if not transport.is_closing():
                websocket = self._endpoint.websocket(environ, connection)
                transport.resume_reading()
                take_over(transport, key, websocket, self._logger, self._server.config.max_http_buffer_size)
        finally:
            self._connections.discard(self)


def websocket_class(server: Server, endpoint: Endpoint) -> Callable[..., WebSocketDoor]:
    """Returns what uvicorn takes as its option `ws`."""
    logger = QuietLogger(server.log)

    def make(config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> WebSocketDoor:
        return WebSocketDoor(server, endpoint, logger, server_state.connections)

    return make


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None


def _respond(transport: Any, reply: Reply) -> None:
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines += [f"Content-Length: {len(reply.body)}", "Connection: close", "", ""]
    transport.write("\r\n".join(lines).encode("latin-1") + reply.body)
    transport.close()
