"""The server behind any WSGI server: polling everywhere, websockets where the server shows its socket.

Neither holds a thread while it is idle: the socket moves to the hub and the thread goes back to work. Where a
socket cannot be moved (TLS) a thread carries its bytes; where none is shown only polling is offered, and a
poll returns after a while.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from carboy.config import SHUTDOWN_TIMEOUT, Config
from carboy.engineio.requests import is_websocket_upgrade
from carboy.exceptions import BlockingCallError, ConfigurationError, LimitError, RequestError
from carboy.front.background import BackgroundHub
from carboy.front.fast_lane import FastLane
from carboy.front.green_threads import is_in_green_thread
from carboy.front.gunicorn_worker import count_threads, is_loaded, is_stopping
from carboy.front.handover import can_move, find_socket, lasting, take_socket
from carboy.front.held_polls import HeldPolls
from carboy.front.http_text import status_line
from carboy.front.moved_poll import MovedPoll
from carboy.front.places import Places
from carboy.front.relay import relay
from carboy.front.workers.group import WorkerGroup
from carboy.front.workers.masters import Master, master_of_worker, master_of_wsgi
from carboy.runtime.draining import drain
from carboy.runtime.server import Server
from carboy.transports.endpoint import Endpoint, Session
from carboy.transports.other_worker import OtherWorker
from carboy.transports.rewriting import Reply

StartResponse = Callable[..., Any]

HOLD_BEFORE_MOVE = 0.02
"""Seconds that a poll waits on its thread before its socket moves.

