"""One engine session at work: its transport, its output, its heartbeat, and the clients of namespaces that it carries.

Everything here happens in the loop's thread; for in-memory connections in the caller's.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from carboy.config import Config
from carboy.engineio.packets import MESSAGE, PING_PACKET
from carboy.engineio.payloads import decode_binary
from carboy.engineio.session import Session
from carboy.engineio.states import CLOSE_REASONS, Effect, SessionInput
from carboy.exceptions import LimitError, PacketError, RemoteError
from carboy.runtime.client import Client
from carboy.runtime.hub import Hub
from carboy.runtime.log import Log
from carboy.runtime.message import Message
from carboy.runtime.upgrade import Upgrade
from carboy.socketio.attachments import PartialPacket
from carboy.socketio.packets import Codec, Packet

PING = Message(PING_PACKET)
MESSAGE_DIGIT = ord("0") + MESSAGE
BINARY_MARK = ord("b")

CLOSE_FALLBACK = 30.0
"""Seconds that a polling client is given to fetch the close packet."""

NORMAL_CLOSURE, GOING_AWAY, POLICY_VIOLATION = 1000, 1001, 1008


class Transport(Protocol):
    """What carries the packets of a session.

    Attributes:
        name: "polling" or "websocket".
    """

    name: str

    def write(self, messages: list[Message]) -> bool:
        """Writes messages in one go; False if they cannot leave now and have to be kept."""

    def backlog(self) -> int:
        """Returns the bytes that were written but have not left."""

    def close(self, code: int) -> None:
        """Closes cleanly, with an RFC 6455 close code where there is one."""

    def release(self) -> None:
        """Lets the peer's request return, because the session has ended or moved to a websocket."""

    def hurry(self) -> None:
        """Lets the peer's request return, because an upgrade waits for it."""

    def pause_reading(self) -> None:
        """Reads nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Reads again."""


class Owner(Protocol):
    """What a connection needs of the server."""

    config: Config
    hub: Hub
    log: Log
    codec: Codec

    def packet_received(self, connection: Connection, packet: Packet) -> None:
        """Takes a Socket.IO packet."""

    def connection_closed(self, connection: Connection, reason: str) -> None:
        """Is told once that the end of the session is decided."""

    def connection_forgotten(self, connection: Connection) -> None:
        """Is told once that nothing will come under the session's id any more."""


