"""Engine.IO requests, checked and answered the same way behind every front end.

A front end brings the WSGI environment and the means to read a body; it gets a reply, or a websocket to run. Everything
happens in the loop's thread, but a callable of the application's that decides on origins.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from carboy.engineio.compression import choose_encoding, compress
from carboy.engineio.cookies import session_cookie
from carboy.engineio.origins import OriginPolicy, refused_origin
from carboy.engineio.packets import encode_open
from carboy.engineio.payloads import decode_jsonp, encode_jsonp
from carboy.engineio.requests import (
    Query,
    check_request,
    check_websocket_handshake,
    error_body,
    is_websocket_upgrade,
    parse_query,
)
from carboy.exceptions import LimitError, RemoteError, RequestError
from carboy.runtime.connection import Connection
from carboy.runtime.message import Message
from carboy.runtime.server import Server
from carboy.transports.polling import PollingTransport
from carboy.transports.websocket import WebSocket

Headers = list[tuple[str, str]]

PLAIN_TEXT = ("Content-Type", "text/plain; charset=UTF-8")
SCRIPT = ("Content-Type", "text/javascript; charset=UTF-8")
JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html")
NO_STORE = ("Cache-Control", "no-store")


@dataclass(frozen=True)
class Reply:
    """An HTTP response.

    Attributes:
        status: the status code.
        headers: names and values, without Content-Length.
        body: the body.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""


class Exchange(Protocol):
    """The HTTP request that is being answered, as the front end sees it."""

    async def read(self, limit: int) -> bytes:
        """Reads the body.

        Args:
            limit: bytes; what is longer is not read.

        Raises:
            LimitError: if it is longer.
            ConnectionError: if the peer has gone.
        """

    async def gone(self) -> None:
        """Returns when the peer has gone."""


