"""Another worker of the same host, which owns a session that is not here, as the endpoint sees it.

Which request is let in is decided before, where it arrives; the owner decides what its session makes of it.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import Any

from carboy.transports.asgi_websocket import Receive, Send
from carboy.transports.exchange import Exchange
from carboy.transports.rewriting import Reply


class OtherWorker(ABC):
    """One other worker, for one request."""

    @abstractmethod
    async def answer(self, environ: dict[str, Any], exchange: Exchange) -> Reply:
        """Has it answer a poll or a POST.

        Args:
            environ: the WSGI environment.
            exchange: the body and the end of the request.

        Raises:
            RequestError: if the worker ends before it has answered.
        """

    @abstractmethod
    def adopt(self, taken: socket.socket, environ: dict[str, Any], key: str, early: bytes = b"") -> None:
        """Gives it the connection of a websocket, whose handshake it is to answer.

        Args:
            taken: the connection, or one end of a pair to which its bytes are carried.
            environ: the WSGI environment of the handshake.
            key: the validated Sec-WebSocket-Key.
            early: what the peer sent behind its head.
        """

    @abstractmethod
    async def converse(self, environ: dict[str, Any], receive: Receive, send: Send) -> None:
        """Has it serve a websocket of an ASGI server, which keeps the connection.

        Args:
            environ: the WSGI environment of the handshake.
            receive: the channel of the scope, from which `websocket.connect` was taken.
            send: the other channel.

        Raises:
            RequestError: if the handshake is refused.
        """


def relayed_fields(environ: dict[str, Any]) -> dict[str, str]:
    """Returns what the owner of a session needs to know of a request, out of its WSGI environment.

    A session was opened with an environment of its own, so that of a later request is asked for little.
    """
    return {name: environ[name] for name in _FIELDS if name in environ}


_FIELDS = (
    *("REQUEST_METHOD", "QUERY_STRING", "CONTENT_TYPE"),
    *("HTTP_ACCEPT_ENCODING", "HTTP_CONNECTION", "HTTP_UPGRADE"),
)
