"""A websocket takes a polling session over without losing or reordering anything, or costs itself only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from carboy.engineio.states import SessionInput, SessionState
from carboy.runtime.message import Message


class Candidate:
    """A polling client, and the websocket with which it wants to go on."""

    def __init__(self, world: Any, wire: type) -> None:
        self.world = world
        self.peer = world.peer("polling")
        self.peer.join()
        self.poll = self.peer.wire
        self.websocket = wire()
        self.connection = self.peer.connection
        self.connection.attach(self.websocket)

    def say(self, *packets: bytes) -> None:
        """Lets the websocket say these packets."""
        for packet in packets:
            self.websocket.receiver.receive_text(packet)


@pytest.fixture
def candidate(world: Any, wire: type) -> Candidate:
    """A websocket that has just come."""
    return Candidate(world, wire)


def test_probe_is_answered_and_the_poll_returns(candidate: Candidate) -> None:
    """The client switches only when its poll is back."""
    candidate.say(b"2probe")
    assert candidate.websocket.packets == [b"3probe"]
    assert candidate.poll.hurried == 1
    assert candidate.connection.transport is candidate.poll


def test_output_that_waits_goes_out_with_the_hurried_poll(candidate: Candidate) -> None:
    """What the poll can carry is carried before it returns with nothing."""
    candidate.connection.send(Message(b"4x"))
    candidate.say(b"2probe")
    assert candidate.poll.packets[-1] == b"4x"


def test_session_moves_to_the_websocket_with_all_that_waits(candidate: Candidate) -> None:
    """The output that no poll took leaves on the websocket, in order, and everything after it."""
    candidate.poll.ready = False
    candidate.connection.send(Message(b"4a"))
    candidate.world.turn()
    candidate.say(b"2probe")
    candidate.connection.send(Message(b"4b"))
    candidate.say(b"5")
    candidate.connection.send(Message(b"4c"))
    candidate.world.turn()
    assert candidate.websocket.packets == [b"3probe", b"4a", b"4b", b"4c"]
    assert candidate.poll.released == 1
    assert candidate.connection.session.transport == "websocket"
    assert candidate.connection.upgrade is None


def test_output_of_a_websocket_that_was_stalled_before_the_switch_is_counted(candidate: Candidate) -> None:
    """It tells of that once, to a session that was not its own: the bound holds all the same."""
    candidate.say(b"2probe")
    candidate.websocket.stalled = True
    candidate.websocket.unsent = 17 * 1024 * 1024
    candidate.say(b"5")
    assert candidate.connection.session.closed
    assert candidate.websocket.closed == 1008
    assert "max_output_bytes" in candidate.world.warnings()[-1]


def test_probes_are_not_answered_while_nobody_reads_the_answers(candidate: Candidate) -> None:
    """What nobody reads does not pile up, and the upgrade may still come."""
    candidate.websocket.stalled = True
    candidate.say(b"2probe", b"2probe")
    assert candidate.websocket.packets == []
    candidate.websocket.stalled = False
    candidate.say(b"2probe", b"5")
    assert candidate.connection.transport is candidate.websocket


def test_websocket_is_read_by_the_session_after_the_switch(candidate: Candidate) -> None:
    """Its packets are the client's, and its loss is the session's end."""
    got: list[Any] = []
    candidate.world.on("e")(lambda client: got.append(1))
    candidate.say(b"2probe", b"5", b'42["e"]')
    candidate.world.settle()
    assert got == [1]
    candidate.connection.transport_lost(candidate.poll, "transport close")
    assert not candidate.connection.session.closed
    candidate.connection.transport_lost(candidate.websocket, "transport close")
    assert candidate.connection.session.closed


@pytest.mark.parametrize(
    "failure",
    [
        lambda candidate: candidate.say(b"4x"),
        lambda candidate: candidate.say(b"2probe", b""),
        lambda candidate: candidate.websocket.receiver.receive_binary(b"x"),
        lambda candidate: candidate.connection.transport_lost(candidate.websocket, "transport close"),
        lambda candidate: candidate.world.advance(10.1),
    ],
    ids=["packet", "empty", "binary", "lost", "timeout"],
)
def test_failed_upgrade_costs_the_websocket_only(
    candidate: Candidate, failure: Callable[[Candidate], None]
) -> None:
    """The session goes on over polling, and another attempt may succeed."""
    failure(candidate)
    assert candidate.websocket.closed == 1000
    assert candidate.connection.upgrade is None
    assert candidate.connection.session.state is SessionState.POLLING
    assert candidate.connection.transport is candidate.poll
    again = type(candidate.websocket)()
    candidate.connection.attach(again)
    again.receiver.receive_text(b"2probe")
    again.receiver.receive_text(b"5")
    assert candidate.connection.transport is again


def test_dropped_candidate_has_nothing_to_say(candidate: Candidate) -> None:
    """What a websocket sends after it was dropped does not count for the one that tries after it."""
    candidate.say(b"4x")
    again = type(candidate.websocket)()
    candidate.connection.attach(again)
    candidate.say(b"2probe", b"5")
    candidate.websocket.receiver.receive_binary(b"x")
    assert candidate.connection.transport is candidate.poll
    assert (candidate.websocket.packets, again.closed) == ([], None)
    again.receiver.receive_text(b"2probe")
    again.receiver.receive_text(b"5")
    assert candidate.connection.transport is again


def test_time_for_the_upgrade_ends_with_the_switch(candidate: Candidate) -> None:
    """No timer is left of an upgrade that is over."""
    candidate.say(b"2probe", b"5")
    candidate.world.advance(11)
    assert candidate.websocket.closed is None


def test_second_candidate_is_refused(candidate: Candidate) -> None:
    """A websocket that comes while another one tries is closed, and the first goes on."""
    second = type(candidate.websocket)()
    candidate.connection.attach(second)
    assert second.closed == 1000
    candidate.say(b"2probe", b"5")
    third = type(candidate.websocket)()
    candidate.connection.attach(third)
    assert third.closed == 1000
    assert candidate.connection.transport is candidate.websocket


def test_paused_session_stays_paused_on_the_websocket(make_world: Callable[..., Any], wire: type) -> None:
    """A client that is not read over polling is not read over the websocket."""
    candidate = Candidate(make_world(max_queued_events=1), wire)
    gate = candidate.world.loop.create_future()

    @candidate.world.on("wait")
    async def wait(client: Any) -> None:
        await gate

    candidate.peer.emit("wait")
    assert not candidate.poll.reading
    candidate.say(b"2probe", b"5")
    assert not candidate.websocket.reading
    gate.set_result(None)
    candidate.world.settle()
    assert candidate.websocket.reading


def test_end_of_the_session_closes_the_candidate(candidate: Candidate) -> None:
    """A websocket does not outlive the session that it wanted."""
    candidate.connection.receive_text(b"1")
    assert candidate.websocket.closed == 1000
    assert candidate.world.server.connections == {}
    assert candidate.world.hub.timers.next_due() is None
    candidate.say(b"2probe", b"5")
    assert candidate.world.server.connections == {}


def test_closing_session_may_tell_its_client_on_the_websocket(candidate: Candidate) -> None:
    """A client that polls no more hears of the close where it switches to, after the rest of the output."""
    candidate.poll.ready = False
    candidate.say(b"2probe")
    candidate.connection.send(Message(b"4last"))
    candidate.connection.close(SessionInput.SERVER_CLOSED, 1000)
    candidate.say(b"5")
    assert candidate.websocket.packets == [b"3probe", b"4last"]
    assert candidate.websocket.closed == 1000
    assert candidate.world.server.connections == {}