class Connection:
    """An engine session with everything that hangs on it.

    Args:
        owner: the server.
        session: the state of the session.
        environ: the WSGI environment of the handshake, which handlers see as their request.

    Attributes:
        clients: the clients by namespace; one that has left stays until its namespace is joined again.
        submitted: jobs that were given to handlers.
        started: jobs that have started; written by the handler threads.
        queue: jobs that wait for the one before them, with `async_handlers=False`.
        paused: whether reading is paused because too many jobs wait.
        inline: whether handlers run in the caller's thread (in-memory clients).
        failure: the rule that the peer broke, if that ended the session.
        context: whatever the framework keeps for the connection.
    """

    __slots__ = (
        "_backlog",
        "_close_by",
        "_join_by",
        "_owner",
        "_partial",
        "_pending",
        "_stalled",
        "clients",
        "context",
        "due_tick",
        "environ",
        "failure",
        "inline",
        "paused",
        "queue",
        "session",
        "started",
        "submitted",
        "transport",
        "upgrade",
    )

    def __init__(self, owner: Owner, session: Session, environ: dict[str, Any], *, inline: bool = False) -> None:
        self._owner = owner
        self.session = session
        self.environ = environ
        self.inline = inline
        self.clients: dict[str, Client] = {}
        self.transport: Transport | None = None
        self.upgrade: Upgrade | None = None
        self.submitted = 0
        self.started = 0
        self.queue: deque[Any] | None = None
        self.paused = False
        self.failure: RemoteError | None = None
        self.context: Any = None
        self.due_tick = -1
        self._partial: PartialPacket | None = None
        self._pending: list[Message] = []
        self._stalled = False
        self._backlog = 0
        self._join_by: float | None = None
        self._close_by: float | None = None

    # Input

    def open(self, transport: Transport) -> None:
        """Begins with a transport: starts the heartbeat and the time within which a namespace must be joined."""
        self.transport = transport
        now = self._owner.hub.now()
        self._join_by = now + self._owner.config.connect_timeout
        self._schedule()

    def receive_text(self, packet: bytes) -> None:
        """Takes one Engine.IO text packet from the transport, with its type digit."""
        try:
            if packet[0] == MESSAGE_DIGIT:  # the hot path
                if self._partial is not None:
                    raise PacketError("a text packet came where an attachment was due")
                session = self.session
                if session.awaiting_pong:
                    session.activity(self._owner.hub.now())
                decoded = self._owner.codec.decode_text(packet, 1)
                if type(decoded) is tuple:
                    self._owner.packet_received(self, decoded)
                else:
                    self._partial = decoded  # type: ignore[assignment]  # the other half of the union
            else:
                self._receive_control(packet)
        except RemoteError as error:
            self.violate(error)

    def receive_binary(self, data: bytes) -> None:
        """Takes one Engine.IO binary message from the transport."""
        try:
            if self._partial is not None:
                packet = self._partial.add(data)
                if packet is not None:
                    self._partial = None
                    self._owner.packet_received(self, packet)
            else:
                self._owner.packet_received(self, self._owner.codec.decode_binary(data))
        except RemoteError as error:
            self.violate(error)

    def violate(self, error: RemoteError) -> None:
        """Ends the session because its peer broke the rules, with one line in the log."""
        if not self.session.closed:
            self.failure = error
            kind = error.option if isinstance(error, LimitError) else type(error).__name__
            self._owner.log.rarely(kind, "Closing the connection from %s: %s", self.address, error)
            self.close(SessionInput.VIOLATION, error.close_code)

    def transport_lost(self, transport: Any, reason: str) -> None:
        """Ends the session because its transport is gone; the loss of a candidate ends the upgrade only."""
        if transport is self.transport:
            self.close(SessionInput.TRANSPORT_LOST, NORMAL_CLOSURE, reason)
        elif self.upgrade is not None and self.upgrade.websocket is transport:
            self.upgrade.fail()

    def _receive_control(self, packet: bytes) -> None:
        if packet[0] == BINARY_MARK:
            self.receive_binary(decode_binary(packet))
            return
        effect = self.session.receive(packet[0] - ord("0"), self._owner.hub.now())
        if effect is not Effect.NOTHING:
            self._end(effect, NORMAL_CLOSURE, CLOSE_REASONS[SessionInput.PEER_CLOSED])
        elif not self.session.awaiting_pong:
            self._schedule()  # a pong may have moved the next ping forward

    # The upgrade

    def attach(self, websocket: Any) -> None:
        """Takes a websocket that comes with the id of this session; it may become the transport."""
        if self.session.apply(SessionInput.CANDIDATE_ATTACHED) is Effect.START_UPGRADE:
            Upgrade(self._owner.hub, self, websocket).begin(self._owner.config.upgrade_timeout)
        else:
            websocket.close(NORMAL_CLOSURE)

    def hurry_poll(self) -> None:
        """Lets a poll that waits return, with output or without."""
        self.flush()
        if self.transport is not None:
            self.transport.hurry()

    def switch(self, websocket: Any) -> None:
        """Moves the session to a websocket, and all output that waits with it."""
        old, self.transport = self.transport, websocket
        if old is not None:
            old.release()
        websocket.bind(self)
        self.unstall()
        self.flush()
        if self.session.closed:
            websocket.close(NORMAL_CLOSURE)
            self._forget()
        elif self.paused:
            websocket.pause_reading()

    # Output

    def send(self, message: Message) -> None:
        """Puts a message into the output of this round; all of it leaves in one write."""
        if self._stalled and not self._admit(message):
            return
        if not self._pending:
            self._owner.hub.cork(self)
        self._pending.append(message)

    def flush(self) -> None:
        """Writes what has gathered, if the transport takes it now."""
        pending = self._pending
        if pending and self.transport is not None:
            if self.transport.write(pending):
                self._pending = []
            else:
                self.stall()

    def output_taken(self) -> None:
        """Notes that a poll took what had gathered."""
        self._pending = []

    @property
    def pending(self) -> list[Message]:
        """The output that has not been written."""
        return self._pending

    def stall(self) -> None:
        """Counts output from here on, because the transport does not take it as fast as it comes."""
        self._stalled = True
        self._backlog = self._count_backlog()
        if self._backlog > self._owner.config.max_output_bytes:
            self.overflow()

    def unstall(self) -> None:
        """Stops counting: the transport has caught up."""
        self._stalled = False

    @property
    def stalled(self) -> bool:
        """Whether output waits for the transport."""
        return self._stalled

    def overflow(self) -> None:
        """Ends the session, because its client has fallen behind too far."""
        if not self.session.closed:
            self._owner.log.rarely(
                "overflow",
                "Disconnecting the client from %s: more than %d bytes wait for it (option max_output_bytes)",
                self.address,
                self._owner.config.max_output_bytes,
            )
            self._pending = []
            self.close(SessionInput.VIOLATION, POLICY_VIOLATION)

    def _admit(self, message: Message) -> bool:
        if message.volatile:
            return False
        self._backlog += message.size
        if self._backlog > self._owner.config.max_output_bytes:
            self._backlog = self._count_backlog() + message.size  # exact, since the transport has gone on writing
            if self._backlog > self._owner.config.max_output_bytes:
                self.overflow()
                return False
        return True

    def _count_backlog(self) -> int:
        written = 0 if self.transport is None else self.transport.backlog()
        return written + sum(message.size for message in self._pending)

    # Back-pressure

    def open_queue(self) -> None:
        """Makes jobs wait for the one before them, until the queue is empty."""
        self.queue = deque()

    def pause(self, bound: int) -> None:
        """Stops reading the client, whose events come faster than handlers take them; its heartbeat stands still."""
        if self._awaits_calls() and self.submitted - self.started < 2 * bound:
            return  # a handler that waits for this client's answer must be able to get it
        self.paused = True
        self._owner.log.rarely(
            "paused", "Not reading the client from %s for now: its events wait (option max_queued_events)", self.address
        )
        self.session.pause(self._owner.hub.now())
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Reads the client again."""
        if self.paused and not self.session.closed:
            self.paused = False
            self.session.resume(self._owner.hub.now())
            self._schedule()
            if self.transport is not None:
                self.transport.resume_reading()

    def _awaits_calls(self) -> bool:
        return any(client.acks for client in self.clients.values())

    # Time

    def joined(self) -> None:
        """Notes that a namespace was joined."""
        self._join_by = None

    def expire(self, now: float) -> float | None:
        """Sends the ping that is due, or ends what has waited too long (called by the timer wheel)."""
        if self._close_by is not None:
            self.session.apply(SessionInput.CLOSE_TIMED_OUT)
            self._forget()
            return None
        if self._join_by is not None and now >= self._join_by:
            self.close(SessionInput.SERVER_CLOSED, NORMAL_CLOSURE)
            return self._close_by
        effect = self.session.expire(now)
        if effect is Effect.CLOSE:
            self.close(SessionInput.PING_TIMED_OUT, GOING_AWAY)
            return None
        if effect is Effect.SEND_PING:
            self.send(PING)
        return self._next_deadline()

    def _next_deadline(self) -> float:
        deadline = self.session.deadline()
        return deadline if self._join_by is None else min(deadline, self._join_by)

    def _schedule(self) -> None:
        self._owner.hub.schedule(self, self._next_deadline())

    # The end

    @property
    def address(self) -> str:
        """The peer's address, for log lines."""
        return str(self.environ.get("REMOTE_ADDR") or "an unknown address")

    def close(self, change: SessionInput, code: int, reason: str | None = None) -> None:
        """Ends the session; one whose end is decided already is left alone.

        Args:
            change: what happened.
            code: the close code for a websocket.
            reason: what disconnect handlers are told; None takes the one that goes with `change`.
        """
        if not self.session.closed:
            self._end(self.session.apply(change), code, reason or CLOSE_REASONS[change])

    def close_heard(self) -> None:
        """Notes that the peer was told of the end."""
        self.session.apply(SessionInput.CLOSE_HEARD)
        self._forget()

    def _end(self, effect: Effect, code: int, reason: str) -> None:
        self._partial = None
        self._owner.hub.timers.cancel(self)
        self._owner.connection_closed(self, reason)
        transport = self.transport
        if transport is not None and effect is not Effect.FORGET:
            self.flush()
            if effect is Effect.RELEASE:
                transport.release()
            else:
                transport.close(code)
        if self.session.closing:
            self._close_by = self._owner.hub.now() + CLOSE_FALLBACK
            self._owner.hub.schedule(self, self._close_by)
        elif effect is not Effect.ANNOUNCE_CLOSE:  # else the close was heard within
            self._forget()

    def _forget(self) -> None:
        if self.upgrade is not None:
            self.upgrade.drop()
        self._owner.hub.timers.cancel(self)
        self._close_by = None
        self._pending = []
        self._owner.connection_forgotten(self)
