"""Engine.IO requests, checked and answered the same way behind every front end.

A front end brings the WSGI environment and the means to read a body; it gets a reply, or a websocket to run.
Everything happens in the loop's thread, but a callable of the application's that decides on origins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeAlias

from carboy.engineio.cookies import session_cookie
from carboy.engineio.origins import OriginPolicy, refused_origin
from carboy.engineio.packets import encode_open
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
from carboy.transports.asgi_websocket import ASGIWebSocket
from carboy.transports.exchange import Exchange, payload_of, wait_for
from carboy.transports.other_worker import OtherWorker
from carboy.transports.polling import PollingTransport
from carboy.transports.replies import HTML, JSON, NO_STORE, payload_reply
from carboy.transports.rewriting import AnsweredError, Middleware, Reply, is_looked_at, rewrite
from carboy.transports.websocket import WebSocket

TICK = 0.01

Session: TypeAlias = "Connection | OtherWorker | None"
"""Whom a request is for: a session of ours, one of another worker's, or one that is to be opened."""


class Endpoint:
    """Answers the requests below the path of one server.

    Args:
        server: the server.
        middleware: the WSGI middleware around the application, for front ends whose requests do not come
            through it.

    Attributes:
        websockets: those of the fast lane that are connected.
        closing: whether the server stops, so that no session may begin.
        find_worker: returns the other worker that has made a session's id; None if there is none.
    """

    def __init__(self, server: Server, middleware: Middleware | None = None) -> None:
        self._server = server
        self._middleware = middleware
        config = server.config
        self._transports = frozenset(config.transports)
        self._policy = OriginPolicy(config.cors_allowed_origins, config.cors_credentials)
        self._may_block = callable(config.cors_allowed_origins)
        self.websockets: set[WebSocket] = set()
        self.closing = False
        self.find_worker: Callable[[str], OtherWorker | None] = lambda sid: None

    # HTTP

    async def serve(self, environ: dict[str, Any], exchange: Exchange, *, websockets: bool = True) -> Reply:
        """Answers a request.

        Args:
            environ: its WSGI environment.
            exchange: its body and its end.
            websockets: whether a websocket would work here; if not, none is offered.

        Returns:
            The reply; for a poll when there is output.
        """
        allowed = False
        try:
            if is_looked_at(environ):
                await self._look_at(environ)
            allowed = True
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return Reply(
                    200,
                    [HTML, *self._policy.headers(environ, allowed), *self._policy.preflight_headers(environ)],
                    b"ok",
                )
            query, session = self._check(environ, "polling", is_websocket_upgrade(environ))
            if session is None:
                reply = await self._open(environ, query, websockets=websockets)
            elif isinstance(session, OtherWorker):
                reply = await session.answer(environ, exchange)
            else:
                reply = await self._answer(environ, exchange, query, session)
        except RequestError as error:
            return self._refuse(environ, error, allowed)
        status, headers, body = reply
        return Reply(status, [*headers, *self._policy.headers(environ, allowed)], body)

    async def serve_relayed(self, environ: dict[str, Any], exchange: Exchange) -> Reply:
        """Answers a request for a session of ours that another worker has let in, without what that one adds.

        Args:
            environ: what the other worker sent of the WSGI environment.
            exchange: its body and its end.
        """
        try:
            query, connection = self._check_here(environ, is_websocket_upgrade(environ))
            return await self._answer(environ, exchange, query, connection)
        except RequestError as error:
            return Reply(error.status, [JSON, NO_STORE], error_body(error))

    async def _answer(
        self, environ: dict[str, Any], exchange: Exchange, query: Query, connection: Connection
    ) -> Reply:
        if not isinstance(connection.transport, PollingTransport):
            raise RequestError(3, "Bad request")
        if environ["REQUEST_METHOD"] == "POST":
            return await self._post(environ, exchange, query, connection, connection.transport)
        return await self._poll(environ, exchange, query, connection.transport)

    async def _open(self, environ: dict[str, Any], query: Query, *, websockets: bool) -> Reply:
        connection = self._server.open_session(environ, "polling")
        config = self._server.config
        connection.open(PollingTransport(connection, config.max_http_buffer_size, config.max_payload_packets))
        offered = websockets and config.allow_upgrades and "websocket" in config.transports
        upgrades = ["websocket"] if offered else []
        reply = await payload_reply(config, environ, query.jsonp, self._open_packet(connection, upgrades))
        cookie = session_cookie(config.cookie, connection.session.sid)
        return reply if cookie is None else Reply(200, [*reply.headers, ("Set-Cookie", cookie)], reply.body)

    async def _poll(
        self, environ: dict[str, Any], exchange: Exchange, query: Query, transport: PollingTransport
    ) -> Reply:
        body: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def answer(payload: bytes) -> None:
            if not body.done():
                body.set_result(payload)

        try:
            transport.poll(answer)
        except RemoteError:
            return Reply(400, [NO_STORE])

        def ended(has_left: bool) -> None:
            if not has_left:
                transport.hurry()
            if not body.done():
                body.set_result(None)
                transport.poll_lost(answer)

        payload = body.result() if body.done() else await wait_for(body, exchange, ended)
        if payload is None:
            return Reply(400, [NO_STORE])
        return await payload_reply(self._server.config, environ, query.jsonp, payload)

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
            posted = transport.post(payload_of(environ, query.jsonp, body))
            if posted is not None:
                await posted
        except LimitError as error:
            self._server.log.rarely(error.option, "Refusing a request from %s: %s", connection.address, error)
            return Reply(413, [NO_STORE])
        except RemoteError as error:
            connection.violate(error)
            return Reply(400, [NO_STORE])
        except ConnectionError:
            connection.transport_lost(transport, "transport error")
            return Reply(400, [NO_STORE])
        finally:
            transport.end_post()
        return Reply(200, [HTML, NO_STORE], b"ok")

    # Websockets

    async def admit(self, environ: dict[str, Any]) -> tuple[str, Session]:
        """Checks the opening handshake of a websocket.

        Args:
            environ: its WSGI environment.

        Returns:
            The validated Sec-WebSocket-Key, and the session that is to be upgraded, if any.

        Raises:
            RequestError: if it is refused.
        """
        session = await self.admit_checked(environ)
        return check_websocket_handshake(environ), session

    async def admit_checked(self, environ: dict[str, Any]) -> Session:
        """Checks the opening handshake of a websocket, but for its own headers, which the server has checked.

        Args:
            environ: its WSGI environment.

        Returns:
            The session that is to be upgraded, if any.

        Raises:
            RequestError: if it is refused.
        """
        if is_looked_at(environ):
            await self._look_at(environ)
        return self._check(environ, "websocket", upgrade=True)[1]

    def admit_relayed(self, environ: dict[str, Any]) -> Connection:
        """Returns the session of ours for a websocket that another worker has let in.

        Args:
            environ: what the other worker sent of the WSGI environment.

        Raises:
            RequestError: if it is refused.
        """
        return self._check_here(environ, upgrade=True)[1]

    def websocket(self, environ: dict[str, Any], connection: Connection | None) -> WebSocket:
        """Makes the websocket for an admitted handshake: a session of its own, or a candidate for another.

        Args:
            environ: the WSGI environment of the handshake.
            connection: what `admit` returned.

        Returns:
            The websocket, which opens the session when it is connected.
        """
        config, opener = self._server.config, self._opener(environ, connection)
        return WebSocket(config.max_http_buffer_size, config.max_fragments, self.websockets, opener)

    def asgi_websocket(self, environ: dict[str, Any], connection: Connection | None) -> ASGIWebSocket:
        """Makes the websocket for an admitted handshake behind an ASGI server; else as `websocket`."""
        return ASGIWebSocket(self._server.config.max_http_buffer_size, self._opener(environ, connection))

    def _opener(self, environ: dict[str, Any], connection: Connection | None) -> Callable[[Any], Connection]:
        def opened(websocket: Any) -> Connection:
            if connection is None:
                return self.open_websocket(environ, websocket)
            connection.attach(websocket)
            return connection

        return opened

    def open_websocket(self, environ: dict[str, Any], websocket: Any) -> Connection:
        """Opens a session on a websocket."""
        connection = self._server.open_session(environ, "websocket")
        websocket.bind(connection)
        connection.open(websocket)
        websocket.write([Message(self._open_packet(connection, []))])
        return connection

    async def finish(self, timeout: float) -> None:
        """Gives websockets that were closed a moment to go, then aborts them.

        Args:
            timeout: seconds for all of them.
        """
        deadline = monotonic() + timeout
        while self.websockets and monotonic() < deadline:  # noqa: ASYNC110  # an event would cost each of them
            await asyncio.sleep(TICK)
        for websocket in tuple(self.websockets):
            websocket.abort()
        while self.websockets:  # noqa: ASYNC110  # the loop tells them in its next round
            await asyncio.sleep(0)

    def refusal(self, environ: dict[str, Any], error: RequestError) -> Reply:
        """Returns the reply to a websocket handshake that was refused."""
        return self._refuse(environ, error, allowed=error.message != refused_origin().message)

    # What all requests have in common

    async def _look_at(self, environ: dict[str, Any]) -> None:
        """Lets middleware rewrite the environment, and checks the origin; both may wait for a thread."""
        admission = self._server.admission
        admission.check_handshake(lambda: self._goes_on(environ))
        admission.handshakes += 1
        try:
            await rewrite(self._middleware, environ)
            await self._check_origin(environ)
        finally:
            admission.handshakes -= 1

    async def _check_origin(self, environ: dict[str, Any]) -> None:
        origin = environ.get("HTTP_ORIGIN")
        if not origin:
            return
        if self._may_block:
            allowed = await asyncio.get_running_loop().run_in_executor(None, self._ask, origin, environ)
        else:
            allowed = self._policy.allows(origin, environ)
        if not allowed:
            self._server.log.rarely("origin", "%s", self._policy.explain_refusal(origin, environ))
            raise refused_origin()

    def _ask(self, origin: str, environ: dict[str, Any]) -> bool:
        """Asks the application's callable, whose exception refuses the request."""
        try:
            return self._policy.allows(origin, environ)
        except Exception as error:  # user code may raise anything
            self._server.log.exception("The callable in cors_allowed_origins failed", error=error)
            return False

    def _goes_on(self, environ: dict[str, Any]) -> bool:
        """Tells whether a request is for a session that there is, here or with another worker."""
        sid = parse_query(environ.get("QUERY_STRING", "")).sid
        return sid is not None and (sid in self._server.connections or self.find_worker(sid) is not None)

    def _check(self, environ: dict[str, Any], transport: str, upgrade: bool) -> tuple[Query, Session]:
        query = parse_query(environ.get("QUERY_STRING", ""))
        session = self._find_worker(query) or self._check_query(query, environ, upgrade)
        if query.transport != transport:  # it asks for what the front end did not take it for
            raise RequestError(3, "Bad request")
        if session is None:
            if self.closing:
                raise RequestError(3, "The server is stopping", 503)
            self._server.admission.check_session(len(self._server.connections), environ)
        return query, session

    def _find_worker(self, query: Query) -> OtherWorker | None:
        """Returns the other worker that has a session, if it is none of ours."""
        if query.sid is None or query.sid in self._server.connections:
            return None
        return self.find_worker(query.sid)

    def _check_here(self, environ: dict[str, Any], upgrade: bool) -> tuple[Query, Connection]:
        query = parse_query(environ.get("QUERY_STRING", ""))
        connection = self._check_query(query, environ, upgrade)
        if connection is None:
            raise RequestError(1, "Session ID unknown")
        return query, connection

    def _check_query(self, query: Query, environ: dict[str, Any], upgrade: bool) -> Connection | None:
        connection = None if query.sid is None else self._find(query.sid)
        check_request(
            query,
            method=environ["REQUEST_METHOD"],
            upgrade=upgrade,
            transports=self._transports,
            session_transport=None if connection is None else connection.session.transport,
            allow_upgrades=self._server.config.allow_upgrades,
        )
        return connection

    def _find(self, sid: str) -> Connection | None:
        connection = self._server.connections.get(sid)
        if connection is None or connection.inline:  # an in-memory client is nobody's to talk to
            return None
        connection.catch_up()
        return self._server.connections.get(sid)

    def _open_packet(self, connection: Connection, upgrades: list[str]) -> bytes:
        config = self._server.config
        return encode_open(
            connection.session.sid,
            upgrades,
            config.ping_interval + config.ping_grace,
            config.ping_timeout,
            config.max_http_buffer_size,
        )

    def _refuse(self, environ: dict[str, Any], error: RequestError, allowed: bool) -> Reply:
        if isinstance(error, AnsweredError):
            return error.reply
        headers = [JSON, NO_STORE, *self._policy.headers(environ, allowed)]
        if error.status == 426:
            headers.append(("Sec-WebSocket-Version", "13"))
        return Reply(error.status, headers, error_body(error))
