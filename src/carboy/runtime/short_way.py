"""The short way of the usual event: JSON text in the main namespace, for a plain handler registered by name.

What it does is what `Connection.receive_text`, the codec, `Server.packet_received`, `Events` and `Jobs` do
together; one function on the loop and one on a handler thread save ten calls and five objects an event, which
is a third of its cost. Whatever is not usual is left to them, before anything has happened: it must not grow
rules of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from carboy.runtime.client import CONNECTED, Client
from carboy.runtime.connection import Connection
from carboy.runtime.events import Events
from carboy.runtime.handlers import Handler
from carboy.runtime.hub import Hub
from carboy.runtime.jobs import Jobs
from carboy.runtime.message import Message
from carboy.socketio.packets import DecoderLimits

_read_json = msgspec.json.Decoder(tuple[Any, ...]).decode


class ShortWay:
    """Takes events and answers them, for a server whose codec is JSON without a `json=` of the application.

    Args:
        hub: where the threads and the loop are.
        handlers: who answers, by the name of the event; no names that a client must not send, and no "*".
        events: who reports exceptions, and answers what is not usual.
        jobs: who runs coroutine functions, and what waits for one.
        limits: the bounds of the decoder.
        max_queued: how much of one connection may wait before it is not read.
    """

    def __init__(
        self,
        hub: Hub,
        handlers: Mapping[str, Handler],
        events: Events,
        jobs: Jobs,
        limits: DecoderLimits,
        max_queued: int,
    ) -> None:
        self._hub = hub
        self._handlers = handlers
        self._events = events
        self._jobs = jobs
        self._max_queued = max_queued
        self._longest = 2 * limits.max_depth  # each level takes two brackets, so this needs no look at them
        self._bracket_by = len(b"42") + limits.max_id_digits + 1
        self._run_bound = self._run  # once, not for every event

    def receive(self, connection: Connection, packet: bytes) -> bool:
        """Takes an event; only in the loop's thread.

        Args:
            connection: who sent it; it expects no attachment.
            packet: one Engine.IO text packet, with its type digit.

        Returns:
            False if it has to go the plain way, and nothing has happened.
        """
        start = packet.find(b"[", 2, self._bracket_by)
        if start < 0 or packet[:2] != b"42" or len(packet) > self._longest:
            return False
        digits = packet[2:start]
        client = connection.clients.get("/")
        if client is None or client.state is not CONNECTED or (digits and not digits.isdigit()):
            return False
        try:
            data = _read_json(packet[start:])
            handler = self._handlers.get(data[0])
        except Exception:  # noqa: BLE001 (whatever is wrong with it, the plain way says so)
            return False
        if handler is None:
            return False
        if handler.is_async or connection.queue is not None or connection.beginning:
            self._jobs.start(client, handler, data[0], data[1:], self._done, (digits, data[0]))
            return True
        connection.submitted += 1
        self._hub.threads.submit(handler, connection, self._run_bound, client, handler, data, digits)
        if connection.submitted - connection.started + connection.held >= self._max_queued:
            connection.review()
        return True

    def _run(self, client: Client, handler: Handler, data: tuple[Any, ...], digits: bytes) -> None:
        connection = client.connection
        if connection.paused:
            self._jobs.started(connection)
        if client.dismissed:
            return
        try:
            result = handler.invoke(client, data[0], data[1:])
        except BaseException as error:  # noqa: BLE001 (a handler may raise anything, SystemExit included)
            self._events.report(client, data[0], error)
        else:
            if digits:
                self._answer(client, digits, data[0], result)

    def _done(self, client: Client, token: Any, result: Any, error: BaseException | None) -> None:
        """Ends an event that `Jobs` has run; the token is (the digits of its number, its name)."""
        digits, event = token
        if error is not None:
            self._events.report(client, event, error)
        elif digits:
            self._answer(client, digits, event, result)

    def _answer(self, client: Client, digits: bytes, event: str, result: Any) -> None:
        try:
            payload = orjson.dumps(result if type(result) is tuple else [result])
        except TypeError:  # attachments among others
            payload = None
        if payload is None or result is None:
            self._events.answer(client, (int(digits), event), result, None)
        else:
            self._hub.outbox.put(Client.send, client, Message(b"43" + digits + payload))
