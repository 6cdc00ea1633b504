"""Clients that do not read, or are gone without a word, cost their bound and delay nobody."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import crowd
import pytest
import serving
from attacked import Target
from raw import PING, Client, frame, opened
from serving import POLLING

MakeTarget = Callable[..., Target]
HEARTBEAT = {"ping_interval": 0.4, "ping_timeout": 0.6}
TICK = 0.02

MEMBERS, DEAF, ROUNDS = 900, 100, 5
PAYLOAD = "x" * 20_000


async def listen(port: int, deaf: list[Client], broadcast: Callable[[int], None]) -> list[list[Any]]:
    """Broadcast to members who read and to others who do not, and return what the members got."""
    members = await crowd.gather(port, MEMBERS)
    seen = []
    for number in range(ROUNDS):
        broadcast(number)
        news = await asyncio.wait_for(asyncio.gather(*(member.events.get() for member in members)), 10)
        seen.append([event[1] for event in news])
    for member in members:
        member.leave()
    return seen


def test_broadcast_reaches_those_who_read_whatever_others_do(make_target: MakeTarget) -> None:
    """Of a thousand clients a hundred do not read: the others get all in order, those are disconnected."""
    target = make_target(max_output_bytes=100_000)
    deaf = [target.site.websocket(receive_buffer=4096) for _ in range(DEAF)]
    payload = PAYLOAD

    def broadcast(number: int) -> None:
        target.server.emit("news", [number, payload])

    began = time.process_time()
    seen = asyncio.run(listen(int(target.site.address), deaf, broadcast))
    assert seen == [[number] * MEMBERS for number in range(ROUNDS)]
    assert time.process_time() - began < 20
    for number in range(ROUNDS, 200):  # the system holds much for the deaf before we hold anything
        broadcast(number)
    target.wait_until(lambda: not target.server.connections, "the deaf are disconnected")
    (line,) = [line for line in target.lines.texts if "max_output_bytes" in line]
    assert line.startswith("The client from 127.0.0.1 is disconnected")
    for client in deaf:
        client.socket.close()
    target.wait_for_nothing()


def stop_reading(target: Target) -> tuple[Client, Any]:
    """Return a client that does not read, with its connection, once output piles up for it."""
    client = target.site.websocket(receive_buffer=4096)
    (connection,) = target.server.connections.values()
    deadline = time.monotonic() + 5
    while not target.site.call(lambda: connection.stalled):
        assert time.monotonic() < deadline
        for _ in range(20):
            target.server.emit("news", [PAYLOAD])
    return client, connection


def test_volatile_events_are_dropped_for_who_does_not_read(make_target: MakeTarget) -> None:
    """They are not queued; what else was sent arrives whole and in order once the client reads."""
    target = make_target()
    client, connection = stop_reading(target)
    waiting = target.site.call(connection._count_backlog)
    for _ in range(1_000):
        target.server.emit("gossip", [PAYLOAD], volatile=True)
    target.server.emit("last", [])
    target.wait_until(lambda: not target.server.hub.outbox.pending, "all is sent")
    assert target.site.call(connection._count_backlog) <= waiting + 1_000
    events = []
    while "last" not in events:
        events.append(json.loads(client.read_text()[2:])[0])
    assert set(events) == {"news", "last"}
    target.server.emit("gossip", [1], volatile=True)
    assert json.loads(client.read_text()[2:]) == ["gossip", 1]
    client.socket.close()
    target.wait_for_nothing()


def test_client_that_does_not_read_is_found_by_the_heartbeat(make_target: MakeTarget) -> None:
    """Also when its output stays below the bound; it is cut off and its handler told why."""
    target = make_target(**HEARTBEAT)
    client, _ = stop_reading(target)
    assert target.site.reason() == "ping timeout"
    target.wait_for_nothing()
    client.socket.close()


def test_half_open_websocket_is_found_to_within_a_tick(make_target: MakeTarget) -> None:
    """A peer that vanished without a word is gone after `ping_interval` and `ping_timeout`."""
    target = make_target(**HEARTBEAT)
    with target.site.websocket():
        (connection,) = target.server.connections.values()

        def end() -> float:
            session = connection.session
            return float(session.deadline() + (0 if session.awaiting_pong else HEARTBEAT["ping_timeout"]))

        due = target.site.call(end)
        assert target.site.reason() == "ping timeout"
        late = target.site.call(target.server.hub.now) - due
        assert -TICK < late < 5  # the machine may be busy; the clock by hand is in tests/runtime
    target.wait_for_nothing()


def test_half_open_polling_client_is_found(make_target: MakeTarget) -> None:
    """One that polls no more."""
    target = make_target(**HEARTBEAT)
    with target.site.client() as client:
        target.site.polling(client)
        assert target.site.reason() == "ping timeout"
        target.wait_until(lambda: not target.server.connections, "the session is forgotten")


def test_client_that_answers_pings_lives(make_target: MakeTarget) -> None:
    """Three times as long as it would without."""
    target = make_target(**HEARTBEAT)
    with target.site.websocket() as client:
        for _ in range(8):
            assert client.read_text() == "2"
            client.send_text("3")
        client.send_text('421["echo"]')
        assert client.read_text() in {"431[]", "2"}
        assert target.site.seen.qsize() == 1  # its connect


def test_pings_of_the_websocket_do_not_stand_for_pongs(make_target: MakeTarget) -> None:
    """A proxy may send them for a client that is gone."""
    target = make_target(**HEARTBEAT)
    with target.site.websocket() as client:
        ended = threading.Event()

        def ping() -> None:
            with suppress(OSError):
                while not ended.wait(0.02):
                    client.send(frame(PING, b"x"))

        thread = threading.Thread(target=ping)
        thread.start()
        assert target.site.reason() == "ping timeout"
        ended.set()
        thread.join()


def test_client_whose_bytes_come_one_by_one_delays_nobody(make_target: MakeTarget) -> None:
    """Slow in sending, be it a head, a body or a frame."""
    target = make_target()
    slow = [target.site.client() for _ in range(50)]
    with target.site.websocket() as other:
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n":
            for client in slow:
                client.send(bytes([byte]))
            other.send_text('421["echo"]')
            assert other.read_text() == "431[]"
        assert [client.finish().status for client in slow] == [200] * 50
    for client in slow:
        client.socket.close()
    target.wait_for_nothing()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_poll_that_is_not_read_is_cut_off(loop: str) -> None:
    """The answer waits for as long as a request may take; then its bytes are given back."""
    pytest.importorskip(loop)
    server = serving.make_server(request_timeout=0.2)
    with serving.serve(server, options={"loop": loop}) as site, site.client(receive_buffer=4096) as client:
        target = f"{POLLING}&sid={opened(client.request('GET', POLLING).body)['sid']}"
        client.request("POST", target, b"40")
        client.request("GET", target)
        server.emit("news", ["x" * 9_000_000])
        client.begin("GET", target)
        state = site.embedded._uvicorn.server_state
        deadline = time.monotonic() + 5
        while site.call(lambda: len(state.connections)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises((EOFError, ConnectionResetError, socket.timeout)):
            client.read(9_000_000)


def test_steps_of_the_clock_change_nothing(make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats and timeouts go by a clock that is not set; a day forward or back ends no session."""
    target = make_target(**HEARTBEAT)
    real = time.time
    with target.site.websocket() as client:
        for step in (86_400, -86_400, 0):
            monkeypatch.setattr(time, "time", lambda step=step: real() + step)
            for _ in range(2):
                assert client.read_text() == "2"
                client.send_text("3")
        client.send_text('421["echo"]')
        assert client.read_text() in {"431[]", "2"}
