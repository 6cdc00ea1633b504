"""The embedded server's door for websockets: uvicorn hands the connection over, the fast lane takes it.

uvicorn makes a `WebSocketDoor` for each upgrade (its option `ws`), calls `connection_made`, feeds the head of
the request as bytes, and only then sets it as the protocol of the transport; hence nothing is decided before
the next round of the loop.
"""

from __future__ import annotations

from asyncio import BaseTransport, Protocol
from collections.abc import Callable
from typing import Any

from carboy.exceptions import RequestError
from carboy.front.environ import environ_of_head
from carboy.front.http_text import response_head
from carboy.runtime.connection import Connection
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint
from carboy.transports.rewriting import Reply
from carboy.transports.websocket import take_over
from carboy.transports.wire import QuietLogger


class WebSocketDoor(Protocol):
    """One connection on its way from uvicorn to the fast lane.

    Args:
        server: the server.
        endpoint: checks handshakes.
        logger: where broken peers are told.
        connections: uvicorn's set of connections, which a stop waits for.
        root_path: where the application is mounted.

    Attributes:
        transport: the connection.
        early: what the peer sent behind its head, without waiting for the answer.
    """

    def __init__(
        self,
        server: Server,
        endpoint: Endpoint,
        logger: QuietLogger,
        connections: set[Any],
        root_path: str = "",
    ) -> None:
        self._server = server
        self._endpoint = endpoint
        self._logger = logger
        self._connections = connections
        self._root_path = root_path
        self.transport: Any = None
        self.early = b""

    def connection_made(self, transport: BaseTransport) -> None:
        """Takes the connection."""
        self.transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Takes the head of the request; what the peer sends before the answer stays in the socket."""
        self.transport.pause_reading()
        self._server.hub.spawn(self._decide(data))

    def connection_lost(self, error: Exception | None) -> None:
        """Takes note that the peer went away before the answer."""
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Refuses what is still undecided (called by uvicorn when it stops)."""
        self.transport.close()

    async def _decide(self, head: bytes) -> None:
        transport = self.transport
        environ = environ_of_head(
            head,
            scheme="https" if transport.get_extra_info("sslcontext") else "http",
            server=_address(transport.get_extra_info("sockname")),
            client=_address(transport.get_extra_info("peername")),
            root_path=self._root_path,
        )
        try:
            key, connection = await self._admit(environ)
        except RequestError as error:
            self._respond(self._endpoint.refusal(environ, error))
        except Exception as error:
            self._server.log.exception("A websocket could not be admitted", error=error)
            self._respond(Reply(500))
        else:
            if not transport.is_closing():
                self._connections.discard(self)
                websocket = self._endpoint.websocket(environ, connection)
                max_bytes = self._server.config.max_http_buffer_size
                take_over(transport, key, websocket, self._logger, max_bytes, self.early)
                transport.resume_reading()

    async def _admit(self, environ: dict[str, Any]) -> tuple[str, Connection | None]:
        if not environ["PATH_INFO"].startswith(self._server.config.path):
            raise RequestError(3, "Not found", 404)
        return await self._endpoint.admit(environ)

    def _respond(self, reply: Reply) -> None:
        if not self.transport.is_closing():
            self.transport.write(response_head(reply) + reply.body)
            self.transport.close()


def websocket_class(server: Server, endpoint: Endpoint) -> Callable[..., WebSocketDoor]:
    """Returns what uvicorn takes as its option `ws`."""
    logger = QuietLogger(server.log)

    def make(config: Any, server_state: Any, **_: Any) -> WebSocketDoor:
        return WebSocketDoor(server, endpoint, logger, server_state.connections, config.root_path)

    return make


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
