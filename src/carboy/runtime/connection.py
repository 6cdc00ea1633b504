"""One engine session at work: what it reads, its heartbeat, and the clients of namespaces that it carries.

Everything here happens in the loop's thread; for in-memory connections in the caller's.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from carboy.config import Config
from carboy.engineio.close_codes import GOING_AWAY, NORMAL_CLOSURE, POLICY_VIOLATION
from carboy.engineio.packets import MESSAGE, PING_PACKET
from carboy.engineio.payloads import decode_binary
from carboy.engineio.session import Session
from carboy.engineio.states import CLOSE_REASONS, Effect, SessionInput
from carboy.exceptions import LimitError, PacketError, RemoteError
from carboy.runtime.admission import Admission
from carboy.runtime.client import CONNECTING, Client
from carboy.runtime.hub import Hub
from carboy.runtime.log import Log
from carboy.runtime.message import Message
from carboy.runtime.output import Output, Transport
from carboy.runtime.upgrade import Upgrade
from carboy.socketio.packets import Codec, Incomplete, Packet

PING = Message(PING_PACKET)
MESSAGE_DIGIT, BINARY_MARK = ord("0") + MESSAGE, ord("b")

CLOSE_FALLBACK = 30.0  # seconds that a polling client is given to fetch the close packet
FOREVER = float("inf")


class Owner(Protocol):
    """What a connection needs of the server."""

    config: Config
    hub: Hub
    log: Log
    codec: Codec
    admission: Admission
    short_way: Any  # a `ShortWay`, which knows connections; or None

    def packet_received(self, connection: Connection, packet: Packet) -> None:
        """Takes a Socket.IO packet."""

    def connection_closed(self, connection: Connection, reason: str) -> None:
        """Is told once that the end of the session is decided."""

    def connection_forgotten(self, connection: Connection) -> None:
        """Is told once that nothing will come under the session's id any more."""


