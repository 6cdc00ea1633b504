"""The short way and the plain way do the same, and what is not usual is left to the plain one untouched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from carboy.runtime.short_way import ShortWay

RESULTS: list[Any] = [
    None,
    "x",
    0,
    [],
    (),
    (1, "two"),
    (None,),
    {"a": [1]},
    b"bytes",
    ("text", b"bytes"),
    10**30,
    "a\ud83d",
]


def _without_short_way(world: Any) -> Any:
    world.server.short_way = None
    return world


@pytest.fixture(params=["short", "plain"])
def way(request: Any, make_world: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a world in which events take the short way, or one in which none does."""

    def make(**options: Any) -> Any:
        world = make_world(**options)
        assert world.server.short_way is not None
        return world if request.param == "short" else _without_short_way(world)

    return make


@pytest.mark.parametrize("digits", [b"", b"0", b"7", b"1234567890123456789"])
@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_acknowledgement_is_the_same_on_both_ways(
    make_world: Callable[..., Any], digits: bytes, result: Any
) -> None:
    """Whatever a handler returns, the bytes on the wire do not depend on the way of its event."""
    written = []
    for prepare in (lambda world: world, _without_short_way):
        world = prepare(make_world())
        world.on("e")(lambda client, *arguments: result)
        peer = world.peer()
        peer.join()
        peer.connection.receive_text(b"42" + digits + b'["e",1]')
        world.settle()
        written.append(peer.wire.packets[1:])
    assert written[0] == written[1]
    assert bool(written[0]) is bool(digits)


@pytest.mark.parametrize(
    ("packet", "arguments"),
    [
        (b'42["e"]', ()),
        (b'427["e",1,[2,[3]],{"a":null}]', (1, [2, [3]], {"a": None})),
        (b'42["e","\\ud83d"]', ("\ud83d",)),
        (b'42["e",1000000000000000000000000000000]', (10**30,)),
        (b'42["e","' + b"x" * 5000 + b'"]', ("x" * 5000,)),
    ],
)
def test_handler_gets_the_arguments(
    way: Callable[..., Any], packet: bytes, arguments: tuple[Any, ...]
) -> None:
    """Arguments arrive as they were sent, in lists and never in tuples."""
    world = way()
    got: list[Any] = []
    world.on("e")(lambda client, *given: got.append(given))
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(packet)
    world.settle()
    assert got == [arguments]


@pytest.mark.parametrize(
    "packet",
    [b"42", b"42[", b"42[]", b"42[[]]", b'42["connect"]', b'42x["e"]', b'42-1["e"]', b"42{}"],
)
def test_packet_that_breaks_the_rules_ends_the_session(way: Callable[..., Any], packet: bytes) -> None:
    """The short way judges nothing: what is wrong is found by the plain one, with one line in the log."""
    world = way()
    world.on("e")(lambda client: None)
    world.on("connect")(lambda client, *rest: None)
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(packet)
    world.settle()
    assert peer.connection.session.closed
    assert (len(world.warnings()), world.tracebacks()) == (1, [])


def test_nested_too_deeply_ends_the_session(way: Callable[..., Any]) -> None:
    """The limit on nesting holds on both ways."""
    world = way(max_depth=4)
    world.on("e")(lambda client, *arguments: None)
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(b'42["e",[[[[[]]]]]]')
    world.settle()
    assert peer.connection.session.closed


def test_event_before_the_namespace_was_joined_ends_the_session(way: Callable[..., Any]) -> None:
    """A client that was not accepted runs no event."""
    world = way()
    ran: list[Any] = []
    world.on("e")(ran.append)
    peer = world.peer()
    peer.connection.receive_text(b'42["e"]')
    world.settle()
    assert (peer.connection.session.closed, ran) == (True, [])


def test_exception_is_logged_and_not_acknowledged(way: Callable[..., Any]) -> None:
    """An exception of the application is told with its traceback, and costs the client nothing."""
    world = way()

    @world.on("e")
    def fail(client: Any) -> None:
        raise SystemExit("no")

    peer = world.peer()
    peer.join()
    peer.connection.receive_text(b'421["e"]')
    world.settle()
    assert [type(error) for error in world.tracebacks()] == [SystemExit]
    assert (peer.received(), peer.connection.session.closed) == ([], False)


def test_events_of_a_client_that_was_dismissed_are_dropped(way: Callable[..., Any]) -> None:
    """What waits when the server disconnects a client does not run."""
    world = way(handler_threads=1)
    ran: list[Any] = []
    inside, go = threading.Event(), threading.Event()
    world.on("block")(lambda client: (inside.set(), go.wait(10)))
    world.on("e")(ran.append)
    peer = world.peer()
    client = peer.join()
    peer.connection.receive_text(b'42["block"]')
    peer.connection.receive_text(b'42["e"]')
    world.until(inside.is_set)
    world.server.disconnect(client.sid)
    world.until(lambda: client.dismissed)
    go.set()
    world.settle()
    assert ran == []


def test_client_is_not_read_while_too_much_waits(way: Callable[..., Any]) -> None:
    """Back-pressure begins at the bound and ends at half of it."""
    world = way(max_queued_events=4, handler_threads=1)
    inside, go = threading.Event(), threading.Event()
    world.on("block")(lambda client: (inside.set(), go.wait(10)))
    world.on("e")(lambda client: None)
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(b'42["block"]')
    world.until(inside.is_set)
    for _ in range(4):
        assert peer.wire.reading
        peer.connection.receive_text(b'42["e"]')
    assert not peer.wire.reading
    go.set()
    world.until(lambda: peer.wire.reading)


def test_plain_event_waits_for_the_coroutine_before_it(way: Callable[..., Any]) -> None:
    """Events of one client begin in the order of arrival, whatever their handlers are."""
    world = way()
    order: list[str] = []

    @world.on("async")
    async def coroutine(client: Any) -> None:
        order.append("async")

    world.on("plain")(lambda client: order.append("plain"))
    peer = world.peer()
    peer.join()
    for packet in (b'42["plain"]', b'42["async"]', b'42["plain"]', b'42["async"]'):
        peer.connection.receive_text(packet)
    world.settle()
    assert order == ["plain", "async", "plain", "async"]


@pytest.mark.parametrize(
    "options", [{"serializer": "msgpack"}, {"async_handlers": False}], ids=["msgpack", "one at a time"]
)
def test_other_servers_have_no_short_way(make_world: Callable[..., Any], options: Any) -> None:
    """It exists where its rules are the server's: default codec, handlers side by side."""
    assert make_world(**options).server.short_way is None
    assert isinstance(make_world().server.short_way, ShortWay)
