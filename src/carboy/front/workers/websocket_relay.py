"""Websockets on their way to the worker that has the session.

The connection itself moves, as a file descriptor: from then on it costs what any other costs. Where the
server keeps it (plain ASGI) the events move instead.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from carboy.engineio.close_codes import ABNORMAL_CLOSURE, GOING_AWAY
from carboy.exceptions import RequestError
from carboy.front.fast_lane import FastLane
from carboy.front.http_text import response_head
from carboy.front.workers.conversation import Conversation
from carboy.front.workers.frames import HANDOVER
from carboy.runtime.log import Log
from carboy.transports.asgi_websocket import Event, Receive, Send
from carboy.transports.endpoint import Endpoint
from carboy.transports.other_worker import relayed_fields

SendFrame: TypeAlias = "Callable[[str, int, bytes, socket.socket], None]"

REFUSED = "refused"
"""The type of the event that is no event of ASGI: the owner of the session refuses the handshake."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[dict[str, str], str, bytes]).decode


class WebSocketRelay:
    """Both ends of websockets that move; all in the loop's thread.

    Args:
        endpoint: admits those of others.
        lane: serves them.
        log: where a failure is told.
        send: sends a frame with a socket to the worker of a name.
    """

    def __init__(self, endpoint: Endpoint, lane: FastLane, log: Log, send: SendFrame) -> None:
        self._endpoint = endpoint
        self._lane = lane
        self._log = log
        self._send = send
        self._conversations: set[asyncio.Task[None]] = set()

    # Websockets that arrived here

    def hand_over(
        self, name: str, taken: socket.socket, environ: dict[str, Any], key: str, early: bytes
    ) -> None:
        """Gives a connection to another worker; see `OtherWorker.adopt`."""
        self._send(name, HANDOVER, _encode((relayed_fields(environ), key, early)), taken)

    async def converse(self, name: str, environ: dict[str, Any], receive: Receive, send: Send) -> None:
        """Carries the events of a websocket to another worker and back; see `OtherWorker.converse`."""
        near, far = socket.socketpair()
        self._send(name, HANDOVER, _encode((relayed_fields(environ), "", b"")), far)
        conversation = await Conversation.open(near)
        upward = asyncio.ensure_future(_carry(receive, conversation))
        try:
            await _answer(conversation, send)
        finally:
            upward.cancel()
            conversation.close()

    # Websockets that arrived elsewhere

    def take(self, name: str, payload: bytes, taken: socket.socket | None) -> None:
        """Takes a websocket for a session here."""
        if taken is None:
            self._log.rarely("workers", "Too many files are open for the websocket of another worker")
            return
        environ, key, early = _decode(payload)
        if key:
            self._adopt(taken, environ, key, early)
            return
        task = asyncio.ensure_future(self._converse_here(taken, environ))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    def _adopt(self, taken: socket.socket, environ: dict[str, Any], key: str, early: bytes) -> None:
        try:
            connection = self._endpoint.admit_relayed(environ)
        except RequestError as error:
            reply = self._endpoint.refusal(environ, error)
            with taken, suppress(OSError):
                taken.send(response_head(reply) + reply.body)
        else:
            self._lane.adopt(taken, environ, key, connection, early)

    async def _converse_here(self, end: socket.socket, environ: dict[str, Any]) -> None:
        conversation = await Conversation.open(end)

        async def receive() -> Event:
            try:
                return await conversation.receive()
            except EOFError:
                return {"type": "websocket.disconnect", "code": ABNORMAL_CLOSURE}

        try:
            connection = self._endpoint.admit_relayed(environ)
            await self._endpoint.asgi_websocket(environ, connection).run(receive, conversation.send)
        except RequestError as error:
            refusal = {"code": error.code, "message": error.message, "status": error.status}
            await conversation.send({"type": REFUSED, **refusal})
        finally:
            conversation.close()


async def _carry(receive: Receive, conversation: Conversation) -> None:
    with suppress(OSError):  # the owner has ended, which whoever reads from it sees
        kind = ""
        while kind != "websocket.disconnect":
            event = await receive()
            await conversation.send(event)
            kind = event["type"]


async def _answer(conversation: Conversation, send: Send) -> None:
    """Carries the events of the owner to the server until either has ended."""
    kind = ""
    with suppress(OSError, RuntimeError):  # what servers raise once the peer has gone
        while kind != "websocket.close":
            try:
                event = await conversation.receive()
            except EOFError:
                if not kind:
                    raise RequestError(1, "Session ID unknown") from None
                event = {"type": "websocket.close", "code": GOING_AWAY}
            kind = event.pop("type")
            if kind == REFUSED:
                raise RequestError(**event)
            await send({"type": kind, **event})
