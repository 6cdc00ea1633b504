"""Polls and POSTs on their way to the worker that has the session, and their answers on the way back.

Many are under way on one connection, each with a number; none holds a thread or a connection of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, TypeAlias

import msgspec

from carboy.exceptions import LimitError, RequestError
from carboy.front.workers.frames import END, REPLY, REQUEST
from carboy.transports.endpoint import Endpoint
from carboy.transports.exchange import Exchange, wait_for
from carboy.transports.other_worker import relayed_fields
from carboy.transports.replies import NO_STORE
from carboy.transports.rewriting import Reply

Send: TypeAlias = "Callable[[str, int, bytes], None]"

READ, TOO_LONG, BROKEN = range(3)
"""What became of the body of a request where it arrived."""

LAST_TIME = 1.0
"""Seconds that requests of other workers are given at the end."""

_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(tuple[int, dict[str, str], int, bytes]).decode
_decode_end = msgspec.msgpack.Decoder(tuple[int, bool]).decode
_decode_reply = msgspec.msgpack.Decoder(tuple[int, int, list[tuple[str, str]], bytes]).decode


class HTTPRelay:
    """Both ends of relayed requests; all in the loop's thread.

    Args:
        endpoint: answers those of others.
        max_bytes: bytes of a body.
        send: sends a frame to the worker of a name.
    """

    def __init__(self, endpoint: Endpoint, max_bytes: int, send: Send) -> None:
        self._endpoint = endpoint
        self._max_bytes = max_bytes
        self._send = send
        self._numbers = count()
        self._asked: dict[int, tuple[str, asyncio.Future[Reply]]] = {}
        self._answering: dict[tuple[str, int], _RelayedExchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurries = False

    # Requests that arrived here

    async def ask(self, name: str, environ: dict[str, Any], exchange: Exchange) -> Reply:
        """Has another worker answer a request.

        Args:
            name: the worker.
            environ: the WSGI environment.
            exchange: the body and the end of the request.

        Raises:
            RequestError: if the worker ends first.
        """
        polls = environ["REQUEST_METHOD"] != "POST"
        number = next(self._numbers)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[number] = name, answer  # already here, since the worker may end while the body arrives

        def ended(has_left: bool) -> None:
            self._send(name, END, _encode((number, has_left)))
            if has_left:
                answer.set_result(Reply(400, [NO_STORE]))

        try:
            state, body = (READ, b"") if polls else await self._read(exchange)
            if not answer.done():  # else the worker has ended
                self._send(name, REQUEST, _encode((number, relayed_fields(environ), state, body)))
            if polls and self._hurries:
                ended(False)
            return await (wait_for(answer, exchange, ended) if polls else answer)
        finally:
            del self._asked[number]
            if not answer.done():
                answer.cancel()
                self._send(name, END, _encode((number, True)))

    async def _read(self, exchange: Exchange) -> tuple[int, bytes]:
        try:
            return READ, await exchange.read(self._max_bytes)
        except LimitError:
            return TOO_LONG, b""
        except ConnectionError:
            return BROKEN, b""

    def hurry(self) -> None:
        """Has the polls return that wait for other workers, and those that come, since this one ends."""
        self._hurries = True
        for number, (name, _) in self._asked.items():
            self._send(name, END, _encode((number, False)))

    def lost(self, name: str) -> None:
        """Refuses what waits for a worker that has ended, and ends what it asked."""
        for worker, answer in self._asked.values():
            if worker == name and not answer.done():
                answer.set_exception(RequestError(1, "Session ID unknown"))
                answer.exception()  # counts as seen, as a request that is cut off in its body does not look
        for (worker, _), exchange in self._answering.items():
            if worker == name:
                exchange.end(left=True)

    def take_reply(self, name: str, payload: bytes, taken: socket.socket | None) -> None:
        """Takes the answer to a request that arrived here."""
        number, status, headers, body = _decode_reply(payload)
        _, answer = self._asked.get(number, (name, None))
        if answer is not None and not answer.done():
            answer.set_result(Reply(status, headers, body))

    # Requests that arrived elsewhere

    def take_request(self, name: str, payload: bytes, taken: socket.socket | None) -> None:
        """Takes a request that is for a session here."""
        number, environ, state, body = _decode_request(payload)
        exchange = self._answering[name, number] = _RelayedExchange(state, body)
        task = asyncio.ensure_future(self._answer(name, number, environ, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take_end(self, name: str, payload: bytes, taken: socket.socket | None) -> None:
        """Takes note that a request is to return, or that its peer has gone."""
        number, left = _decode_end(payload)
        exchange = self._answering.get((name, number))
        if exchange is not None:
            exchange.end(left=left)

    async def _answer(
        self, name: str, number: int, environ: dict[str, str], exchange: _RelayedExchange
    ) -> None:
        reply = Reply(503)
        try:
            reply = await self._endpoint.serve_relayed(environ, exchange)
        finally:
            del self._answering[name, number]
            self._send(name, REPLY, _encode((number, reply.status, reply.headers, reply.body)))

    async def finish(self) -> None:
        """Answers what is still asked here: sessions have ended, so it returns soon."""
        tasks = tuple(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=LAST_TIME)
            for task in late:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


class _RelayedExchange:
    """A request whose body was read by the worker where it arrived."""

    def __init__(self, state: int, body: bytes) -> None:
        self._state = state
        self._body = body
        self._left = False
        self._returned = asyncio.Event()

    async def read(self, limit: int) -> bytes:
        if self._state == TOO_LONG:
            raise LimitError(f"a body is longer than {limit} bytes", "max_http_buffer_size")
        if self._state == BROKEN:
            raise ConnectionError("the peer has gone")
        return self._body

    async def gone(self) -> bool:
        await self._returned.wait()
        return self._left

    def end(self, *, left: bool) -> None:
        """Has the request return; `left` if its peer has gone."""
        self._left = left
        self._returned.set()
