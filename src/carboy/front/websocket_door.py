"""The embedded server's connections: uvicorn reads HTTP, the fast lane takes over at the upgrade.

Engine.IO requests take the fast path of `direct_requests.py`; this module knows uvicorn, and no answer.
"""

from __future__ import annotations

import os
import socket
from asyncio import BaseTransport
from typing import Any

from carboy.exceptions import RequestError
from carboy.front.direct_requests import Door
from carboy.front.eager import EagerRun
from carboy.front.environ import Environ
from carboy.front.http_text import response_head
from carboy.front.workers.pump import Pump
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint, Session
from carboy.transports.other_worker import OtherWorker
from carboy.transports.rewriting import Reply
from carboy.transports.websocket import take_over
from carboy.transports.wire import QuietLogger


class WebSocketDoor(Door):
    """One connection on its way from uvicorn to the fast lane.

    Args:
        server: the server.
        endpoint: checks handshakes.
        logger: where broken peers are told.
        state: uvicorn's, with the connections and tasks that a stop waits for.
        early: what the peer sent behind its head, without waiting for the answer.

    Attributes:
        transport: the connection.
    """

    transport: Any = None

    def __init__(
        self, server: Server, endpoint: Endpoint, logger: QuietLogger, state: Any, early: bytes
    ) -> None:
        self._server = server
        self._endpoint = endpoint
        self._logger = logger
        self._state = state
        self._early = early

    def connection_made(self, transport: BaseTransport) -> None:
        """Takes the connection."""
        self.transport = transport
        self._state.connections.add(self)

    def decide(self, environ: Environ) -> None:
        """Admits the handshake or refuses it; at once, unless a middleware or a callable has to be asked.

        Args:
            environ: its WSGI environment.
        """
        if EagerRun(self._decide(environ), self._done, self._state.tasks).waits:
            self.transport.pause_reading()  # what the peer sends before the answer stays in the socket

    def connection_lost(self, error: Exception | None) -> None:
        """Takes note that the peer went away before the answer."""
        self._state.connections.discard(self)

    def shutdown(self) -> None:
        """Refuses what is still undecided (called by uvicorn when it stops)."""
        self.transport.close()

    async def _decide(self, environ: Environ) -> None:
        transport = self.transport
        try:
            key, session = await self._admit(environ)
        except RequestError as error:
            self._respond(self._endpoint.refusal(environ, error))
        else:
            if transport.is_closing():
                return
            if isinstance(session, OtherWorker):
                session.adopt(await self._take_out(), environ, key, self._early)
                return
            self._state.connections.discard(self)
            websocket = self._endpoint.websocket(environ, session)
            max_bytes = self._server.config.max_http_buffer_size
            take_over(transport, key, websocket, self._logger, max_bytes, self._early)
            transport.resume_reading()

    async def _take_out(self) -> socket.socket:
        """Takes the connection out of this process; one on TLS stays, and its bytes are carried."""
        connections = self._state.connections
        if self.transport.get_extra_info("sslcontext"):
            connections.discard(self)
            return await Pump.begin(self.transport, connections)
        taken = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        self.transport.abort()  # of which the peer notices nothing, as the other file is open
        return taken

    def _done(self, _: None, error: BaseException | None) -> None:
        if error is not None:
            log = self._server.log
            log.exception("A websocket could not be admitted", error=error)  # noqa: LOG004  # it is ours
            self._respond(Reply(500))

    async def _admit(self, environ: Environ) -> tuple[str, Session]:
        if not environ["PATH_INFO"].startswith(self._server.config.path):
            raise RequestError(3, "Not found", 404)
        return await self._endpoint.admit(environ)

    def _respond(self, reply: Reply) -> None:
        if not self.transport.is_closing():
            self.transport.write(response_head(reply) + reply.body)
            self.transport.close()
