"""A session answers what is to be done, and changes its state in no other way."""

from __future__ import annotations

import itertools

import pytest

from carboy.engineio.packets import CLOSE, MESSAGE, NOOP, OPEN, PING, PONG, UPGRADE
from carboy.engineio.session import Session
from carboy.engineio.states import TRANSITIONS, Effect, SessionInput, SessionState
from carboy.exceptions import PacketError

WAYS: dict[SessionState, tuple[str, tuple[SessionInput, ...]]] = {
    SessionState.POLLING: ("polling", ()),
    SessionState.PROBING: ("polling", (SessionInput.CANDIDATE_ATTACHED,)),
    SessionState.UPGRADING: ("polling", (SessionInput.CANDIDATE_ATTACHED, SessionInput.PROBE)),
    SessionState.WEBSOCKET: ("websocket", ()),
    SessionState.CLOSING: ("polling", (SessionInput.SERVER_CLOSED,)),
    SessionState.CLOSED: ("polling", (SessionInput.PEER_CLOSED,)),
}


def session_in(state: SessionState) -> Session:
    """Makes a session and leads it into a state."""
    transport, changes = WAYS[state]
    session = Session("6FjYKlBYKEBblvy9AAAA", transport, 25.0, 20.0, 0.0)
    for change in changes:
        session.apply(change)
    assert session.state is state
    return session


@pytest.mark.parametrize(("state", "change"), list(itertools.product(SessionState, SessionInput)))
def test_session_follows_the_table(state: SessionState, change: SessionInput) -> None:
    """A pair of the table has its outcome; any other raises and leaves the state as it is."""
    session = session_in(state)
    outcome = TRANSITIONS[state].get(change)
    if outcome is None:
        with pytest.raises(PacketError, match=f"{change.name}.*{state.name}"):
            session.apply(change)
        assert session.state is state
    else:
        assert (session.state, session.apply(change))[::-1] == (outcome[1], state)
        assert session.state is outcome[0]


@pytest.mark.parametrize(
    ("state", "closed", "closing"),
    [
        (SessionState.POLLING, False, False),
        (SessionState.PROBING, False, False),
        (SessionState.UPGRADING, False, False),
        (SessionState.WEBSOCKET, False, False),
        (SessionState.CLOSING, True, True),
        (SessionState.CLOSED, True, False),
    ],
)
def test_session_tells_whether_its_end_is_decided(state: SessionState, closed: bool, closing: bool) -> None:
    """From the decision on it is closed, and closing until the client has heard of it."""
    session = session_in(state)
    assert (session.closed, session.closing) == (closed, closing)


def test_transport_changes_at_the_switch_only() -> None:
    """A session is carried by what it came with until the upgrade is complete."""
    session = session_in(SessionState.UPGRADING)
    assert session.transport == "polling"
    assert session.receive_candidate(b"5", 1.0) is Effect.SWITCH
    assert session.transport == "websocket"
    session.apply(SessionInput.TRANSPORT_LOST)
    assert session.transport == "websocket"


def test_closing_session_says_goodbye_on_the_websocket() -> None:
    """A client that has stopped to poll hears of the close where it has gone."""
    session = session_in(SessionState.PROBING)
    assert session.apply(SessionInput.SERVER_CLOSED) is Effect.ANNOUNCE_CLOSE
    assert session.receive_candidate(b"2probe", 1.0) is Effect.ANSWER_PROBE
    assert session.receive_candidate(b"5", 1.0) is Effect.SWITCH_AND_CLOSE
    assert (session.state, session.transport) == (SessionState.CLOSED, "websocket")


@pytest.mark.parametrize(
    ("packets", "effects", "state"),
    [
        ([b"2probe", b"5"], [Effect.ANSWER_PROBE, Effect.SWITCH], SessionState.WEBSOCKET),
        ([b"5"], [Effect.SWITCH], SessionState.WEBSOCKET),
        ([b"5x"], [Effect.SWITCH], SessionState.WEBSOCKET),
        ([b"2probe", b"2probe"], [Effect.ANSWER_PROBE] * 2, SessionState.UPGRADING),
        ([b"2"], [Effect.DROP_CANDIDATE], SessionState.POLLING),
        ([b"2probex"], [Effect.DROP_CANDIDATE], SessionState.POLLING),
        ([b"40"], [Effect.DROP_CANDIDATE], SessionState.POLLING),
        ([b""], [Effect.DROP_CANDIDATE], SessionState.POLLING),
        ([b"\xff"], [Effect.DROP_CANDIDATE], SessionState.POLLING),
        ([b"2probe", b"4x"], [Effect.ANSWER_PROBE, Effect.DROP_CANDIDATE], SessionState.POLLING),
    ],
)
def test_candidate_takes_over_or_is_dropped(
    packets: list[bytes], effects: list[Effect], state: SessionState
) -> None:
    """Only the probe and the upgrade are taken from a candidate; all else costs it, and it alone."""
    session = session_in(SessionState.PROBING)
    assert [session.receive_candidate(packet, 1.0) for packet in packets] == effects
    assert session.state is state


