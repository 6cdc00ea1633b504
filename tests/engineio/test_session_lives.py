"""Whole lives of a session, made up by chance: whatever its peer, the network and the application do."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carboy.engineio.packets import CLOSE_PACKET, NOOP_PACKET
from carboy.engineio.session import Session
from carboy.engineio.states import Effect, SessionInput, SessionState
from carboy.exceptions import PacketError

INTERVAL, TIMEOUT = 25.0, 20.0
ENDING = {Effect.CLOSE, Effect.RELEASE, Effect.ANNOUNCE_CLOSE}
DECIDING = {
    SessionInput.TRANSPORT_LOST,
    SessionInput.VIOLATION,
    SessionInput.SERVER_CLOSED,
    SessionInput.PING_TIMED_OUT,
}


class SessionLife(RuleBasedStateMachine):
    """A session, and beside it what an outsider knows: what was written, what arrived, what time it is."""

    @initialize(transport=st.sampled_from(["polling", "websocket"]))
    def open(self, transport: str) -> None:
        """Begin."""
        self.now = 0.0
        self.session = Session("6FjYKlBYKEBblvy9AAAA", transport, INTERVAL, TIMEOUT, self.now)
        self.started_on = transport
        self.candidate = False
        self.ended = 0  # how often the end was decided
        self.written: list[bytes] = []
        self.waiting: list[bytes] = []
        self.arrived: list[bytes] = []
        self.heard = self.now  # the last time that anything spoke for the peer's life

    # What the application and the server do

    @rule()
    def write(self) -> None:
        """Send a message; on a websocket it leaves at once."""
        if self.session.closed:
            return
        self.written.append(b"4%d" % len(self.written))
        self.waiting.append(self.written[-1])
        if self.session.transport == "websocket":
            self._leave()

    @rule(change=st.sampled_from(sorted(DECIDING, key=lambda change: change.name)))
    def end(self, change: SessionInput) -> None:
        """End it from our side."""
        self._follow(self.session.apply(change))

    @rule(seconds=st.sampled_from([0.1, 5.0, INTERVAL, TIMEOUT, 3 * TIMEOUT]))
    def wait(self, seconds: float) -> None:
        """Let time go by, and do at each deadline what is due there."""
        until = self.now + seconds
        while not self.session.closed and self.session.deadline() <= until:
            self.now = max(self.now, self.session.deadline())
            if self.session.expire(self.now) is Effect.CLOSE:
                self._follow(self.session.apply(SessionInput.PING_TIMED_OUT))
        self.now = until

    # What the peer does

    @rule(packet_type=st.integers(-1, 8))
    def send(self, packet_type: int) -> None:
        """Send a packet on the transport that carries the session."""
        if self.session.closed:
            return
        before = self.session.state
        try:
            effect = self.session.receive(packet_type, self.now)
        except PacketError:
            assert self.session.state is before
            self._follow(self.session.apply(SessionInput.VIOLATION))
        else:
            self.heard = self.now
            self._follow(effect)

    @precondition(lambda self: self.started_on == "polling")
    @rule()
    def poll(self) -> None:
        """Poll, and take what is answered."""
        answer = self.session.poll_answer(tuple(self.waiting))
        if answer is None:
            assert not self.waiting
            return
        packets = [packet for packet in answer if packet not in (NOOP_PACKET, CLOSE_PACKET)]
        if self.session.transport == "websocket" and not self.session.closed:
            assert packets == [], "what the websocket carries is never polled too"
            return
        self.arrived += packets
        self.waiting.clear()
        if answer[-1] == CLOSE_PACKET:
            assert self.session.closed
            if self.session.closing:
                assert self.session.apply(SessionInput.CLOSE_HEARD) is Effect.FORGET
                self.candidate = False

    @rule()
    def attach(self) -> None:
        """Come with a websocket and the sid."""
        effect = self.session.apply(SessionInput.CANDIDATE_ATTACHED)
        free = not self.candidate and self.session.transport == "polling" and not self.ended
        assert effect is (Effect.START_UPGRADE if free else Effect.REFUSE_CANDIDATE)
        self.candidate = self.candidate or free

    @precondition(lambda self: self.candidate)
    @rule(packet=st.sampled_from([b"2probe", b"5", b"3", b"", b"40", b"2"]) | st.binary(max_size=6))
    def send_on_candidate(self, packet: bytes) -> None:
        """Send on the candidate."""
        effect = self.session.receive_candidate(packet, self.now)
        if effect in {Effect.SWITCH, Effect.SWITCH_AND_CLOSE}:
            self.candidate = False
            self.heard = self.now
            assert self.session.transport == "websocket"
            self._leave()
        elif packet != b"2probe":
            assert effect in {Effect.DROP_CANDIDATE, Effect.NOTHING}
            self.candidate = False

    @rule()
    def lose_candidate(self) -> None:
        """Lose the candidate, or hear of its loss or its timeout late."""
        effect = self.session.apply(SessionInput.CANDIDATE_FAILED)
        # In CLOSING the table does not tell whether there is one; to drop none is nothing.
        assert self.session.closing or (effect is Effect.DROP_CANDIDATE) == self.candidate
        self.candidate = False

    # What is always true

    def _leave(self) -> None:
        self.arrived += self.waiting
        self.waiting.clear()

    def _follow(self, effect: Effect) -> None:
        if effect in ENDING or effect is Effect.FORGET:
            self.ended += 1
            if not self.session.closing:
                self.candidate = False  # a session that is over closes it too

    @invariant()
    def its_end_is_decided_once(self) -> None:
        """However many parties end it, one decision is acted upon, and none is taken back."""
        assert self.ended <= 2  # at most one while it is open, and one that cuts a close short
        assert self.session.closed == bool(self.ended)

    @invariant()
    def a_candidate_belongs_to_an_open_session_on_polling(self) -> None:
        """Nothing else ever has one."""
        upgrading = {SessionState.PROBING, SessionState.UPGRADING}
        assert not self.candidate or self.session.state in {*upgrading, SessionState.CLOSING}
        assert self.session.state not in upgrading or self.candidate

    @invariant()
    def all_arrives_in_order_and_once(self) -> None:
        """What arrived is the beginning of what was written, across any upgrade."""
        assert self.arrived + self.waiting == self.written

    @invariant()
    def silence_ends_it_in_time(self) -> None:
        """A peer of which nothing is heard is gone one interval and two timeouts later, at the latest."""
        assert self.session.closed or self.now < self.heard + INTERVAL + 2 * TIMEOUT

    @invariant()
    def it_never_goes_back_to_polling(self) -> None:
        """A websocket carries a session for the rest of its life."""
        if self.started_on == "websocket":
            assert self.session.transport == "websocket"


@pytest.mark.parametrize("steps", [15, 50])
def test_every_life_of_a_session_keeps_the_rules(steps: int) -> None:
    """Nothing is lost, doubled or out of order, one end is decided, and nobody is silent for ever."""
    SessionLife.TestCase.settings = settings(max_examples=30, stateful_step_count=steps, deadline=None)
    SessionLife.TestCase().runTest()
