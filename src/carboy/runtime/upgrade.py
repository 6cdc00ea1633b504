"""A websocket that wants to take a polling session over: the probe, the answer, the switch.

Until the switch the session goes on over polling; whatever goes wrong here costs the websocket only.
"""

from __future__ import annotations

from typing import Any, Protocol

from carboy.engineio.close_codes import NORMAL_CLOSURE
from carboy.engineio.packets import PROBE_ANSWER_PACKET
from carboy.engineio.session import Session
from carboy.engineio.states import Effect, SessionInput
from carboy.runtime.hub import Hub
from carboy.runtime.message import Message

PROBE_ANSWER = Message(PROBE_ANSWER_PACKET)


class Upgradable(Protocol):
    """What an upgrade needs of the connection.

    Attributes:
        session: its engine session.
        upgrade: the upgrade that is under way.
    """

    session: Session
    upgrade: Upgrade | None

    def hurry_poll(self) -> None:
        """Lets a poll that waits return."""

    def switch(self, websocket: Any) -> None:
        """Moves the session to the websocket."""


class Upgrade:
    """One attempt to upgrade a session.

    Args:
        hub: whose clock counts.
        connection: the connection whose session it is.
        websocket: the websocket that wants to take over.
    """

    __slots__ = ("_connection", "_hub", "due_tick", "websocket")

    def __init__(self, hub: Hub, connection: Upgradable, websocket: Any) -> None:
        self._hub = hub
        self._connection = connection
        self.websocket = websocket
        self.due_tick = -1

    def begin(self, timeout: float) -> None:
        """Takes what the websocket sends, for at most `timeout` seconds."""
        self._connection.upgrade = self
        self.websocket.bind(self)
        self._hub.schedule(self, self._hub.now() + timeout)

    def receive_text(self, packet: bytes) -> None:
        """Takes a packet from the websocket before the switch; one that was dropped has nothing to say."""
        if self._over:
            return
        effect = self._connection.session.receive_candidate(packet, self._hub.now())
        if effect is Effect.ANSWER_PROBE:
            if not self.websocket.stalled:  # a peer may probe again and again without reading the answers
                self.websocket.write([PROBE_ANSWER])
            self._connection.hurry_poll()
        elif effect is Effect.SWITCH or effect is Effect.SWITCH_AND_CLOSE:
            self._end()
            self._connection.switch(self.websocket)
        else:
            self.drop()

    def receive_binary(self, data: bytes) -> None:
        """Refuses a binary message: an upgrade begins with a probe."""
        if not self._over:
            self.fail()

    def expire(self, now: float) -> float | None:
        """Gives up, because the time for the upgrade is over (called by the timer wheel)."""
        self.fail()
        return None

    def fail(self) -> None:
        """Gives the websocket up; the session goes on over polling."""
        self._connection.session.apply(SessionInput.CANDIDATE_FAILED)
        self.drop()

    def drop(self) -> None:
        """Closes the websocket."""
        self._end()
        self.websocket.close(NORMAL_CLOSURE)

    @property
    def _over(self) -> bool:
        return self._connection.upgrade is not self

    def _end(self) -> None:
        self._connection.upgrade = None
        self._hub.timers.cancel(self)