@pytest.mark.parametrize("packet", [b"2probe", b"5"])
@pytest.mark.parametrize("state", [SessionState.POLLING, SessionState.WEBSOCKET])
def test_dropped_candidate_can_do_nothing(state: SessionState, packet: bytes) -> None:
    """What a websocket still sends after it was dropped never moves the session."""
    session = session_in(state)
    with pytest.raises(PacketError):
        session.receive_candidate(packet, 1.0)
    assert session.state is state


def test_upgrade_gives_an_unanswered_ping_its_time_again() -> None:
    """A ping on its way during the switch does not kill the session."""
    session = session_in(SessionState.UPGRADING)
    assert session.expire(25.0) is Effect.SEND_PING
    session.receive_candidate(b"5", 44.0)
    assert session.deadline() == 64.0


@pytest.mark.parametrize("state", [SessionState.POLLING, SessionState.UPGRADING, SessionState.WEBSOCKET])
@pytest.mark.parametrize("packet_type", [OPEN, MESSAGE, UPGRADE, NOOP])
def test_packets_without_a_meaning_count_as_activity_only(state: SessionState, packet_type: int) -> None:
    """OPEN, UPGRADE and NOOP of a client are ignored as in Node, but show that it lives."""
    session = session_in(state)
    session.expire(25.0)
    assert session.receive(packet_type, 30.0) is Effect.NOTHING
    assert session.state is state
    assert session.deadline() == 50.0


def test_pong_feeds_the_heartbeat() -> None:
    """After a pong the next ping is an interval away."""
    session = session_in(SessionState.WEBSOCKET)
    session.expire(25.0)
    waited = session.awaiting_pong
    assert session.receive(PONG, 26.0) is Effect.NOTHING
    assert (waited, session.awaiting_pong, session.deadline()) == (True, False, 51.0)


@pytest.mark.parametrize(
    ("state", "effect"), [(SessionState.POLLING, Effect.RELEASE), (SessionState.WEBSOCKET, Effect.CLOSE)]
)
def test_close_packet_closes_on_either_transport(state: SessionState, effect: Effect) -> None:
    """A client that says goodbye is gone at once, also on a websocket, where Node waits for a timeout."""
    session = session_in(state)
    assert session.receive(CLOSE, 1.0) is effect
    assert session.state is SessionState.CLOSED


@pytest.mark.parametrize("packet_type", [PING, -1, 7, 50])
def test_packet_that_no_client_may_send_is_its_error(packet_type: int) -> None:
    """A ping of revision 3 and unknown types are refused; the state is left to the caller."""
    session = session_in(SessionState.POLLING)
    with pytest.raises(PacketError):
        session.receive(packet_type, 1.0)
    assert session.state is SessionState.POLLING


def test_heartbeat_asks_for_the_end() -> None:
    """An unanswered ping asks the caller to close; the state is left to it."""
    session = session_in(SessionState.POLLING)
    assert session.expire(24.0) is Effect.NOTHING
    assert session.expire(25.0) is Effect.SEND_PING
    assert session.expire(45.0) is Effect.CLOSE
    assert session.state is SessionState.POLLING


@pytest.mark.parametrize(
    ("state", "output", "answer"),
    [
        (SessionState.POLLING, [], None),
        (SessionState.POLLING, [b"4a", b"4b"], [b"4a", b"4b"]),
        (SessionState.PROBING, [], None),
        (SessionState.PROBING, [b"4a"], [b"4a"]),
        (SessionState.UPGRADING, [], [b"6"]),
        (SessionState.UPGRADING, [b"4a"], [b"4a"]),
        (SessionState.WEBSOCKET, [], [b"6"]),
        (SessionState.WEBSOCKET, [b"4a"], [b"6"]),
        (SessionState.CLOSING, [], [b"1"]),
        (SessionState.CLOSING, [b"41"], [b"41", b"1"]),
        (SessionState.CLOSED, [], [b"1"]),
    ],
)
def test_poll_is_answered_by_the_state(
    state: SessionState, output: list[bytes], answer: list[bytes] | None
) -> None:
    """A poll waits for output, but for an upgrade, which lets it go, and a close, which it is told of."""
    assert session_in(state).poll_answer(output) == answer


@pytest.mark.parametrize("attribute", ["__dict__", "__weakref__"])
def test_session_is_small(attribute: str) -> None:
    """One lives for each client, so it has slots only."""
    assert not hasattr(session_in(SessionState.POLLING), attribute)
