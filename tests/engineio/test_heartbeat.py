"""The heartbeat pings and gives up at the right time, on a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.engineio.heartbeat import PUNCTUAL, Beat, Heartbeat


def heartbeat(interval: float = 25.0, timeout: float = 20.0, now: float = 100.0) -> Heartbeat:
    """Makes a heartbeat that was opened at 100."""
    return Heartbeat(interval, timeout, now)


def test_ping_is_due_an_interval_after_the_opening() -> None:
    """Nothing is due before."""
    beating = heartbeat()
    assert beating.deadline() == 125.0
    assert beating.beat(124.9) is Beat.NOTHING
    assert beating.beat(125.0) is Beat.PING
    assert beating.awaiting_pong


def test_next_ping_is_due_an_interval_after_the_pong() -> None:
    """The interval counts from the pong, not from the ping."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.pong(130.0)
    assert not beating.awaiting_pong
    assert beating.deadline() == 155.0
    assert beating.beat(154.9) is Beat.NOTHING
    assert beating.beat(155.0) is Beat.PING


def test_silent_peer_is_dead_a_timeout_after_the_ping() -> None:
    """The timeout counts from when the ping was sent, be it late."""
    beating = heartbeat()
    assert beating.beat(126.0) is Beat.PING
    assert beating.deadline() == 146.0
    assert beating.beat(145.9) is Beat.NOTHING
    assert beating.beat(146.0) is Beat.DEAD


def test_fractions_of_a_second_are_honoured() -> None:
    """Node's measured case: 0.2 seconds from ping to the end."""
    beating = heartbeat(0.3, 0.2, 0.0)
    assert beating.beat(0.25) is Beat.NOTHING
    assert beating.beat(0.3) is Beat.PING
    assert beating.beat(0.49) is Beat.NOTHING
    assert beating.beat(0.5) is Beat.DEAD


def test_first_packet_extends_the_timeout_once_per_ping() -> None:
    """A peer that sends but never answers has at most two timeouts."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.activity(140.0)
    assert beating.deadline() == 160.0
    beating.activity(150.0)
    assert beating.deadline() == 160.0
    assert beating.beat(160.0) is Beat.DEAD


def test_extension_is_granted_anew_after_a_pong() -> None:
    """Each ping has its own extension."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.activity(126.0)
    beating.pong(127.0)
    beating.beat(152.0)
    beating.activity(160.0)
    assert beating.deadline() == 180.0


def test_activity_without_a_ping_changes_nothing() -> None:
    """A busy client is pinged like any other."""
    beating = heartbeat()
    beating.activity(120.0)
    beating.refresh(120.0)
    assert beating.deadline() == 125.0


@pytest.mark.parametrize(("sent", "end"), [(125.0, 145.0), (125.02, 145.0), (125.2, 145.2)])
def test_ping_that_leaves_a_tick_late_does_not_put_the_end_off(sent: float, end: float) -> None:
    """The peer is gone an interval and a timeout after the opening; after a ping that was late, later."""
    beating = heartbeat()
    assert beating.beat(sent) is Beat.PING
    assert beating.deadline() == end


def test_unasked_pong_only_delays_the_ping() -> None:
    """A pong that nobody asked for counts as a sign of life."""
    beating = heartbeat()
    beating.pong(120.0)
    assert beating.deadline() == 145.0


def test_refresh_starts_the_timeout_afresh() -> None:
    """A change of the transport gives the answer its whole time, and leaves the extension unused."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.refresh(144.0)
    assert beating.deadline() == 164.0
    beating.activity(150.0)
    assert beating.deadline() == 170.0


def test_timeout_stands_still_while_the_peer_is_not_read() -> None:
    """After the pause there is as much left as before."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.pause(130.0)
    assert beating.beat(146.0) is Beat.NOTHING
    beating.resume(149.0)
    assert beating.deadline() == 164.0
    assert beating.beat(164.0) is Beat.DEAD