class Connection(Output):
    """An engine session with everything that hangs on it.

    Args:
        owner: the server.
        session: the state of the session.
        environ: the WSGI environment of the handshake, which handlers see as their request.
        inline: whether handlers run in the caller's thread (in-memory clients).

    Attributes:
        clients: the clients by namespace; one that has left stays until its namespace is joined again.
        submitted: jobs that were given to the handler threads.
        started: those of them that have started; written by the handler threads.
        held: everything else that waits for the application: jobs behind another one, coroutines under way.
        queue: jobs that wait for one before them, and are held; None if a job may begin at once.
        beginning: coroutines that were spawned and have not begun.
        marked: whether a coroutine waits for the plain jobs before it to start.
        paused: whether the client is not read, because too much waits.
        resume_at: how little has to wait for it to be read again.
        failure: the rule that the peer broke, if that ended the session.
        context: whatever the framework keeps for the connection.
    """

    __slots__ = (
        "_attachment_by",
        "_close_by",
        "_join_by",
        "_owner",
        "_partial",
        "_short_way",
        "beginning",
        "clients",
        "context",
        "due_tick",
        "environ",
        "failure",
        "held",
        "inline",
        "marked",
        "paused",
        "queue",
        "resume_at",
        "session",
        "started",
        "submitted",
        "upgrade",
    )

    def __init__(
        self, owner: Owner, session: Session, environ: dict[str, Any], *, inline: bool = False
    ) -> None:
        super().__init__(owner.hub, owner.config)
        self._owner = owner
        self.session = session
        self.environ = environ
        self.inline = inline
        self._short_way = None if inline else owner.short_way
        self.clients: dict[str, Client] = {}
        self.upgrade: Upgrade | None = None
        self.submitted = self.started = self.held = self.beginning = 0
        self.queue: deque[Any] | None = None
        self.marked = False
        self.paused = False
        self.resume_at = 0
        self.failure: RemoteError | None = None
        self.context: Any = None
        self.due_tick = -1
        self._partial: Incomplete | None = None
        self._attachment_by: float | None = None
        self._join_by: float | None = None
        self._close_by: float | None = None

    # Input

    def open(self, transport: Transport) -> None:
        """Begins with a transport: from now on the heartbeat runs, and a namespace must be joined in time."""
        self.transport = transport
        self._join_by = self._hub.now() + self._config.connect_timeout
        self._owner.admission.unconnected += 1
        self._schedule()

    def receive_text(self, packet: bytes) -> None:
        """Takes one Engine.IO text packet from the transport, with its type digit."""
        usual = self._partial is None and not self.session.awaiting_pong
        if usual and self._short_way is not None and self._short_way.receive(self, packet):
            return
        try:
            if packet and packet[0] == MESSAGE_DIGIT:
                if self._partial is not None:
                    raise PacketError("a text packet came where an attachment was due")
                if self.session.awaiting_pong:
                    self.session.activity(self._hub.now())
                decoded = self._owner.codec.decode_text(packet, 1)
                if type(decoded) is tuple:
                    self._owner.packet_received(self, decoded)
                else:
                    self._partial = decoded  # type: ignore[assignment]  # `type() is` narrows nothing
                    self._await_attachment()
            else:
                self._receive_control(packet)
        except RemoteError as error:
            self.violate(error)

    def receive_binary(self, data: bytes) -> None:
        """Takes one Engine.IO binary message from the transport."""
        if self.session.awaiting_pong:
            self.session.activity(self._hub.now())
        try:
            if self._partial is not None:
                packet = self._partial.add(data)
                if packet is None:
                    self._await_attachment()
                else:
                    self._partial = None
                    self._owner.packet_received(self, packet)
            else:
                self._owner.packet_received(self, self._owner.codec.decode_binary(data))
        except RemoteError as error:
            self.violate(error)

    def violate(self, error: RemoteError) -> None:
        """Ends the session because its peer broke the rules, with one line in the log."""
        if not self.session.closed:
            self.failure = error.with_traceback(None)  # its frames would refer back to this connection
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
        if self.session.closed:
            return
        if not packet:
            raise PacketError("an empty packet")
        if packet[0] == BINARY_MARK:
            self.receive_binary(decode_binary(packet))
            return
        effect = self.session.receive(packet[0] - ord("0"), self._hub.now())
        if effect is not Effect.NOTHING:
            self._end(effect, NORMAL_CLOSURE, CLOSE_REASONS[SessionInput.PEER_CLOSED])
        elif not self.session.awaiting_pong:
            self._schedule()  # a pong may have moved the next ping forward

    # The upgrade

    def attach(self, websocket: Any) -> None:
        """Takes a websocket that comes with the id of this session; it may become the transport."""
        if self.session.apply(SessionInput.CANDIDATE_ATTACHED) is Effect.START_UPGRADE:
            Upgrade(self._hub, self, websocket).begin(self._config.upgrade_timeout)
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
        if websocket.stalled and not self.session.closed:  # of which it told nobody
            self.stall()

    # Back-pressure

    @property
    def waiting(self) -> int:
        """How much waits for the application."""
        return self.submitted - self.started + self.held

    def review(self) -> None:
        """Stops or resumes reading the client, as what waits demands.

        It is read again at half the bound. A handler may wait for an answer of this client, which must get
        through: meanwhile the bound is doubled.
        """
        bound = self._config.max_queued_events
        limit = 2 * bound if any(client.acks for client in self.clients.values()) else bound
        self.resume_at = limit - (bound + 1) // 2
        if not self.paused and self.waiting >= limit and not self.session.closed:
            self._pause()
        # After it, too: the threads may have taken all that waits before they could see the pause.
        if self.paused and self.waiting <= self.resume_at:
            self._resume()

    def _pause(self) -> None:
        """Stops reading; the time that the client is given to answer a ping stands still."""
        self.paused = True
        self.tell_bound("max_queued_events", "is not read for now: its events wait")
        self.session.pause(self._hub.now())
        self._schedule()
        if self.transport is not None:
            self.transport.pause_reading()

    def _resume(self) -> None:
        self.paused = False
        if self.session.closed:
            return
        self.session.resume(self._hub.now())
        if self._partial is not None:
            self._await_attachment()
        self._schedule()
        if self.transport is not None:
            self.transport.resume_reading()

    def tell_bound(self, option: str, what: str) -> None:
        """Tells in the log that the client has reached a bound."""
        self._owner.log.rarely(option, "The client from %s %s (option %s)", self.address, what, option)

    # Time

    def joined(self) -> None:
        """Notes that a namespace was joined: the client was accepted there."""
        if self._join_by is not None:
            self._join_by = None
            self._owner.admission.unconnected -= 1

    def _await_attachment(self) -> None:
        """Gives the next attachment its time; the wheel is told once for many that come."""
        if not self.inline:
            watched = self._attachment_by is not None
            self._attachment_by = self._hub.now() + self._config.attachment_timeout
            if not watched:
                self._schedule()

    def expire(self, now: float) -> float | None:
        """Sends the ping that is due, or ends what has waited too long (called by the timer wheel)."""
        if self._close_by is not None:
            self.give_up_close()
            return None
        if self._attachment_by is not None and now >= self._attachment_by:
            self._attachment_by = None
            if self._partial is not None and not self.paused:
                self.violate(LimitError("an attachment has not come in time", "attachment_timeout"))
                return None
        if self._join_by is not None and now >= self._join_by:
            if any(client.state is CONNECTING for client in self.clients.values()):
                # It is the application that takes its time.
                self._join_by = now + self._config.connect_timeout
            else:
                self.close(SessionInput.SERVER_CLOSED, NORMAL_CLOSURE)
                return self._close_by
        effect = self.session.expire(now)
        if effect is Effect.CLOSE:
            self.close(SessionInput.PING_TIMED_OUT, GOING_AWAY)
            return None
        if effect is Effect.SEND_PING:
            self.send(PING)
        return self._next_deadline()

    def catch_up(self) -> None:
        """Does what has become due since the last tick of the timers: a request must not profit from it."""
        if not self.session.closed and self._hub.now() >= self._next_deadline():
            self.expire(self._hub.now())
            if not self.session.closed:
                self._schedule()

    def _next_deadline(self) -> float:
        return min(self.session.deadline(), self._join_by or FOREVER, self._attachment_by or FOREVER)

    def _schedule(self) -> None:
        self._hub.schedule(self, self._next_deadline())

    # The end

    @property
    def address(self) -> str:
        """The peer's address, for log lines."""
        return ascii(self.environ.get("REMOTE_ADDR") or "an unknown address")[1:-1]

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

    def give_up_close(self) -> None:
        """Forgets a session whose peer has not come to hear of the end."""
        if self.session.closing:
            self.session.apply(SessionInput.CLOSE_TIMED_OUT)
            self._forget()

    def overflow(self) -> None:
        """Ends the session, because its client has fallen behind too far."""
        if not self.session.closed:
            self.tell_bound("max_output_bytes", "is disconnected: too many bytes wait for it")
            self._pending = []
            self.close(SessionInput.VIOLATION, POLICY_VIOLATION)

    def _end(self, effect: Effect, code: int, reason: str) -> None:
        self._partial = None
        self.joined()  # or it will not any more
        self._hub.timers.cancel(self)
        self._owner.connection_closed(self, reason)
        transport = self.transport
        if transport is not None and effect is not Effect.FORGET:
            self.flush()
            if self.paused:
                transport.resume_reading()  # the peer's answer to the close
            if effect is Effect.RELEASE:
                transport.release()
            else:
                transport.close(code)
        if self.session.closing:
            self._close_by = self._hub.now() + CLOSE_FALLBACK
            self._hub.schedule(self, self._close_by)
        elif effect is not Effect.ANNOUNCE_CLOSE:  # else the close was heard within
            self._forget()

    def _forget(self) -> None:
        """Lets go of everything, so that nothing is left for the garbage collector to find."""
        if self.upgrade is not None:
            self.upgrade.drop()
        self._hub.timers.cancel(self)
        self._close_by = None
        self._pending = []
        self.clients.clear()
        if not self.inline:  # the far end of an in-memory connection is still read by its test
            self.transport = None
        self._owner.connection_forgotten(self)
