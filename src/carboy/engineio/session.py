"""One engine session: its id, its state and its heartbeat.

Must not hold a transport, output or a message: it answers what is to be done, and the runtime does it.
MESSAGE packets never come here, since nothing about them depends on the state.
"""

from __future__ import annotations

from collections.abc import Sequence

from carboy.engineio.heartbeat import Beat, Heartbeat
from carboy.engineio.packets import (
    CLOSE,
    CLOSE_PACKET,
    MESSAGE,
    NOOP,
    NOOP_PACKET,
    OPEN,
    PING,
    PONG,
    PROBE_PACKET,
    UPGRADE,
    UPGRADE_PACKET,
)
from carboy.engineio.states import TRANSITIONS, Effect, SessionInput, SessionState
from carboy.exceptions import PacketError

POLLING = "polling"
WEBSOCKET = "websocket"

_BEATS = {Beat.NOTHING: Effect.NOTHING, Beat.PING: Effect.SEND_PING, Beat.DEAD: Effect.CLOSE}

# Node ignores these when a client sends them outside an upgrade; a message is the runtime's.
_IGNORED = frozenset({OPEN, MESSAGE, UPGRADE, NOOP})


class Session(Heartbeat):
    """One engine session.

    Args:
        sid: its id.
        transport: "polling" or "websocket": what the handshake came by.
        interval: seconds from a pong to the next ping.
        timeout: seconds for the answer.
        now: the time of the opening, in seconds.

    Attributes:
        sid: its id.
        state: where it stands; only `apply` changes it.
        transport: "polling" or "websocket": what carries it, or carried it last.
    """

    __slots__ = ("sid", "state", "transport")

    def __init__(self, sid: str, transport: str, interval: float, timeout: float, now: float) -> None:
        super().__init__(interval, timeout, now)
        self.sid = sid
        self.transport = transport
        self.state = SessionState.POLLING if transport == POLLING else SessionState.WEBSOCKET

    @property
    def closed(self) -> bool:
        """Whether its end is decided: nothing more is read or said, but perhaps the close itself."""
        return self.state is SessionState.CLOSED or self.state is SessionState.CLOSING

    @property
    def closing(self) -> bool:
        """Whether its end is decided, but its client has still to hear of it."""
        return self.state is SessionState.CLOSING

    def apply(self, change: SessionInput) -> Effect:
        """Takes note of what happened.

        Args:
            change: what happened.

        Returns:
            What has to be done.

        Raises:
            PacketError: if it must not happen in this state, which stays as it is. Only packets of a
                websocket that is no candidate, and news of a close that was not decided, can be meant.
        """
        transition = TRANSITIONS[self.state].get(change)
        if transition is None:
            raise PacketError(f"{change.name} must not come in the state {self.state.name}")
        self.state, effect = transition
        if effect is Effect.SWITCH or effect is Effect.SWITCH_AND_CLOSE:
            self.transport = WEBSOCKET
        return effect

    def receive(self, packet_type: int, now: float) -> Effect:
        """Takes a packet other than MESSAGE from the transport that carries the session.

        Args:
            packet_type: its type.
            now: the time in seconds.

        Returns:
            What has to be done; the state has changed already.

        Raises:
            PacketError: if a client must not send it; the state has not changed, and VIOLATION is to be
                applied.
        """
        if packet_type == PONG:
            self.pong(now)
            return Effect.NOTHING
        if packet_type == CLOSE:
            return self.apply(SessionInput.PEER_CLOSED)
        if packet_type == PING:
            raise PacketError("a client of Engine.IO v4 must not send a ping")
        if packet_type not in _IGNORED:
            raise PacketError("a packet has an unknown type")
        self.activity(now)
        return Effect.NOTHING

    def receive_candidate(self, packet: bytes, now: float) -> Effect:
        """Takes a text packet from the candidate.

        Args:
            packet: the packet with its type.
            now: the time in seconds.

        Returns:
            What has to be done; the state has changed already.

        Raises:
            PacketError: if there is no candidate in this state; only the websocket that sent it is to blame.
        """
        if packet == PROBE_PACKET:
            return self.apply(SessionInput.PROBE)
        if packet[:1] != UPGRADE_PACKET:
            return self.apply(SessionInput.CANDIDATE_FAILED)
        effect = self.apply(SessionInput.UPGRADE)
        # A ping that is on its way may have been answered on the old transport's last breath.
        self.refresh(now)
        return effect

    def expire(self, now: float) -> Effect:
        """Says what the heartbeat makes due: SEND_PING, or CLOSE (then PING_TIMED_OUT is to be applied)."""
        return _BEATS[self.beat(now)]

    def poll_answer(self, output: Sequence[bytes]) -> Sequence[bytes] | None:
        """Says what a poll is answered with.

        Args:
            output: the packets that wait, encoded for polling.

        Returns:
            The packets of the answer, or None if the poll has to wait for some. An answer that ends with
            CLOSE is CLOSE_HEARD.
        """
        if self.closed:
            return [*output, CLOSE_PACKET]
        if self.state is SessionState.WEBSOCKET:
            return [NOOP_PACKET]
        if self.state is SessionState.UPGRADING:
            return output or [NOOP_PACKET]
        return output or None