Most answers to a client's own events come within. What moves is closed after its answer, and a new connection
for the next poll adds a third to what an event costs.
"""

MANY = 64
"""Threads that may do the same at once, where the server has any number of threads."""

CLOSE_TIMEOUT = 1.0
"""Seconds that websockets are given at the end to answer the close frame."""


class WSGIFront:
    """Answers what a WSGI server brings.

    Args:
        server: the server.
        shutdown_timeout: seconds that handlers are given when the process ends.
    """

    def __init__(self, server: Server, shutdown_timeout: float = SHUTDOWN_TIMEOUT) -> None:
        self._server = server
        self._shutdown_timeout = shutdown_timeout
        self._endpoint = Endpoint(server)
        self._lane = FastLane(server, self._endpoint)
        self._group = WorkerGroup(server, self._endpoint)
        if is_loaded():
            server.find_others = self._join_early
        self._joined_in: int | None = None
        self._places: _Places | None = None
        self._told: set[str] = set()
        self.hub = BackgroundHub(server, self._finish, shutdown_timeout)

    def handles(self, environ: dict[str, Any]) -> bool:
        """Returns whether a request is below the server's path."""
        path: str = environ.get("PATH_INFO", "")
        return path.startswith(self._server.config.path)

    def join(self, environ: dict[str, Any]) -> None:
        """Joins the other workers of the same master, with the first request of all, whatever it is for.

        Args:
            environ: the WSGI environment of the request.
        """
        if self._joined_in != os.getpid():
            self._join(master_of_wsgi(environ, self._group.number))
            self._joined_in = os.getpid()

    def _join_early(self) -> None:
        """Joins them before any request, for an emit: only where this is a worker for sure."""
        if self._joined_in != os.getpid():
            self._join(master_of_worker(self._group.number))

    def _join(self, master: Master | None) -> None:
        if master is not None:
            with suppress(RequestError, ConfigurationError, BlockingCallError):
                self.hub.run(self._group.join(master))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request (PEP 3333)."""
        try:
            self.hub.start()
            self.join(environ)
            shown = find_socket(environ)
            if is_websocket_upgrade(environ):
                return self._websocket(environ, start_response, shown)
            if environ["REQUEST_METHOD"] == "GET":
                return self._get(environ, start_response, shown)
            exchange = _Exchange(_read_body(environ, shown, self._server.config))
            return _reply(self.hub.run(self._endpoint.serve(environ, exchange)), start_response)
        except RequestError as error:
            return _reply(self._endpoint.refusal(environ, error), start_response)
        except ConfigurationError as error:
            self._tell_once("%s", error)
            return _reply(
                Reply(503, [("Content-Type", "text/plain")], b"See the log of the server"), start_response
            )

    # Polls

    def _get(
        self, environ: dict[str, Any], start_response: StartResponse, shown: socket.socket | None
    ) -> Iterable[bytes]:
        exchange = _Exchange(b"")
        movable = shown is not None and can_move(shown)
        websockets = movable or (shown is not None and self._places_of(environ).relays.available)
        serving = self._endpoint.serve(lasting(environ), exchange, websockets=websockets)
        if shown is None or not movable:
            held = self._places_of(environ).held
            return _reply(self.hub.run(_hold(serving, held, exchange)), start_response)
        task, done = self._wait_a_little(serving, environ)
        if done:
            return _reply(task.result(), start_response)
        ours, remains = take_socket(shown)
        self.hub.call(self._finish_elsewhere, task, exchange, ours)
        start_response("200 OK", [("Connection", "close")])
        return remains

    def _wait_a_little(
        self, serving: Coroutine[Any, Any, Reply], environ: dict[str, Any]
    ) -> tuple[asyncio.Task[Reply], bool]:
        """Waits for a reply on this thread; returns its task, and whether it is done."""
        waiting = self._places_of(environ).waiting
        if not waiting.acquire():
            return self.hub.run(_begin(serving, 0))
        try:
            return self.hub.run(_begin(serving, HOLD_BEFORE_MOVE))
        finally:
            waiting.release()

    def _finish_elsewhere(self, task: asyncio.Task[Reply], exchange: _Exchange, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        poll = MovedPoll(task, exchange.left)
        self._server.hub.spawn(loop.connect_accepted_socket(lambda: poll, ours))

    # Websockets

    def _websocket(
        self, environ: dict[str, Any], start_response: StartResponse, shown: socket.socket | None
    ) -> Iterable[bytes]:
        if shown is None:
            self._tell_once(
                "This WSGI server does not show the sockets of its HTTP/1.1 requests, so clients stay on"
                " polling; gunicorn's gthread workers show them",
            )
            raise RequestError(0, "Transport unknown")
        lasting_environ = lasting(environ)
        key, session = self.hub.run(self._endpoint.admit(lasting_environ))
        if not can_move(shown):
            return self._carry(shown, environ, key, session, start_response)
        ours, remains = take_socket(shown)
        self.hub.call(self._adopt, ours, lasting_environ, key, session)
        start_response("101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "close")])
        return remains

    def _adopt(self, ours: socket.socket, environ: dict[str, Any], key: str, session: Session) -> None:
        if isinstance(session, OtherWorker):
            session.adopt(ours, environ, key)
        else:
            self._lane.adopt(ours, environ, key, session)

    # Websockets over TLS

    def _carry(
        self,
        shown: socket.socket,
        environ: dict[str, Any],
        key: str,
        session: Session,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Carries the bytes of a socket on this thread until it is closed."""
        relays = self._places_of(environ).relays
        if not relays.acquire():
            raise RequestError(3, "Too many websockets over TLS", 503)
        self._tell_once(
            "A websocket over TLS holds a thread of the WSGI server, and %d may: let a proxy such as"
            " nginx speak TLS, or serve with socketio.run()",
            relays.bound,
        )
        try:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            self.hub.call(self._adopt, ours, lasting(environ), key, session)
            relay(shown, theirs, is_stopping)
        finally:
            relays.release()
        # The client has gone, and what the server writes goes nowhere.
        start_response("101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "close")])
        return []

    def _places_of(self, environ: dict[str, Any]) -> _Places:
        """Returns what the server's threads allow."""
        if self._places is None:
            config = self._server.config
            multithread = bool(environ.get("wsgi.multithread")) and not is_in_green_thread()
            threads = count_threads(multithread)
            half = MANY if threads is None else threads // 2
            self._places = _Places(
                waiting=Places(half),
                relays=Places(MANY if threads is None else min(MANY, threads - 1)),
                held=HeldPolls(min(config.poll_threads, half), config.poll_time),
            )
        return self._places

    # The log, and the end

    def _tell_once(self, message: str, *args: Any) -> None:
        if message not in self._told:
            self._told.add(message)
            self._server.log.warning(message, *args)

    async def _finish(self) -> None:
        self._endpoint.closing = True
        self._group.hurry()
        await drain(self._server, self._shutdown_timeout)
        await self._endpoint.finish(CLOSE_TIMEOUT)
        await self._group.leave()


@dataclass(frozen=True)
class _Places:
    """How many threads may do what at once.

    Attributes:
        waiting: wait with a poll whose socket then moves.
        relays: carry a websocket over TLS.
        held: wait with a poll whose socket cannot move.
    """

    waiting: Places
    relays: Places
    held: HeldPolls


class _Exchange:
    """A request whose body was read on its thread.

    Attributes:
        returned: set when the request is to return with what there is.
    """

    def __init__(self, body: bytes | LimitError | ConnectionError) -> None:
        self._body = body
        self._has_left = False
        self.returned = asyncio.Event()

    async def read(self, limit: int) -> bytes:
        if not isinstance(self._body, bytes):
            raise self._body
        return self._body

    async def gone(self) -> bool:
        await self.returned.wait()
        return self._has_left

    def left(self) -> None:
        """Takes note that the peer has gone."""
        self._has_left = True
        self.returned.set()


async def _begin(serving: Coroutine[Any, Any, Reply], patience: float) -> tuple[asyncio.Task[Reply], bool]:
    task: asyncio.Task[Reply] = asyncio.ensure_future(serving)
    done, _ = await asyncio.wait((task,), timeout=patience)
    return task, bool(done)


async def _hold(serving: Coroutine[Any, Any, Reply], held: HeldPolls, exchange: _Exchange) -> Reply:
    return await held.hold(asyncio.ensure_future(serving), exchange.returned.set)


def _read_body(
    environ: dict[str, Any], shown: socket.socket | None, config: Config
) -> bytes | LimitError | ConnectionError:
    """Reads the body of a request on its thread, which a peer that sends a part must not hold for ever."""
    length, limit = environ.get("CONTENT_LENGTH", ""), config.max_http_buffer_size
    if length.isdigit():
        if int(length) > limit:
            return LimitError(f"a body of {length} bytes is longer than {limit}", "max_http_buffer_size")
        body = _read(environ, shown, int(length), config.request_timeout)
        return body if len(body) == int(length) else ConnectionError("the peer has gone, or is too slow")
    if environ.get("wsgi.input_terminated"):
        body = _read(environ, shown, limit + 1, config.request_timeout)
        if len(body) > limit:
            return LimitError(f"a body is longer than {limit} bytes", "max_http_buffer_size")
        return body
    return b""


def _read(environ: dict[str, Any], shown: socket.socket | None, size: int, patience: float) -> bytes:
    """Reads up to so many bytes; what the server cannot read, be it late or malformed, is read as nothing."""
    before = None if shown is None else shown.gettimeout()
    try:
        if shown is not None:
            shown.settimeout(patience)
        body: bytes = environ["wsgi.input"].read(size)
    except Exception:  # noqa: BLE001  # each server has errors of its own for what a peer sends
        if shown is not None:
            shown.shutdown(socket.SHUT_RD)  # the server would wait for the rest of the body
        return b""
    finally:
        if shown is not None:
            shown.settimeout(before)
    return body


def _reply(reply: Reply, start_response: StartResponse) -> Iterable[bytes]:
    start_response(status_line(reply.status), [*reply.headers, ("Content-Length", str(len(reply.body)))])
    return [reply.body]
