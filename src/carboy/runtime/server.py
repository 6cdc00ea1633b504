"""The server: one per application, with its clients, its handlers and what may be called from any thread.

`emit`, `enter_room`, `leave_room`, `close_room` and `disconnect` never wait; only `call` does.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any

from carboy.adapters.local import LocalAdapter
from carboy.config import Config
from carboy.engineio.session import Session
from carboy.engineio.sids import generate_sid
from carboy.exceptions import BlockingCallError, NotConnectedError, PacketError
from carboy.runtime.acks import Ack, Answer, Answered, Lost
from carboy.runtime.client import CONNECTED, CONNECTING, Client
from carboy.runtime.connection import Connection
from carboy.runtime.events import Events
from carboy.runtime.handlers import Handler, Handlers
from carboy.runtime.hub import Hub
from carboy.runtime.jobs import Jobs
from carboy.runtime.lifecycle import CLIENT_DISCONNECT, SERVER_DISCONNECT, Lifecycle
from carboy.runtime.log import Log
from carboy.runtime.message import Message
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import ACK, CONNECT, DISCONNECT, EVENT, Codec, DecoderLimits, Packet


class Server:
    """A Socket.IO server.

    Args:
        config: the options.

    Attributes:
        handlers: who answers which event; register here.
        adapter: who is in which room.
        hub: the loop, the outbox, the timers and the handler threads.
        connections: the engine sessions by their id.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.log = Log(config.logger)
        self.hub = Hub(config.handler_threads)
        self.codec = make_codec(config)
        self.adapter: LocalAdapter[Client] = LocalAdapter()
        self.handlers = Handlers()
        self.connections: dict[str, Connection] = {}
        jobs = Jobs(self.hub, config.max_queued_events, one_at_a_time=not config.async_handlers)
        self.jobs = jobs
        self.events = Events(self.hub, self.handlers, jobs, self.codec, self.log)
        self.lifecycle = Lifecycle(
            config, self.hub, self.adapter, self.handlers, jobs, self.codec, self.events
        )
        self._ack_numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
        self._memory_lock = threading.RLock()
        self.memory_connections = 0

    # Engine sessions

    def open_session(self, environ: dict[str, Any], transport: str) -> Connection:
        """Makes a new engine session.

        Args:
            environ: the WSGI environment of the handshake.
            transport: "polling" or "websocket".

        Returns:
            Its connection, which still has to be opened with a transport.
        """
        now = self.hub.now() if self.hub.running else 0.0
        session = Session(generate_sid(), transport, self.config.ping_interval, self.config.ping_timeout, now)
        connection = Connection(self, session, environ)
        self.connections[session.sid] = connection
        return connection

    def packet_received(self, connection: Connection, packet: Packet) -> None:
        """Takes a Socket.IO packet from a connection.

        Raises:
            PacketError: if the packet must not come now.
        """
        type, namespace, number, data = packet
        client = connection.clients.get(namespace)
        if type == EVENT and client is not None and client.state is CONNECTED:  # the hot path
            self.events.receive(client, number, data)
        elif type == CONNECT:
            self.lifecycle.connect(connection, namespace, data)
        elif client is None:
            raise PacketError(f"a packet for the namespace {namespace[:50]!r}, which was not joined")
        elif type == ACK:
            self.events.receive_ack(client, number, data)
        elif type == DISCONNECT:
            self.lifecycle.disconnect(client, CLIENT_DISCONNECT, False)
        elif type == EVENT:
            self._event_out_of_time(client, number, data)
        else:
            raise PacketError("a packet that only a server may send")

    def connection_closed(self, connection: Connection, reason: str) -> None:
        """Takes leave of the clients of a connection that is over."""
        self.lifecycle.connection_closed(connection, reason)

    def connection_forgotten(self, connection: Connection) -> None:
        """Forgets a connection whose peer knows that it is over."""
        self.connections.pop(connection.session.sid, None)

    def _event_out_of_time(self, client: Client, number: int | None, data: list[Any]) -> None:
        if client.state is not CONNECTING:
            return  # it was disconnected while the event was under way
        if not self.config.always_connect:
            raise PacketError("an event before the namespace was joined")
        client.early = client.early or []
        if len(client.early) >= self.config.max_queued_events:
            raise PacketError("too many events before the connect handler was done (option max_queued_events)")
        client.early.append((number, data))

    # Sending

    def emit(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable] | None = None,
        skip: Collection[str] = (),
        volatile: bool = False,
    ) -> None:
        """Sends an event to everybody in a namespace, or in some rooms of it. Never waits.

        Args:
            event: its name.
            arguments: what the client's handler is called with.
            namespace: the namespace.
            rooms: rooms or sids, whose union counts; None for everybody, empty for nobody.
            skip: sids that are left out.
            volatile: whether it is dropped for clients that cannot take it now.

        Raises:
            TypeError: if the arguments cannot be encoded.
        """
        recipients = self.adapter.recipients(namespace, rooms, skip)
        if recipients:
            encoded = self.codec.encode(EVENT, namespace, None, [event, *arguments], b"4")
            self._post(recipients, Message(*encoded, volatile))

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
    ) -> int:
        """Sends an event that each recipient is asked to acknowledge. Never waits.

        Args:
            event: its name.
            arguments: what the client's handler is called with.
            answered: called for each answer with the client and its arguments.
            lost: called for each answer that will not come, with the client (None if there is no recipient) and why.
            namespace: the namespace.
            rooms: as in `emit`.
            skip: as in `emit`.
            timeout: seconds after which an answer counts as lost, None for no limit.

        Returns:
            How many clients are asked.
        """
        recipients = self.adapter.recipients(namespace, rooms, skip)
        number = next(self._ack_numbers[namespace]) if recipients else 0
        message = Message(*self.codec.encode(EVENT, namespace, number, [event, *arguments], b"4"))
        ack = Ack(number, answered, lost, timeout)
        remote = self._split(recipients, lambda local: ack.send(local, message))
        if remote or not recipients:
            self._on_loop(ack.send, remote, message)
        if timeout is not None and recipients:
            self._on_loop(self._start_timeout, ack, timeout)
        return len(recipients)

    def call(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable],
        timeout: float | None = 60,
    ) -> list[Any]:
        """Sends an event and waits for the acknowledgement; the first counts if several clients are asked.

        Args:
            event: its name.
            arguments: what the client's handler is called with.
            namespace: the namespace.
            rooms: as in `emit`, but not everybody.
            timeout: seconds to wait, None for no limit.

        Returns:
            The arguments of the acknowledgement.

        Raises:
            TimeoutError: if none comes in time, and at once when none can come any more.
            BlockingCallError: in the loop's thread, which must not wait.
        """
        if self.hub.is_here:
            raise BlockingCallError("call() would block the event loop; in a coroutine write `await call_async(...)`")
        answer = Answer(event)
        self._ask(answer, event, arguments, namespace, rooms, timeout)
        answer.wait(timeout)
        return answer.result()

    async def call_async(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable],
        timeout: float | None = 60,
    ) -> list[Any]:
        """The form of `call` that a coroutine awaits, on any loop; same arguments, result and errors."""
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()
        answer = Answer(event, lambda: _set_soon(loop, settled))
        self._ask(answer, event, arguments, namespace, rooms, timeout)
        await settled.wait()
        return answer.result()

    def _ask(
        self,
        answer: Answer,
        event: str,
        arguments: Sequence[Any],
        namespace: str,
        rooms: Iterable[Hashable],
        timeout: float | None,
    ) -> None:
        asked = self.emit_with_ack(
            event, arguments, answer.answered, answer.lost, namespace=namespace, rooms=rooms, timeout=timeout
        )
        answer.expect(max(asked, 1))

    def _post(self, recipients: tuple[Client, ...], message: Message) -> None:
        recipients = self._split(recipients, lambda local: _send_to_all(local, message))
        if len(recipients) == 1:
            self.hub.outbox.put(recipients[0].send, message)
        elif recipients:
            self.hub.outbox.put(self.hub.fan_out, Client.send, recipients, message)

    def _split(
        self, recipients: tuple[Client, ...], send: Callable[[tuple[Client, ...]], Any]
    ) -> tuple[Client, ...]:
        """Serves the in-memory clients among the recipients in the caller's thread and returns the others."""
        if not self.memory_connections:
            return recipients
        local = tuple(client for client in recipients if client.connection.inline)
        if local:
            with self._memory_lock:
                send(local)
        return tuple(client for client in recipients if not client.connection.inline)

    def _on_loop(self, function: Callable[..., Any], *arguments: Any) -> None:
        if self.hub.running:
            self.hub.outbox.put(function, *arguments)
        else:
            with self._memory_lock:
                function(*arguments)

    def _start_timeout(self, ack: Ack, timeout: float) -> None:
        if self.hub.running:
            self.hub.schedule(ack, self.hub.now() + timeout)

    def run_callback(self, client: Client, callback: Callable[..., Any], arguments: Sequence[Any]) -> None:
        """Runs a function of the application for an acknowledgement, as handlers are run."""
        handler = Handler(callback, lambda client, event, given: callback(*given))
        self.jobs.start(client, handler, "callback", tuple(arguments), self._callback_done)

    def _callback_done(self, client: Client, token: Any, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self.events.report(client, "acknowledgement callback", error)

    # Rooms

    def enter_room(self, sid: str, room: Hashable, namespace: str = "/") -> None:
        """Puts a client into a room, in force when this returns; a client that is leaving is left alone.

        Raises:
            NotConnectedError: if no such client is connected.
            ValueError: if the room is another client's own.
        """
        if (namespace, sid) not in self.lifecycle.leaving:
            self.adapter.enter(namespace, sid, room)

    def leave_room(self, sid: str, room: Hashable, namespace: str = "/") -> None:
        """Takes a client out of a room, in force when this returns; a client that is leaving is left alone.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        if (namespace, sid) not in self.lifecycle.leaving:
            self.adapter.leave(namespace, sid, room)

    def close_room(self, room: Hashable, namespace: str = "/") -> None:
        """Empties a room.

        Raises:
            ValueError: if the room is a client's own.
        """
        self.adapter.close(namespace, room)

    def rooms(self, sid: str, namespace: str = "/") -> list[Hashable]:
        """Returns the rooms of a client, its own first; also while its disconnect handler runs.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        return [sid, *self.client(sid, namespace).rooms]

    def client(self, sid: str, namespace: str = "/") -> Client:
        """Returns a client, also while its disconnect handler runs.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        client = self.adapter.find(namespace, sid) or self.lifecycle.leaving.get((namespace, sid))
        if client is None:
            raise NotConnectedError(f"no client {sid!r} is connected to the namespace {namespace!r}")
        return client

    def disconnect(self, sid: str, namespace: str = "/") -> None:
        """Disconnects a client from a namespace; inside its connect handler this refuses it. An unknown one is ignored."""
        client = self.adapter.find(namespace, sid)
        if client is None:
            return
        if client.connection.inline:
            self.lifecycle.disconnect(client, SERVER_DISCONNECT, True)
        else:
            self.hub.outbox.put(self.lifecycle.disconnect, client, SERVER_DISCONNECT, True)


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


def _send_to_all(clients: tuple[Client, ...], message: Message) -> None:
    for client in clients:
        client.send(message)


def make_codec(config: Config) -> Codec:
    """Makes the codec that the option `serializer` names, with the limits of the other options."""
    limits = DecoderLimits(
        max_attachments=config.max_attachments,
        max_attachment_bytes=config.max_attachment_bytes,
        max_id_digits=19,
        max_namespace_length=config.max_namespace_length,
        max_depth=config.max_depth,
    )
    if config.serializer == "msgpack":
        return MessagePackCodec(limits=limits)
    return JSONCodec(limits=limits, json=config.json)
