"""What the messages of other processes lead to in this one.

All of it happens in a thread of the bus, which must not wait, and where nothing may end: a message that makes
no sense costs a line in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from carboy.adapters.bus import Bus
from carboy.adapters.local import LocalAdapter
from carboy.adapters.messages import (
    Message,
    arguments_of,
    decode_message,
    read_arguments,
    read_rooms,
    read_skipped,
    read_text,
)
from carboy.exceptions import CarboyError, NotConnectedError
from carboy.runtime.acks import NOBODY, Answered, Lost
from carboy.runtime.census import Census
from carboy.runtime.client import Client
from carboy.runtime.log import Log
from carboy.runtime.remote_acks import RemoteAcks
from carboy.socketio.json_codec import JSONCodec


class Local(Protocol):
    """What is needed of the server: what it does for the clients of this process alone."""

    adapter: LocalAdapter[Client]
    log: Log

    def emit(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable] | None = None,
        skip: Collection[str] = (),
        volatile: bool = False,
        everywhere: bool = True,
    ) -> None:
        """Sends an event."""

    def emit_with_ack(
        self,
        event: str,
        arguments: Sequence[Any],
        answered: Answered,
        lost: Lost,
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable] | None = None,
        skip: Collection[str] = (),
        timeout: float | None = None,
        everywhere: bool = True,
    ) -> int:
        """Sends an event that each recipient is asked to acknowledge."""

    def enter_room(self, sid: str, room: Hashable, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Puts a client into a room."""

    def leave_room(self, sid: str, room: Hashable, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Takes a client out of a room."""

    def close_room(self, room: Hashable, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Empties a room."""

    def disconnect(self, sid: str, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Disconnects a client."""

    def on_loop(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function where acknowledgements are dealt with."""


class Incoming:
    """Does what other processes say.

    Args:
        local: the server.
        bus: whose messages they are.
        codec: writes the arguments of answers.
        publish: sends answers, to one node or to all.
        acks: what waits for acknowledgements of clients elsewhere.
        census: answers questions about clients.
    """

    def __init__(
        self,
        local: Local,
        bus: Bus,
        codec: JSONCodec,
        publish: Callable[[Message, str | None], None],
        acks: RemoteAcks,
        census: Census,
    ) -> None:
        self._local = local
        self._bus = bus
        self._codec = codec
        self._publish = publish
        self._acks = acks
        self._methods: dict[str, Callable[[Message], None]] = {
            "emit": self._emit,
            "callback": self._callback,
            "unanswered": self._unanswered,
            "disconnect": self._disconnect,
            "enter_room": self._enter_room,
            "leave_room": self._leave_room,
            "close_room": self._close_room,
            "move": self._move,
            "query": census.answer,
            "reply": census.replied,
        }

    def receive(self, data: bytes) -> None:
        """Does what a message says; one that makes no sense costs a line in the log."""
        try:
            message = decode_message(data)
            answer = message["method"] == "callback"
            if answer == (message.get("host_id") == self._bus.node):
                method = self._methods.get(message["method"])
                if method is not None:
                    method(message)
        except (CarboyError, TypeError, ValueError, RecursionError) as error:
            self._local.log.rarely("queue", "Ignoring a message of another process: %s", error)
        except Exception as error:
            self._local.log.exception("A message of another process could not be served", error=error)

    def _emit(self, message: Message) -> None:
        event, namespace = read_text(message, "event"), read_text(message, "namespace", "/")
        rooms, skip = read_rooms(message.get("room")), read_skipped(message.get("skip_sid"))
        callback = message.get("callback")
        if isinstance(callback, list) and len(callback) == 3:
            self._emit_and_answer(message, event, namespace, rooms, skip, callback)
        elif self._local.adapter.recipients(namespace, rooms, skip):  # else nothing is decoded any further
            arguments = read_arguments(message)
            volatile = message.get("volatile") is True
            self._local.emit(
                event,
                arguments,
                namespace=namespace,
                rooms=rooms,
                skip=skip,
                volatile=volatile,
                everywhere=False,
            )

    def _emit_and_answer(
        self,
        message: Message,
        event: str,
        namespace: str,
        rooms: list[Any] | None,
        skip: tuple[str, ...],
        callback: list[Any],
    ) -> None:
        asker, census = read_text(message, "host_id"), message.get("census")
        room, place, number = callback
        keys = {"host_id": asker, "sid": room, "namespace": place, "id": number}
        # A process of Flask-SocketIO hears only what is for all.
        node = asker if census is not None else None

        def answered(client: Client | None, arguments: list[Any]) -> None:
            message = {"method": "callback", **keys, **arguments_of(self._codec, arguments, "args")}
            message["final"] = client is not None and rooms == [client.sid]  # nobody else can be meant
            self._publish(message, node)

        def unanswered(why: str, *, final: bool = False) -> None:
            self._publish(
                {"method": "unanswered", "id": number, "why": why, "final": final, "to": asker}, node
            )

        def lost(client: Client | None, why: str) -> None:
            if client is not None and rooms == [client.sid]:
                unanswered(why, final=True)
            elif client is not None:
                asked.add(-1, why)

        asked = _Asked(unanswered)
        count = self._local.emit_with_ack(
            event,
            read_arguments(message),
            answered,
            lost,
            namespace=namespace,
            rooms=rooms,
            skip=skip,
            everywhere=False,
        )
        if census:
            asked.add(count, NOBODY)

    def _callback(self, message: Message) -> None:
        arguments, final = read_arguments(message, "args"), message.get("final") is True
        self._acks.answered(message.get("id"), arguments, final=final)

    def _unanswered(self, message: Message) -> None:
        node = None if message.get("final") else read_text(message, "host_id")
        if message.get("to") == self._bus.node:
            self._acks.lost(message.get("id"), node, str(message.get("why") or NOBODY))

    def _disconnect(self, message: Message) -> None:
        sid, namespace = read_text(message, "sid"), read_text(message, "namespace", "/")
        self._local.disconnect(sid, namespace, everywhere=False)

    def _enter_room(self, message: Message) -> None:
        self._change(self._local.enter_room, message)

    def _leave_room(self, message: Message) -> None:
        self._change(self._local.leave_room, message)

    def _change(self, change: Callable[..., None], message: Message) -> None:
        sid, namespace = read_text(message, "sid"), read_text(message, "namespace", "/")
        with suppress(NotConnectedError):  # it is connected to another process, or has left
            for room in read_rooms(message.get("room")) or ():
                change(sid, room, namespace, everywhere=False)

    def _close_room(self, message: Message) -> None:
        namespace = read_text(message, "namespace", "/")
        for room in read_rooms(message.get("room")) or ():
            self._local.close_room(room, namespace, everywhere=False)

    def _move(self, message: Message) -> None:
        namespace, rooms = read_text(message, "namespace", "/"), read_rooms(message.get("rooms"))
        change = message.get("change")
        for client in self._local.adapter.recipients(namespace, rooms):
            if change == "disconnect":
                self._local.disconnect(client.sid, namespace, everywhere=False)
            elif change in ("enter_room", "leave_room"):
                self._methods[change]({**message, "sid": client.sid})


class _Asked:
    """How many clients another process waits for; those that answer stay counted, since it has its answer.

    Args:
        nobody: called with the reason when the last one is lost, or none was asked.
    """

    def __init__(self, nobody: Callable[[str], None]) -> None:
        self._nobody = nobody
        self._count = 0
        self._lock = threading.Lock()

    def add(self, change: int, why: str) -> None:
        """Counts those that were asked, or one that is lost, which may come first."""
        with self._lock:
            self._count += change
            if self._count:
                return
        self._nobody(why)
