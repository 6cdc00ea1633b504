"""The embedded server's HTTP/1.1: uvicorn's, with bounds on what a peer may send and how long it may take.

Must not answer a request that can be answered by an application: it refuses what is none, or too much. A
connection costs one place on the timer wheel while a request is incomplete or an answer is not taken.
"""

from __future__ import annotations

from asyncio import BaseTransport
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools

from carboy.front.direct_requests import DirectProtocol
from carboy.front.http_text import response_head
from carboy.front.websocket_door import WebSocketDoor
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint
from carboy.transports.rewriting import Reply
from carboy.transports.wire import QuietLogger

MAX_HEADERS = 256
"""Headers of one request: each costs far more than its bytes."""

MAX_PIPELINED = 64
"""Requests that may wait behind the one that is being answered, or come in one read."""

MIN_RATE = 1_000
"""Bytes of a request that buy it a second more."""

LINGER = 2.0
"""Seconds in which a refused peer can read the answer while what it still sends is dropped."""


class HTTPProtocol(DirectProtocol):
    """One connection.

    Header names with an underscore are dropped: WSGI environments merge them with those that have a hyphen.
    So are trailers, which must not pass for headers (RFC 9110 section 6.5.1).

    Args:
        server: whose options, clock and log count.
        endpoint: what answers Engine.IO requests and handshakes.
        logger: where broken websockets are told.
        accepted: told the file descriptor of the connection.
        **given: what uvicorn gives its protocols.
    """

    parser: Any  # uvicorn's type has the None of a connection that is gone
    due_tick = -1
    _read_by: float | None = None  # when the request has to be complete, or one has to have begun
    _written_by: float | None = None  # when the peer has to have taken something of what waits for it
    _unwritten = 0
    _incomplete = False
    _in_head = False
    _refused = False
    _is_lost = False
    _wants_websocket: bool | None = None  # once it was asked
    _hosts = 0
    _in_one_read = 0
    _unparsed = 0  # bytes since the parser last completed anything
    _running: Any = None  # the request that is being answered, which is not the last one in a pipeline

    def __init__(
        self,
        server: Server,
        endpoint: Endpoint,
        logger: QuietLogger,
        accepted: Callable[[int], None],
        **given: Any,
    ) -> None:
        super().__init__(server, endpoint, **given)
        self._logger = logger
        self._accepted = accepted
        self._hub = server.hub
        self._patience = server.config.request_timeout

    # What the loop calls

    def connection_made(self, transport: BaseTransport) -> None:
        """Takes the connection, on which a request has to come in time."""
        super().connection_made(transport)
        self._accepted(transport.get_extra_info("socket").fileno())
        self._read_by = self._hub.now() + self._patience
        self._schedule()

    def data_received(self, data: bytes) -> None:
        """Takes bytes of requests."""
        if self._refused:
            return
        self._in_one_read = 0
        self._unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(reason if isinstance(reason, _Refusal) else _Refusal(400, "it is not HTTP/1.1"))
        else:
            if self._unparsed > self._server.config.max_head_bytes:
                self._refuse(_Refusal(431, "its head is too large (option max_head_bytes)"))
            elif self._incomplete:
                self._await_rest(len(data))

    def connection_lost(self, error: Exception | None) -> None:
        """Takes note that the connection is gone; every request on it is told."""
        self._is_lost = True
        self._hub.timers.cancel(self)
        self._give_requests_up()
        super().connection_lost(error)

    def pause_writing(self) -> None:
        """Tells that the peer does not take its answer as fast as it comes."""
        super().pause_writing()
        self._await_writing()

    def resume_writing(self) -> None:
        """Tells that it does again."""
        super().resume_writing()
        self._written_by = None

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begins a request."""
        self._in_one_read += 1
        if len(self.pipeline) >= MAX_PIPELINED or self._in_one_read > MAX_PIPELINED + 1:
            raise _Refusal(503, f"more than {MAX_PIPELINED} requests wait behind another")
        self._incomplete = self._in_head = True
        self._read_by = None
        self._hosts = 0
        self._wants_websocket = None
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header, unless a WSGI environment could not tell it from another."""
        if not self._in_head or b"_" in name:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise _Refusal(431, f"it has more than {MAX_HEADERS} headers")
        name = name.lower()
        self._hosts += name == b"host"
        if name == b"expect":
            super().on_header(name, value.strip())
        else:  # of which uvicorn takes the same note
            self.headers.append((name, value.strip()))

    def on_headers_complete(self) -> None:
        """Hands the request to the application, if it is one of a version that is spoken here."""
        self._unparsed = 0
        self._in_head = False
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _Refusal(505, "it is neither of HTTP/1.0 nor of HTTP/1.1")
        if self._hosts != 1 and (self._hosts or version == "1.1"):  # RFC 9112 section 3.2
            raise _Refusal(400, "it has not exactly one Host")
        super().on_headers_complete()
        if not self.pipeline:
            self._running = self.cycle

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request."""
        self._incomplete = False
        self._read_by = None
        self._unparsed = 0
        if self.cycle is not None and self.cycle.response_complete:  # it was answered before its end
            self._await_next()
        super().on_message_complete()

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """Goes on to the next request, or to the end; uvicorn would start a timer for each."""
        if self.transport.is_closing():
            super().on_response_complete()
            self._await_writing()
        elif self.pipeline:
            self._running = self.pipeline[-1][0]
            super().on_response_complete()
        else:  # what uvicorn does, but for the timer
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._await_next()

    def _should_upgrade(self) -> bool:
        """Returns whether a websocket is among what the peer would rather speak; HTTP/1.0 cannot say so."""
        if self._wants_websocket is None:
            offered = self._get_upgrade() if self.parser.get_http_version() == "1.1" else None
            tokens = () if offered is None else (token.strip() for token in offered.split(b","))
            self._wants_websocket = b"websocket" in tokens
        return self._wants_websocket

    # The ways out

    def _switch(self, early: bytes) -> None:
        """Hands the connection over for a websocket; what else the peer would rather speak is not spoken."""
        if not self._should_upgrade():
            self.cycle.keep_alive = False  # the parser takes nothing any more, so the answer is the last one
        elif self._is_answering:
            self._refuse(_Refusal(400, "it asks for a websocket behind a request that is not answered"))
        elif self.flow.write_paused:  # whoever took over would never hear of it
            self._refuse(_Refusal(400, "it asks for a websocket and does not take an earlier answer"))
        else:
            self._hub.timers.cancel(self)
            self.switch(WebSocketDoor(self._server, self._endpoint, self._logger, self.server_state, early))

    def _refuse(self, refusal: _Refusal) -> None:
        """Answers with an error, unless an answer has begun, and closes once the peer can have read it."""
        self._refused = True
        self._tell(refusal.what)
        transport = self.transport
        begun = self._is_answering and self.cycle.response_started
        if not begun and not self.pipeline:
            transport.write(response_head(Reply(refusal.status)))
        if begun or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
        self._give_requests_up()
        self.flow.resume_reading()  # to its end
        self._read_by = self._hub.now() + LINGER
        self._schedule()

    def _tell(self, what: str) -> None:
        address = self.client[0] if self.client else "a Unix socket"
        self._server.log.rarely(what, "Refusing a request from %s: %s", address, what)

    @property
    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _give_requests_up(self) -> None:
        """Tells every request that nobody will read its answer, which uvicorn tells the last one alone."""
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline), self.cycle):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()

    # Time

    def expire(self, now: float) -> float | None:
        """Ends what takes too long (called by the timer wheel)."""
        if self._read_by is not None and now >= self._read_by:
            if self._refused or not self.flow.read_paused:
                self._end_reading()
                return self._next_deadline()
            self._read_by = now + self._patience  # it is the application that takes its time
        if self._written_by is not None and now >= self._written_by:
            unwritten = self.transport.get_write_buffer_size()
            if unwritten >= self._unwritten:
                self._tell("it does not take its answer (option request_timeout)")
                self.transport.abort()
                return None
            self._await_writing()
        return self._next_deadline()

    def _end_reading(self) -> None:
        self._read_by = None
        if self._refused:
            self.transport.abort()
        elif self._incomplete:
            self._refuse(_Refusal(408, "it does not arrive (option request_timeout)"))
        else:  # nothing has come at all, or no further request
            self.transport.close()
            self._await_writing()

    def _await_next(self) -> None:
        """Gives another request its time to begin."""
        if not self._incomplete and not self._refused:
            self._read_by = self._hub.now() + self.timeout_keep_alive
            self._schedule()

    def _await_rest(self, size: int) -> None:
        """Gives an incomplete request its time, and a little more with each part that comes."""
        if self._read_by is None:
            self._read_by = self._hub.now() + self._patience
            self._schedule()
        else:
            self._read_by += size / MIN_RATE

    def _await_writing(self) -> None:
        self._unwritten = self.transport.get_write_buffer_size()
        self._written_by = self._hub.now() + self._patience
        self._schedule()

    def _next_deadline(self) -> float | None:
        if self._read_by is None or self._written_by is None:
            return self._written_by if self._read_by is None else self._read_by
        return min(self._read_by, self._written_by)

    def _schedule(self) -> None:
        """Sees to it that `expire` is called in time; it looks again, so it may be called too early."""
        deadline = self._next_deadline()
        if deadline is not None and not self._is_lost and not self._hub.timers.comes(self, deadline):
            self._hub.schedule(self, deadline)


class _Refusal(Exception):  # noqa: N818  # it is not what went wrong, but what is answered
    """Raised where the parser calls, to refuse a request.

    Args:
        status: the status of the answer.
        what: what is wrong with it, for the log; from a fixed set.

    Attributes:
        status: the status of the answer.
        what: what is wrong with it.
    """

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what


def http_class(
    server: Server, endpoint: Endpoint, accepted: Callable[[int], None]
) -> Callable[..., HTTPProtocol]:
    """Returns what uvicorn takes as its option `http`."""
    return partial(HTTPProtocol, server, endpoint, QuietLogger(server.log), accepted)
