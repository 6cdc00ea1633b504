"""Every bound is an option, holds while input is read, and is told in the log by its name."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import serving
from attacked import Target
from misbehaving import Misbehaving
from raw import BINARY, CONTINUATION, TEXT, Client, close_body, frame, opened
from serving import POLLING, WEBSOCKET

from carboy.config import Config
from carboy.transports.wire import RECEIVE_BUFFER

ONE_READ = 2 * 2 * RECEIVE_BUFFER  # the system doubles what it is asked for, and picows what it reads into

MakeTarget = Callable[..., Target]


def told(target: Target) -> list[str]:
    """Return the options that the log has named."""
    return [line.rpartition("(option ")[2].rstrip(")") for line in target.lines.texts]


def test_every_bound_has_a_default() -> None:
    """Nothing that a peer can make grow is without one, but for what a proxy makes of addresses."""
    bounds = {
        field.name: field.default
        for field in dataclasses.fields(Config)
        if field.name.startswith("max_") or field.name.endswith("_timeout")
    }
    assert len(bounds) >= 20
    assert [name for name, default in bounds.items() if default is None] == ["max_connections_per_address"]


# What is read

SMALL = {
    "max_http_buffer_size": 1_000,
    "max_payload_packets": 5,
    "max_attachments": 2,
    "max_attachment_bytes": 1_500,
    "max_depth": 5,
    "max_namespace_length": 20,
    "max_fragments": 4,
}
PASSED = {
    "max_http_buffer_size": frame(TEXT, b"4" * 1_001)[:20],
    "max_attachments": frame(TEXT, b'453-["echo",{"_placeholder":true,"num":0}]'),
    "max_attachment_bytes": frame(TEXT, b'452-["echo",{"_placeholder":true,"num":0}]')
    + frame(BINARY, bytes(900)) * 2,
    "max_depth": frame(TEXT, b'42["echo",[[[[[1]]]]]]'),
    "max_namespace_length": frame(TEXT, b"40/" + b"n" * 30),
    "max_fragments": frame(TEXT, b"4", fin=False) + frame(CONTINUATION, b"2", fin=False) * 4,
}


@pytest.fixture(scope="module")
def small(make_target: MakeTarget) -> Target:
    """A server with small bounds."""
    return make_target(**SMALL)


@pytest.mark.parametrize("option", PASSED)
def test_message_past_a_bound_closes_the_websocket(small: Target, option: str) -> None:
    """With 1009, at the byte that passes it, and the log names the option."""
    small.begin()
    with small.site.websocket() as client:
        client.send(PASSED[option])
        assert client.read_close() == 1009
        client.send(frame(8, close_body(1009)))
    small.wait_for_nothing()
    assert told(small) == [option]


@pytest.mark.parametrize(
    ("option", "body"),
    [
        ("max_http_buffer_size", b"4" * 1_001),
        ("max_payload_packets", b"\x1e".join([b"3"] * 6)),
        ("max_depth", b'42["echo",[[[[[1]]]]]]'),
    ],
)
def test_post_past_a_bound_is_refused(small: Target, option: str, body: bytes) -> None:
    """The same bounds over polling, with 413."""
    small.begin()
    with small.site.client() as client:
        session = small.site.polling(client)
        assert client.request("POST", session, body).status == 413
        small.end_polling()
    assert told(small) == [option]


def test_attachment_that_does_not_come_ends_the_connection(make_target: MakeTarget) -> None:
    """Its packet is not kept for ever; while they come in time a packet may take longer in all."""
    target = make_target(attachment_timeout=30, ping_interval=10_000)
    with target.site.websocket() as client:
        (connection,) = target.server.connections.values()

        def waits() -> bool:
            by = connection._attachment_by or 0
            return connection._partial is not None and by > target.server.hub.now() + 25

        client.send_text('453-7["echo",{"_placeholder":true,"num":0}]')
        for _ in range(3):
            target.wait_until(waits, "an attachment is awaited anew")
            target.skip(20)
            client.send(frame(BINARY, b"x"))
        assert client.read_text().startswith("461-7")
        client.read_frame()
        assert target.lines.texts == []
        client.send_text('452-7["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, b"x"))
        target.wait_until(waits, "the other attachment is awaited")
        target.skip(31)
        assert client.read_close() == 1009
        client.send(frame(8, close_body(1009)))
    target.wait_for_nothing()
    assert told(target) == ["attachment_timeout"]


def test_attachment_is_not_late_while_its_client_is_not_read(make_target: MakeTarget) -> None:
    """It is the application that takes its time then."""
    go_on = threading.Event()
    target = make_target(
        lambda server: serving.on(server, "block", lambda client: go_on.wait(5)),
        attachment_timeout=30,
        ping_interval=10_000,
        handler_threads=1,
        max_queued_events=1,
    )
    with target.site.websocket() as client:
        client.send(
            frame(TEXT, b'42["block"]') * 2 + frame(TEXT, b'451-7["echo",{"_placeholder":true,"num":0}]')
        )
        (connection,) = target.server.connections.values()
        target.wait_until(lambda: connection.paused, "the client is not read")
        target.skip(60)
        go_on.set()
        client.send(frame(BINARY, b"x"))
        assert client.read_text().startswith("461-7")


# Who comes


def test_sessions_in_all_are_bounded(make_target: MakeTarget) -> None:
    """One more is refused with 503, over polling and as a websocket; when one leaves, another may come."""
    target = make_target(max_connections=2)
    with target.site.websocket(), target.site.client() as client:
        with target.site.websocket():
            assert client.request("GET", POLLING).status == 503
            with target.site.client() as other:
                assert other.upgrade(WEBSOCKET).status == 503
        target.wait_until(lambda: len(target.server.connections) == 1, "one has left")
        with target.site.websocket():
            pass
    target.wait_for_nothing()
    assert told(target) == ["max_connections"]


def test_sessions_that_join_nothing_are_bounded(make_target: MakeTarget) -> None:
    """Those that have joined are not among them, and an upgrade of one is not a new one."""
    target = make_target(max_unconnected=2)
    with (
        target.site.websocket(),
        target.site.websocket(),
        target.site.websocket(),
        target.site.client() as client,
    ):
        sids = [opened(client.request("GET", POLLING).body)["sid"] for _ in range(2)]
        assert client.request("GET", POLLING).status == 503
        with target.site.client() as websocket:
            assert websocket.upgrade(f"{WEBSOCKET}&sid={sids[0]}").status == 101
        assert client.request("POST", f"{POLLING}&sid={sids[1]}", b"40").body == b"ok"
        target.wait_until(lambda: target.server.admission.unconnected == 1, "one has joined")
        assert client.request("GET", POLLING).status == 200
        target.end_polling()
    target.wait_for_nothing()
    assert told(target) == ["max_unconnected"]


def test_sessions_of_one_address_are_bounded(make_target: MakeTarget) -> None:
    """The address is the one that the application sees."""
    target = make_target(max_connections_per_address=1)
    with target.site.websocket(), target.site.client() as client:
        assert client.request("GET", POLLING, headers="X-Forwarded-For: 192.0.2.9\r\n").status == 503
    target.wait_for_nothing()
    assert not target.server.admission._addresses
    assert told(target) == ["max_connections_per_address"]


def test_handshakes_that_wait_for_a_callable_are_bounded(make_target: MakeTarget) -> None:
    """A callable that decides slowly does not gather requests without end; sessions that there are go on."""
    go_on = threading.Event()

    def decide(origin: str) -> bool:
        return origin == "http://b.example" or go_on.wait(5)

    target = make_target(max_unconnected=3, cors_allowed_origins=decide)
    present = target.site.client()
    session = target.site.polling(present)
    clients = [target.site.client() for _ in range(4)]
    for client in clients[:3]:
        client.begin("GET", POLLING, headers="Origin: http://a.example\r\n")
    target.wait_until(lambda: target.server.admission.handshakes == 3, "three wait")
    assert clients[3].request("GET", POLLING, headers="Origin: http://a.example\r\n").status == 503
    assert present.request("POST", session, b"3", headers="Origin: http://b.example\r\n").status == 200
    go_on.set()
    assert sorted(client.finish().status for client in clients[:3]) == [200] * 3
    for client in (*clients, present):
        client.socket.close()
    target.end_polling()
    target.wait_for_nothing()
    assert told(target) == ["max_unconnected"]


# What one client has


def test_rooms_of_a_client_are_bounded(make_target: MakeTarget) -> None:
    """Joining one more ends the handler, with one line and no traceback; leaving one makes room."""

    def prepare(server: Any) -> None:
        serving.on(server, "join", lambda client, room: server.enter_room(client.sid, room))
        serving.on(server, "leave", lambda client, room: server.leave_room(client.sid, room))

    target = make_target(prepare, max_rooms=3, async_handlers=False)
    with target.site.websocket() as client:
        for number in range(5):
            client.send_text(f'42["join",{number}]')
        client.send_text('42["join",1]')
        client.send_text('42["leave",0]')
        client.send_text('421["join",4]')
        assert client.read_text() == "431[]"
        assert sorted(target.server.adapter.names("/")) == [1, 2, 4]
    target.wait_for_nothing()
    assert told(target) == ["max_rooms"]
    assert target.lines.tracebacks == []


def test_acknowledgements_that_a_client_owes_are_bounded(make_target: MakeTarget) -> None:
    """The one that it owes longest is given up, and those who wait for it are told."""
    target = make_target(max_acks=3)
    lost: list[tuple[int, str]] = []
    answers: list[int] = []
    with target.site.websocket() as client:
        for number in range(5):
            target.server.emit_with_ack(
                "ask",
                [number],
                lambda client, arguments: answers.append(arguments[0]),
                lambda client, why, number=number: lost.append((number, why)),
            )
        asked = [client.read_text() for _ in range(5)]
        assert lost == [(0, "the client owes too many answers"), (1, "the client owes too many answers")]
        for packet in asked:
            number, _, data = packet[2:].partition("[")
            client.send_text(f"43{number}[{json.loads('[' + data)[1]}]")
        client.send_text('421["echo"]')
        client.read_text()
        assert answers == [2, 3, 4]
    target.wait_for_nothing()
    assert told(target) == ["max_acks"]


def test_namespaces_of_a_client_are_bounded(make_target: MakeTarget) -> None:
    """One more is refused with a CONNECT_ERROR."""
    target = make_target(max_namespaces=2, namespaces="*")
    with target.site.websocket() as client:
        client.send_text("40/a,")
        assert client.read_text().startswith("40/a,")
        client.send_text("40/b,")
        assert client.read_text() == '44/b,{"message":"Too many namespaces"}'
    target.wait_for_nothing()
    assert told(target) == ["max_namespaces"]


def test_events_of_a_client_wait_outside_past_the_bound(make_target: MakeTarget) -> None:
    """A flood is held in the kernel's buffers, not in ours; nothing is dropped, and others are served."""
    go_on = threading.Event()
    target = make_target(
        lambda server: serving.on(server, "block", lambda client: go_on.wait(5)), max_queued_events=50
    )
    with target.site.websocket() as flooder, target.site.websocket() as other:
        payload = b"x" * 1_000

        def flood() -> None:
            with suppress(OSError):  # in the end it is cut off
                for _ in range(20_000):
                    flooder.send(frame(TEXT, b'42["block","%b"]' % payload))

        sender = threading.Thread(target=flood, daemon=True)
        sender.start()
        flooding = next(iter(target.server.connections.values()))
        target.wait_until(lambda: flooding.paused, "the flooder is not read")
        most = max(target.site.call(lambda: flooding.waiting) for _ in range(50))
        assert most < 50 + ONE_READ // 1_000
        go_on.set()
        other.send_text('421["echo",1]')
        assert other.read_text() == "431[1]"
        flooder.reset()
        sender.join(5)
    target.wait_for_nothing()
    assert "max_queued_events" in told(target)