def test_paused_peer_is_pinged_all_the_same() -> None:
    """Clients give up without pings, so these go on at the interval, and none of them is the end."""
    beating = heartbeat()
    beating.pause(110.0)
    pings = [now for now in range(110, 300) if beating.beat(float(now)) is Beat.PING]
    assert pings == [125, 150, 175, 200, 225, 250, 275]
    beating.resume(300.0)
    assert beating.deadline() == 320.0
    assert beating.beat(320.0) is Beat.DEAD


def test_ping_in_a_pause_counts_from_the_one_before() -> None:
    """The client's patience began with the last ping it heard, be it answered or not."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.pause(140.0)
    assert beating.deadline() == 150.0
    assert beating.beat(150.0) is Beat.PING
    beating.resume(151.0)
    assert beating.deadline() == 156.0


def test_packets_after_a_pause_may_extend_the_timeout_anew() -> None:
    """The pong may stand behind all that was not read, so the extension is granted once more."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.activity(126.0)
    beating.pause(127.0)
    beating.resume(140.0)
    beating.activity(141.0)
    assert beating.deadline() == 161.0


def test_packets_read_while_paused_count() -> None:
    """What was read before the pause may be worked off during it."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.pause(144.0)
    beating.activity(145.0)
    beating.resume(146.0)
    assert beating.deadline() == 166.0


def test_pong_while_paused_ends_the_wait() -> None:
    """A pong counts whenever it is read; the next ping follows in time and has its whole timeout."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.pause(126.0)
    beating.pong(127.0)
    beating.resume(128.0)
    assert beating.deadline() == 152.0
    assert beating.beat(152.0) is Beat.PING
    assert beating.deadline() == 172.0


def test_pausing_twice_and_resuming_twice_change_nothing() -> None:
    """Only the first pause and the first resume count."""
    beating = heartbeat()
    beating.beat(125.0)
    beating.pause(130.0)
    beating.pause(140.0)
    beating.resume(150.0)
    beating.resume(160.0)
    assert beating.deadline() == 165.0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["beat", "pong", "activity", "refresh", "pause", "resume"]), st.floats(0.0, 60.0)
    ),
    max_size=40,
)


@given(STEPS)
def test_no_peer_dies_without_an_unanswered_ping_and_its_time(steps: list[tuple[str, float]]) -> None:
    """Whatever happens, death comes only of a ping that was sent a timeout ago, and never in a pause."""
    beating, now, pinged, paused = heartbeat(now=0.0), 0.0, None, False
    for step, later in steps:
        now += later
        if step == "beat":
            beat = beating.beat(now)
            if beat is Beat.DEAD:
                assert pinged is not None
                assert not paused
                assert now - pinged >= 20.0 - PUNCTUAL - 0.001
            pinged = now if beat is Beat.PING and pinged is None else pinged
        else:
            getattr(beating, step)(now)
        pinged = None if step == "pong" else pinged
        paused = step == "pause" or (paused and step != "resume")
        assert beating.awaiting_pong == (pinged is not None)


@given(STEPS)
def test_living_client_hears_a_ping_before_it_gives_up(steps: list[tuple[str, float]]) -> None:
    """As long as the runtime asks at the deadline, no two pings are further apart than a client bears."""
    beating, now, heard = heartbeat(now=0.0), 0.0, 0.0
    for step, later in steps:
        until = now + later
        while beating.deadline() <= until:
            now = max(now, beating.deadline())
            beat = beating.beat(now)
            if beat is Beat.DEAD:
                return
            assert beat is Beat.PING
            assert now - heard <= 25.0 + 20.0 + 1e-6
            heard = now
        now = until
        if step == "pong":
            if not beating.awaiting_pong:
                continue  # a client that answers unasked puts the ping off itself
            beating.pong(now)
            heard = now - 20.0  # an answer proves only that the ping came within its time
        elif step in ("pause", "resume"):
            getattr(beating, step)(now)


@pytest.mark.parametrize("attribute", ["__dict__", "__weakref__"])
def test_heartbeat_is_small(attribute: str) -> None:
    """One lives for each client, so it has slots only."""
    assert not hasattr(heartbeat(), attribute)
