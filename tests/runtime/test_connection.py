"""A connection reads, keeps its peer alive, and ends once; test_back_pressure.py has one that is too fast."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from carboy.engineio.states import SessionInput
from carboy.exceptions import LimitError, PacketError
from carboy.runtime.client import Client
from carboy.runtime.connection import CLOSE_FALLBACK, Connection
from carboy.runtime.message import Message

# Input


@pytest.mark.parametrize(
    "packet",
    [b"", b"9", b"2", b"x", b"\xff", b"4", b"4[", b'42["connect"]', b"4{", b"b!!!", b'42["e"]extra'],
)
def test_malformed_packet_ends_the_session_with_one_line(world: Any, packet: bytes) -> None:
    """Whatever cannot be read closes the connection, is told without a traceback, and raises nothing."""
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(packet)
    world.settle()
    assert peer.connection.session.closed
    assert isinstance(peer.connection.failure, PacketError)
    assert [line for line in world.warnings() if "192.0.2.1" in line] == world.warnings()
    assert len(world.warnings()) == 1
    assert world.tracebacks() == []
    assert world.server.connections == {}


def test_limit_closes_with_its_own_code(make_world: Callable[..., Any]) -> None:
    """A message past an option's bound is closed as too big, and the log names the option."""
    world = make_world(max_attachments=1)
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(b'452-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    assert peer.wire.closed == 1009
    assert isinstance(peer.connection.failure, LimitError)
    assert "max_attachments" in world.warnings()[0]


def test_attachments_follow_their_packet(world: Any) -> None:
    """A packet with attachments is handled when the last of them is there."""
    got: list[Any] = []
    world.on("e")(lambda client, *arguments: got.append(arguments))
    peer = world.peer()
    peer.join()
    peer.emit("e", b"one", {"x": b"two"})
    world.settle()
    assert got == [(b"one", {"x": b"two"})]


def test_attachment_in_base64_is_one_too(world: Any) -> None:
    """A polling client sends attachments as packets that begin with a b."""
    got: list[Any] = []
    world.on("e")(lambda client, *arguments: got.append(arguments))
    peer = world.peer("polling")
    peer.join()
    peer.connection.receive_text(b'451-["e",{"_placeholder":true,"num":0}]')
    peer.connection.receive_text(b"bb25l")
    world.settle()
    assert got == [(b"one",)]


def test_text_where_an_attachment_is_due_is_malformed(world: Any) -> None:
    """Nothing may come between a packet and its attachments; a pong may, since it is no message."""
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(b'451-["e",{"_placeholder":true,"num":0}]')
    peer.connection.receive_text(b"3")
    assert not peer.connection.session.closed
    peer.connection.receive_text(b'42["e"]')
    assert peer.connection.session.closed


def test_binary_message_that_is_no_attachment_is_malformed(world: Any) -> None:
    """The JSON codec has no packets in binary messages."""
    peer = world.peer()
    peer.join()
    peer.connection.receive_binary(b"\x00")
    assert peer.connection.session.closed


def test_nothing_is_read_after_the_end(world: Any) -> None:
    """Packets of the same read that come behind the end change nothing."""
    peer = world.peer()
    peer.connection.receive_text(b"1")
    peer.connection.receive_text(b"1")
    peer.connection.receive_text(b"40")
    peer.connection.receive_text(b"")
    world.settle()
    assert world.server.adapter.recipients("/") == ()
    assert world.warnings() == []


# Heartbeat


def test_idle_peer_is_pinged_and_lives_while_it_answers(world: Any) -> None:
    """A ping goes out an interval after the last pong."""
    peer = world.peer()
    peer.join()
    for count in range(1, 4):
        world.advance(24.9)
        assert peer.wire.packets.count(b"2") == count - 1
        world.advance(0.2)
        assert peer.wire.packets.count(b"2") == count
        peer.connection.receive_text(b"3")
    assert not peer.connection.session.closed


def test_silent_peer_is_gone_after_the_timeout(world: Any) -> None:
    """An unanswered ping ends the session with its reason, to within a tick."""
    reasons: list[str] = []
    world.on("disconnect")(lambda client, reason: reasons.append(reason))
    peer = world.peer()
    peer.join()
    world.advance(25.1)
    world.advance(19.8)
    assert not peer.connection.session.closed
    world.advance(0.2)
    world.settle()
    assert reasons == ["ping timeout"]
    assert peer.wire.closed == 1001


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
def test_peer_that_sends_binary_messages_is_not_silent(
    make_world: Callable[..., Any], serializer: str
) -> None:
    """Its pong may stand behind them on a slow line."""
    world = make_world(serializer=serializer)
    world.on("e")(lambda client, data: None)
    peer = world.peer()
    peer.join()
    world.advance(25.1)
    world.advance(15.0)
    peer.emit("e", b"binary")
    world.advance(10.0)
    assert not peer.connection.session.closed
    world.advance(11.0)
    assert peer.connection.session.closed


def test_client_that_joins_no_namespace_is_closed(make_world: Callable[..., Any]) -> None:
    """Whoever opens a session and never joins costs a bounded time, as does whoever is only refused."""
    world = make_world(connect_timeout=5)
    world.on("connect", "/closed")(lambda client, environ, auth: False)
    idle, refused, joined = world.peer(), world.peer(), world.peer()
    refused.ask("/closed")
    joined.join()
    world.advance(4.9)
    assert not idle.connection.session.closed
    world.advance(0.2)
    assert [peer.connection.session.closed for peer in (idle, refused, joined)] == [True, True, False]


def test_slow_connect_handler_is_not_the_client_s_fault(make_world: Callable[..., Any]) -> None:
    """The time in which a namespace must be joined does not end while the application decides."""
    world = make_world(connect_timeout=5)
    gate = world.loop.create_future()

    @world.on("connect")
    async def connect(client: Client, environ: Any, auth: Any) -> None:
        await gate

    peer = world.peer()
    peer.ask()
    world.turn()
    world.advance(12)
    assert not peer.connection.session.closed
    gate.set_result(None)
    world.settle()
    world.advance(12)
    assert not peer.connection.session.closed
    assert [type for type, *_ in peer.received()] == [0]


# Output


def test_client_past_its_bound_is_disconnected(make_world: Callable[..., Any]) -> None:
    """Nothing grows without a bound: the log names the option, and the client is told a reason."""
    world = make_world(max_output_bytes=1000)
    reasons: list[str] = []
    world.on("disconnect")(lambda client, reason: reasons.append(reason))
    peer = world.peer()
    peer.join()
    peer.wire.ready = False
    for _ in range(12):
        world.server.emit("e", ["x" * 100])
        world.settle()
    assert reasons == ["transport error"]
    assert peer.wire.closed == 1008
    assert ["max_output_bytes" in line for line in world.warnings()] == [True]
    assert peer.connection.pending == []


# The end


@pytest.mark.parametrize(
    ("end", "reason", "code"),
    [
        (lambda peer: peer.connection.receive_text(b"1"), "client disconnect", 1000),
        (lambda peer: peer.connection.transport_lost(peer.wire, "transport close"), "transport close", None),
        (lambda peer: peer.connection.close(SessionInput.SERVER_CLOSED, 1001), "server disconnect", 1001),
        (lambda peer: peer.connection.violate(PacketError("x")), "transport error", 1002),
        (lambda peer: peer.connection.overflow(), "transport error", 1008),
    ],
)
def test_session_ends_once_with_its_reason(
    world: Any, end: Callable[[Any], None], reason: str, code: int | None
) -> None:
    """Each client of it gets one disconnect handler with that reason, and a second end changes nothing."""
    reasons: list[str] = []
    world.on("disconnect", "*")(lambda client, reason: reasons.append(reason))
    world.on("e", "/a")(lambda client: None)
    peer = world.peer()
    peer.join()
    peer.join("/a")
    end(peer)
    end(peer)
    world.settle()
    assert reasons == [reason, reason]
    assert peer.wire.closed == code
    assert world.server.connections == {}
    assert world.hub.timers.next_due() is None


def test_last_output_leaves_before_the_close(world: Any) -> None:
    """What was sent before the end goes before the close."""
    peer = world.peer()
    peer.join()
    order: list[str] = []
    peer.wire.write = lambda messages: order.append("write") or True
    peer.wire.close = lambda code: order.append("close")
    peer.connection.send(Message(b"4x"))
    peer.connection.close(SessionInput.SERVER_CLOSED, 1000)
    world.settle()
    assert order == ["write", "close"]


def test_loss_of_an_unknown_transport_is_ignored(world: Any, wire: Any) -> None:
    """The loss of a websocket that was dropped does not end the session."""
    peer = world.peer()
    peer.connection.transport_lost(wire(), "transport close")
    assert not peer.connection.session.closed


def test_polling_client_is_given_time_to_hear_of_the_close(world: Any) -> None:
    """The disconnect handler runs at once; the session is forgotten when the client was told."""
    reasons: list[str] = []
    world.on("disconnect")(lambda client, reason: reasons.append(reason))
    peer = world.peer("polling")
    peer.join()
    peer.connection.close(SessionInput.SERVER_CLOSED, 1000)
    world.settle()
    assert reasons == ["server disconnect"]
    assert list(world.server.connections) == [peer.connection.session.sid]
    peer.connection.close_heard()
    assert world.server.connections == {}
    assert world.hub.timers.next_due() is None


def test_polling_client_that_does_not_come_back_is_forgotten(world: Any) -> None:
    """After a while the session goes, with everything that hangs on it, and its handlers run once."""
    peer = world.peer("polling")
    peer.join()
    peer.connection.close(SessionInput.SERVER_CLOSED, 1000)
    world.advance(CLOSE_FALLBACK - 0.1)
    assert len(world.server.connections) == 1
    world.advance(0.2)
    assert world.server.connections == {}
    peer.connection.give_up_close()


class Probe:
    """Something whose end can be seen."""


def alive() -> dict[type, int]:
    """Counts the objects that one client is made of."""
    kinds = [type(found) for found in gc.get_objects()]
    return {kind: kinds.count(kind) for kind in (Connection, Client, Message)}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize(
    "end",
    [
        lambda peer: peer.connection.receive_text(b"1"),
        lambda peer: peer.connection.transport_lost(peer.wire, "transport close"),
        lambda peer: peer.connection.receive_text(b"!"),
        lambda peer: peer.world.server.disconnect(peer.connection.clients["/"].sid),
    ],
    ids=["closed", "lost", "violation", "disconnected"],
)
def test_nothing_is_kept_after_the_end(world: Any, transport: str, end: Callable[[Any], None]) -> None:
    """Connection, client, messages and environ are freed, without the garbage collector."""
    world.on("e")(lambda client, *arguments: "answer")
    world.on("disconnect")(lambda client, reason: None)
    gc.collect()
    before = alive()
    peer = world.peer(transport)
    client = peer.join()
    world.server.enter_room(client.sid, "room")
    world.server.emit("to all", [1])
    world.server.emit("to the room", [1], rooms=["room"])
    world.server.emit_with_ack("ask", [], lambda *a: None, lambda *a: None, rooms=[client.sid], timeout=60)
    peer.emit("e", number=1)
    world.settle()
    probes = [Probe(), Probe(), Probe()]
    peer.connection.environ["probe"] = probes[0]
    client.rooms.add(probes[1])
    client.context = probes[2]
    references = [weakref.ref(probe) for probe in probes]
    del probes
    gc.collect()
    gc.disable()
    try:
        end(peer)
        world.settle()
        if not peer.connection.session.closed:
            peer.connection.receive_text(b"1")
            world.settle()
        peer.connection = peer.wire = client = None
        assert [reference() for reference in references] == [None, None, None]
        assert alive() == before
    finally:
        gc.enable()
    assert world.server.lifecycle.leaving == {}
    assert world.hub.timers.next_due() is None
