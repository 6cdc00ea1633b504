"""The server: one per application, with its clients, its handlers and what may be called from any thread.

`emit`, `enter_room`, `leave_room`, `close_room` and `disconnect` never wait; only `call` does. Here the parts
are put together; what they do is theirs.
"""

from __future__ import annotations

from typing import Any

from carboy.adapters.bus import Bus
from carboy.adapters.local import LocalAdapter
from carboy.config import Config
from carboy.engineio.session import Session
from carboy.engineio.sids import generate_sid
from carboy.exceptions import PacketError
from carboy.runtime.admission import Admission
from carboy.runtime.callbacks import Callbacks
from carboy.runtime.client import CONNECTED, CONNECTING, Client
from carboy.runtime.cluster import Cluster
from carboy.runtime.connection import Connection
from carboy.runtime.events import Events
from carboy.runtime.forks import keep_for_good, tell_of_forks
from carboy.runtime.handlers import Handlers
from carboy.runtime.hub import Hub
from carboy.runtime.jobs import Jobs
from carboy.runtime.lifecycle import CLIENT_DISCONNECT, Lifecycle
from carboy.runtime.log import Log
from carboy.runtime.membership import Membership
from carboy.runtime.short_way import ShortWay
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import ACK, CONNECT, DISCONNECT, EVENT, Codec, DecoderLimits, Packet

LISTEN_TIME = 2.0
"""Seconds that the first clients wait for the message queue; then they are served without."""


class Server(Membership):
    """A Socket.IO server; what it sends is in `emitting.py`, who is where in `membership.py`.

    Args:
        config: the options.

    Attributes:
        config: the options.
        log: where it tells what happens.
        codec: what encodes and decodes packets.
        handlers: who answers which event; register here.
        adapter: who is in which room.
        hub: the loop, the outbox, the timers and the handler threads.
        jobs: runs handlers.
        events: what events lead to.
        lifecycle: how clients come and go.
        callbacks: runs functions for acknowledgements.
        connections: the engine sessions by their id.
        admission: how many of them there may be.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.log = Log(config.logger)
        adapter: LocalAdapter[Client] = LocalAdapter(config.max_rooms)
        hub = Hub(config.handler_threads, self.log)
        super().__init__(hub, adapter, make_codec(config), config.max_acks)
        self.handlers = Handlers()
        self.connections: dict[str, Connection] = {}
        self.admission = Admission(config, self.log)
        self.jobs = jobs = Jobs(self.hub, config.max_queued_events, one_at_a_time=not config.async_handlers)
        self.events = Events(self.hub, self.handlers, jobs, self.codec, self.log)
        self.short_way = self._make_short_way()
        self.lifecycle = Lifecycle(
            config, self.hub, self.adapter, self.handlers, jobs, self.codec, self.events, self.log
        )
        self.callbacks = Callbacks(self.hub, jobs, self.events, self.log)
        tell_of_forks(self)

    @property
    def name(self) -> str:
        """The name of this process among the workers of one host, with which its ids begin; else empty."""
        return self.lifecycle.name

    @name.setter
    def name(self, name: str) -> None:
        self.lifecycle.name = name

    def _make_short_way(self) -> ShortWay | None:
        config = self.config
        if config.serializer == "msgpack" or config.json is not None or not config.async_handlers:
            return None
        if self.log.progress:
            return None  # it tells of nothing
        named, limits = self.handlers.named, decoder_limits(config)
        return ShortWay(self.hub, named, self.events, self.jobs, limits, config.max_queued_events)

    # Engine sessions

    def open_session(self, environ: dict[str, Any], transport: str) -> Connection:
        """Makes a new engine session.

        Args:
            environ: the WSGI environment of the handshake.
            transport: "polling" or "websocket".

        Returns:
            Its connection, which still has to be opened with a transport.
        """
        config, now = self.config, self.hub.now()
        session = Session(generate_sid(self.name), transport, config.ping_interval, config.ping_timeout, now)
        connection = Connection(self, session, environ)
        self.connections[session.sid] = connection
        self.admission.enter(environ)
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
        if self.connections.pop(connection.session.sid, None) is not None and not connection.inline:
            self.admission.leave(connection.environ)

    def forked(self) -> None:
        """Forgets every client without a word, in a child of a process that serves.

        The sockets are the parent's too, and stay open.
        """
        if not self.hub.running:
            return
        keep_for_good(*self.connections.values(), self.hub.loop)
        self.connections.clear()
        self.admission.clear()
        self.adapter.clear()
        self.lifecycle.leaving.clear()
        self.name = ""
        self.hub.outbox.clear()
        self.hub.abandon()

    def _event_out_of_time(self, client: Client, number: int | None, data: list[Any]) -> None:
        if client.state is not CONNECTING:
            return  # it was disconnected while the event was under way
        if not self.config.always_connect:
            raise PacketError("an event before the namespace was joined")
        self.lifecycle.hold(client, number, data)

    # Other processes

    def join(self, bus: Bus) -> None:
        """Becomes one of the processes of a cluster.

        Args:
            bus: the way to the others.
        """
        self.cluster = Cluster(self, bus, self.config.json)

    def listen(self) -> None:
        """Begins to hear other processes, before clients come; waits a moment, so that they miss nothing."""
        if self.cluster is not None:
            self.cluster.start()
            self.cluster.bus.wait(LISTEN_TIME)

    def leave(self) -> None:
        """Takes leave of other processes, when they have what was sent to them, or after a moment."""
        if self.cluster is not None:
            self.cluster.bus.close()


def make_codec(config: Config) -> Codec:
    """Makes the codec that the option `serializer` names, with the limits of the other options."""
    limits = decoder_limits(config)
    if config.serializer == "msgpack":
        return MessagePackCodec(limits=limits)
    return JSONCodec(limits=limits, json=config.json)


def decoder_limits(config: Config) -> DecoderLimits:
    """Returns what one packet of a peer may cost, as the options have it."""
    return DecoderLimits(
        max_attachments=config.max_attachments,
        max_attachment_bytes=config.max_attachment_bytes,
        max_id_digits=19,
        max_namespace_length=config.max_namespace_length,
        max_depth=config.max_depth,
    )