def test_flood_of_small_messages_is_read_in_small_parts(make_target: MakeTarget) -> None:
    """A read brings what the system may hold of it, so its buffer and the time that it takes are bounded."""
    target = make_target()
    with target.site.websocket() as client:
        (connection,) = target.server.connections.values()

        def buffer() -> int:
            return connection.transport._wire.inner.get_protocol().get_buffer(0).nbytes

        flood = frame(TEXT, b'42["nobody answers","%b"]' % (b"x" * 1_000)) * 5_000
        sender = threading.Thread(target=lambda: [client.send(flood) for _ in range(5)])
        sender.start()
        most = 0
        while sender.is_alive():
            most = max(most, target.site.call(buffer))
        # picows doubles it once more where a read has filled nine tenths; unbounded it would be 3.5 MB here.
        assert 2_048 < most <= 2 * ONE_READ
    target.wait_for_nothing()


def test_threads_that_are_all_busy_are_told(make_target: MakeTarget) -> None:
    """The log names the option; events that wait are handled when one is free."""
    go_on = threading.Event()
    target = make_target(
        lambda server: serving.on(server, "block", lambda client: go_on.wait(5)), handler_threads=2
    )
    with target.site.websocket() as client:
        client.send(frame(TEXT, b'42["block"]') * 2 + frame(TEXT, b'421["echo"]'))
        deadline = time.monotonic() + 5
        while not target.lines.texts:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        go_on.set()
        assert client.read_text() == "431[]"
    assert told(target) == ["handler_threads"]


def test_heads_are_bounded_by_their_option(make_target: MakeTarget) -> None:
    """An operator may want less than 128 KiB."""
    target = make_target(max_head_bytes=2_000)
    with Misbehaving(target.site.address) as client:
        outcome = client.attack([b"GET / HTTP/1.1\r\nX: ", *[b"x" * 1_000] * 300])
        assert (outcome.statuses, outcome.closed) == ([431], True)
    assert told(target) == ["max_head_bytes"]


@pytest.mark.parametrize("kind", ["websocket", "polling"])
def test_client_that_joins_nothing_is_closed(make_target: MakeTarget, kind: str) -> None:
    """In `connect_timeout` seconds, whatever it answers to pings."""
    target = make_target(connect_timeout=0.2)
    with target.site.client() as client:
        if kind == "websocket":
            client.upgrade(WEBSOCKET)
            client.read_text()
            assert client.read_close() == 1000
        else:
            sid = opened(client.request("GET", POLLING).body)["sid"]
            assert client.request("GET", f"{POLLING}&sid={sid}").body == b"1"
        assert isinstance(client, Client)
    target.wait_for_nothing()
