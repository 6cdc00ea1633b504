"""How a socket that was taken out of its server becomes a websocket of the fast lane."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from carboy.runtime.connection import Connection
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint
from carboy.transports.websocket import take_over
from carboy.transports.wire import QuietLogger


class FastLane:
    """Takes sockets; in the loop's thread.

    Args:
        server: the server.
        endpoint: makes the websockets.
    """

    def __init__(self, server: Server, endpoint: Endpoint) -> None:
        self._server = server
        self._endpoint = endpoint
        self._logger = QuietLogger(server.log)

    def adopt(
        self,
        taken: socket.socket,
        environ: dict[str, Any],
        key: str,
        connection: Connection | None,
        early: bytes = b"",
    ) -> None:
        """Answers the handshake on a socket, and reads frames from it.

        Args:
            taken: the socket, non-blocking.
            environ: the WSGI environment of the handshake.
            key: the validated Sec-WebSocket-Key.
            connection: that of the session that is to be upgraded, if any.
            early: what the peer sent behind its head.
        """
        websocket = self._endpoint.websocket(environ, connection)
        max_bytes = self._server.config.max_http_buffer_size

        def opened(transport: Any) -> None:
            take_over(transport, key, websocket, self._logger, max_bytes, early)

        loop = asyncio.get_running_loop()
        self._server.hub.spawn(loop.connect_accepted_socket(lambda: _Opening(opened), taken))


class _Opening(asyncio.Protocol):
    """A socket on its way to the fast lane."""

    def __init__(self, opened: Callable[[Any], None]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # In the next round of the loop: the transport is not complete before this returns.
        asyncio.get_running_loop().call_soon(self._opened, transport)