class Endpoint:
    """Answers the requests below the path of one server.

    Args:
        server: the server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        config = server.config
        self._transports = frozenset(config.transports)
        self._policy = OriginPolicy(config.cors_allowed_origins, config.cors_credentials)
        self._may_block = callable(config.cors_allowed_origins)

    # HTTP

    async def serve(self, environ: dict[str, Any], exchange: Exchange) -> Reply:
        """Answers a request.

        Args:
            environ: its WSGI environment.
            exchange: its body and its end.

        Returns:
            The reply; for a poll when there is output.
        """
        allowed = False
        try:
            await self._check_origin(environ)
            allowed = True
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return Reply(200, [HTML, *self._cors(environ, allowed), *self._policy.preflight_headers(environ)], b"ok")
            query, connection = self._check(environ, is_websocket_upgrade(environ))
            reply = await self._answer(environ, exchange, query, connection)
        except RequestError as error:
            return self._refuse(environ, error, allowed)
        return Reply(reply.status, [*reply.headers, *self._cors(environ, allowed)], reply.body)

    async def _answer(
        self, environ: dict[str, Any], exchange: Exchange, query: Query, connection: Connection | None
    ) -> Reply:
        if connection is None:
            return self._open(environ, query)
        if not isinstance(connection.transport, PollingTransport):
            raise RequestError(3, "Bad request")
        if environ["REQUEST_METHOD"] == "POST":
            return await self._post(environ, exchange, query, connection, connection.transport)
        return await self._poll(environ, exchange, query, connection.transport)

    def _open(self, environ: dict[str, Any], query: Query) -> Reply:
        connection = self._server.open_session(environ, "polling")
        config = self._server.config
        connection.open(PollingTransport(connection, config.max_http_buffer_size, config.max_payload_packets))
        upgrades = ["websocket"] if config.allow_upgrades and "websocket" in config.transports else []
        reply = self._payload(environ, query, self._open_packet(connection, upgrades))
        cookie = session_cookie(config.cookie, connection.session.sid)
        return reply if cookie is None else Reply(200, [*reply.headers, ("Set-Cookie", cookie)], reply.body)

    async def _poll(
        self, environ: dict[str, Any], exchange: Exchange, query: Query, transport: PollingTransport
    ) -> Reply:
        body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answer(payload: bytes) -> None:
            if not body.done():
                body.set_result(payload)

        try:
            transport.poll(answer)
        except RemoteError:
            return Reply(400, [NO_STORE])
        if not body.done():
            await self._wait(body, exchange)
            if not body.done():
                transport.poll_lost(answer)
                return Reply(400, [NO_STORE])
        return self._payload(environ, query, body.result())

    async def _wait(self, body: asyncio.Future[bytes], exchange: Exchange) -> None:
        """Waits for output or for the end of the request, whichever comes first."""
        gone = asyncio.ensure_future(exchange.gone())
        try:
            await asyncio.wait((body, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()

    async def _post(
        self,
        environ: dict[str, Any],
        exchange: Exchange,
        query: Query,
        connection: Connection,
        transport: PollingTransport,
    ) -> Reply:
        try:
            transport.begin_post()
        except RemoteError:
            return Reply(400, [NO_STORE])
        try:
            body = await exchange.read(self._server.config.max_http_buffer_size)
            if environ.get("CONTENT_TYPE", "").startswith("application/octet-stream"):
                connection.violate(RemoteError("a body of Engine.IO v3 (application/octet-stream)"))
                return Reply(400, [NO_STORE])
            posted = asyncio.Event()
            transport.post(body if query.jsonp is None else decode_jsonp(body), posted.set)
            await posted.wait()
        except LimitError as error:
            self._server.log.rarely(error.option, "Refusing a request from %s: %s", connection.address, error)
            return Reply(413, [NO_STORE])
        except RemoteError:
            return Reply(400, [NO_STORE])
        except ConnectionError:
            connection.transport_lost(transport, "transport error")
            return Reply(400, [NO_STORE])
        finally:
            transport.end_post()
        return Reply(200, [HTML, NO_STORE], b"ok")

    # Websockets

    async def admit(self, environ: dict[str, Any]) -> tuple[str, Connection | None]:
        """Checks the opening handshake of a websocket.

        Args:
            environ: its WSGI environment.

        Returns:
            The validated Sec-WebSocket-Key, and the connection of the session that is to be upgraded, if any.

        Raises:
            RequestError: if it is refused.
        """
        await self._check_origin(environ)
        query, connection = self._check(environ, upgrade=True)
        if query.transport != "websocket":
            raise RequestError(3, "Bad request")
        return check_websocket_handshake(environ), connection

    def websocket(self, environ: dict[str, Any], connection: Connection | None) -> WebSocket:
        """Makes the websocket for an admitted handshake: a session of its own, or a candidate to carry another.

        Args:
            environ: the WSGI environment of the handshake.
            connection: what `admit` returned.

        Returns:
            The websocket, which opens the session when it is connected.
        """

        def opened(websocket: WebSocket) -> None:
            nonlocal connection
            if connection is None:
                connection = self.open_websocket(environ, websocket)
            else:
                connection.attach(websocket)

        def lost(websocket: WebSocket, reason: str) -> None:
            if connection is not None:
                connection.transport_lost(websocket, reason)

        def flow(websocket: WebSocket, stalled: bool) -> None:
            if connection is not None and connection.transport is websocket:
                connection.stall() if stalled else connection.unstall()

        return WebSocket(self._server.config.max_http_buffer_size, opened, lost, flow)

    def open_websocket(self, environ: dict[str, Any], websocket: Any) -> Connection:
        """Opens a session on a websocket."""
        connection = self._server.open_session(environ, "websocket")
        websocket.bind(connection)
        connection.open(websocket)
        websocket.write([Message(self._open_packet(connection, []))])
        return connection

    def refusal(self, environ: dict[str, Any], error: RequestError) -> Reply:
        """Returns the reply to a websocket handshake that was refused."""
        return self._refuse(environ, error, allowed=error.message != refused_origin().message)

    # What all requests have in common

    async def _check_origin(self, environ: dict[str, Any]) -> None:
        origin = environ.get("HTTP_ORIGIN")
        if not origin:
            return
        if self._may_block:
            loop = asyncio.get_running_loop()
            allowed = await loop.run_in_executor(None, self._policy.allows, origin, environ)
        else:
            allowed = self._policy.allows(origin, environ)
        if not allowed:
            self._server.log.rarely("origin", "%s", self._policy.explain_refusal(origin, environ))
            raise refused_origin()

    def _check(self, environ: dict[str, Any], upgrade: bool) -> tuple[Query, Connection | None]:
        query = parse_query(environ.get("QUERY_STRING", ""))
        connection = None if query.sid is None else self._server.connections.get(query.sid)
        if connection is not None and connection.inline:
            connection = None  # an in-memory client is nobody's to talk to
        check_request(
            query,
            method=environ["REQUEST_METHOD"],
            upgrade=upgrade,
            transports=self._transports,
            session_transport=None if connection is None else connection.session.transport,
            allow_upgrades=self._server.config.allow_upgrades,
        )
        return query, connection

    def _open_packet(self, connection: Connection, upgrades: list[str]) -> bytes:
        config = self._server.config
        return encode_open(
            connection.session.sid,
            upgrades,
            config.ping_interval + config.ping_grace,
            config.ping_timeout,
            config.max_http_buffer_size,
        )

    def _cors(self, environ: dict[str, Any], allowed: bool) -> Headers:
        return self._policy.headers(environ, allowed)

    def _refuse(self, environ: dict[str, Any], error: RequestError, allowed: bool) -> Reply:
        headers = [JSON, NO_STORE, *self._cors(environ, allowed)]
        if error.status == 426:
            headers.append(("Sec-WebSocket-Version", "13"))
        return Reply(error.status, headers, error_body(error))

    def _payload(self, environ: dict[str, Any], query: Query, payload: bytes) -> Reply:
        if query.jsonp is not None:
            headers, body = [SCRIPT, NO_STORE], encode_jsonp(payload, query.jsonp)
        else:
            headers, body = [PLAIN_TEXT, NO_STORE], payload
        config = self._server.config
        if config.http_compression and len(body) >= config.compression_threshold:
            encoding = choose_encoding(environ.get("HTTP_ACCEPT_ENCODING"))
            if encoding is not None:
                headers += [("Content-Encoding", encoding), ("Vary", "Accept-Encoding")]
                body = compress(body, encoding)
        return Reply(200, headers, body)
