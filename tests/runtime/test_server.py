"""A server puts its parts together, and may be run again after it was stopped."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import pytest

from carboy.config import Config
from carboy.exceptions import NotConnectedError, PacketError
from carboy.runtime.client import Client
from carboy.runtime.draining import drain
from carboy.runtime.server import Server, make_codec
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import CONNECT, CONNECT_ERROR


@pytest.mark.parametrize(("serializer", "codec"), [("default", JSONCodec), ("msgpack", MessagePackCodec)])
def test_serializer_chooses_the_codec(serializer: str, codec: type) -> None:
    """A codec belongs to one server, with the limits of its options."""
    made = make_codec(Config(serializer=serializer, max_namespace_length=5))
    assert isinstance(made, codec)
    text, binaries = make_codec(Config(serializer=serializer)).encode(CONNECT, "/too-long", None, None)
    with pytest.raises(PacketError.__base__):
        made.decode_text(text) if text is not None else made.decode_binary(binaries[0])


def test_session_has_an_id_of_its_own(world: Any) -> None:
    """Each session is found under its id, which is not to be guessed."""
    first, second = world.peer(), world.peer()
    assert list(world.server.connections.values()) == [first.connection, second.connection]
    assert first.connection.session.sid != second.connection.session.sid
    assert len(first.connection.session.sid) == 20


def test_packet_that_only_a_server_sends_breaks_the_protocol(world: Any) -> None:
    """A client refuses nobody."""
    peer = world.peer()
    peer.join()
    peer.send(CONNECT_ERROR, "/", None, {"message": "x"})
    assert isinstance(peer.connection.failure, PacketError)


def test_event_runs_in_its_own_namespace(world: Any) -> None:
    """One connection carries the clients of several namespaces, each with its own sid."""
    got: list[Any] = []
    world.on("e")(lambda client: got.append((client.namespace, client.sid)))
    world.on("e", "/a")(lambda client: got.append((client.namespace, client.sid)))
    peer = world.peer()
    root, other = peer.join(), peer.join("/a")
    peer.emit("e", namespace="/a")
    peer.emit("e")
    world.settle()
    assert got == [("/a", other.sid), ("/", root.sid)]
    assert root.sid != other.sid


def test_join_is_in_force_when_it_returns(world: Any) -> None:
    """Rooms change in the caller's thread."""
    peer = world.peer()
    client = peer.join()
    seen: list[Any] = []

    def work() -> None:
        world.server.enter_room(client.sid, "room")
        seen.append(world.server.rooms(client.sid))
        world.server.leave_room(client.sid, "room")
        seen.append(world.server.rooms(client.sid))
        world.server.enter_room(client.sid, "room")
        world.server.close_room("room")
        seen.append(world.server.rooms(client.sid))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[client.sid, "room"], [client.sid], [client.sid]]


def test_stranger_is_told_from_a_client(world: Any) -> None:
    """Rooms of an unknown sid are an error; to disconnect it does nothing."""
    peer = world.peer()
    client = peer.join()
    assert world.server.client(client.sid) is client
    for call in (world.server.client, world.server.rooms):
        with pytest.raises(NotConnectedError):
            call("stranger")
        with pytest.raises(NotConnectedError):
            call(client.sid, "/other")
    world.server.disconnect("stranger")
    world.settle()
    assert not peer.connection.session.closed


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_callback_runs_like_a_handler(world: Any, kind: str) -> None:
    """With the arguments of the acknowledgement, on a thread or on the loop; its exception is logged."""
    got: list[Any] = []

    def plain(*arguments: Any) -> None:
        got.append((arguments, world.hub.is_here))
        raise ValueError

    async def coroutine(*arguments: Any) -> None:
        got.append((arguments, world.hub.is_here))
        raise ValueError

    peer = world.peer()
    client = peer.join()
    world.server.callbacks.run(client, plain if kind == "plain" else coroutine, [1, 2])
    world.settle()
    assert got == [((1, 2), kind == "coroutine")]
    assert [type(error) for error in world.tracebacks()] == [ValueError]
    assert "acknowledgement callback" in world.warnings()[0]


def test_server_runs_again_after_it_was_stopped(world: Any) -> None:
    """A second run serves new clients with handlers, timers and output; nothing of the first is left."""
    world.on("e")(lambda client: "answer")
    old = world.peer("polling")
    old.join()
    world.loop.until(world.loop.create_task(drain(world.server, 1.0)).done)
    world.hub.detach()
    world.loop.close()
    assert world.server.connections == {}
    assert world.server.adapter.namespaces() == ()

    world.loop = type(world.loop)()
    world.hub.attach(world.loop)
    peer = world.peer()
    peer.join()
    peer.emit("e", number=1)
    world.settle()
    assert peer.received() == [(3, "/", 1, ["answer"])]
    world.server.emit("all")
    world.settle()
    assert peer.events() == [["all"]]
    world.advance(25.1)
    assert peer.wire.packets[-1] == b"2"


def test_handler_that_outlives_the_run_ends_in_the_next(world: Any) -> None:
    """What it does at its end reaches nobody and leaves nothing behind."""
    inside, go = threading.Event(), threading.Event()

    @world.on("disconnect")
    def disconnect(client: Client, reason: str) -> None:
        inside.set()
        assert go.wait(10)
        world.server.emit("e")

    peer = world.peer()
    peer.join()
    peer.leave()
    world.until(inside.is_set)
    threads = world.hub.threads
    world.loop.until(world.loop.create_task(drain(world.server, 0.0)).done)
    world.hub.detach()
    world.loop.close()
    go.set()
    while threads.threads:
        pass
    world.loop = type(world.loop)()
    world.hub.attach(world.loop)
    world.settle()
    assert world.server.lifecycle.leaving == {}
    assert world.tracebacks() == []


def test_forked_process_forgets_the_clients_of_the_other(world: Any) -> None:
    """Nothing is sent to them, no handler runs, and their transports, the other's too, are let alone."""
    notes: list[Any] = []
    world.on("disconnect")(lambda client, reason: notes.append(reason))
    peer = world.peer()
    client = peer.join()
    world.server.emit("under way")
    world.server.forked()
    world.server.emit("later")
    world.turn()
    world.hub.attach(world.loop)
    world.settle()
    assert peer.events() == []
    assert (peer.wire.closed, peer.wire.released, notes) == (None, 0, [])
    assert world.server.connections == {}
    with pytest.raises(NotConnectedError):
        world.server.client(client.sid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads is what this is about
def test_forked_process_reaches_clients_through_the_cluster_or_says_that_it_does_not(world: Any) -> None:
    """Whatever serves, as an embedded server whose handler starts a process: nothing is kept for no loop."""
    client = world.peer().join()
    child = os.fork()
    if child == 0:
        world.server.emit("e", rooms=[client.sid])
        os._exit(len(world.hub.outbox._items) + 2 * ("reached nobody" not in str(world.warnings())))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert world.server.connections != {}


def test_server_without_a_run_has_no_thread() -> None:
    """Making a server starts nothing: it may be made before a fork."""
    before = threading.active_count()
    server = Server(Config())
    server.emit("e")
    assert threading.active_count() <= before  # those of earlier tests may end meanwhile
    assert not server.hub.running


def test_progress_tells_of_each_client_and_event(
    make_world: Any, logger: logging.Logger, lines: list[logging.LogRecord]
) -> None:
    """Where the option asks for it: also of what goes wrong without an error."""
    world = make_world(logger=logger)
    world.on("known")(lambda client: world.server.emit("news", ["secret"], rooms=["nobody"]))
    world.on("connect", "/closed")(lambda client, environ, auth: False)
    peer = world.peer("polling")
    client = peer.join()
    for namespace in ("/closed", "/unknown"):
        peer.ask(namespace)
        world.settle()
    peer.emit("known")
    peer.emit("x" * 1000)
    world.settle()
    world.server.emit_with_ack("question", [], lambda *_: None, lambda *_: None)
    peer.leave()
    world.settle()
    told = [line.getMessage().replace(client.sid, "SID") for line in lines]
    refused = told.pop(1)
    assert refused.startswith("Client ")
    assert refused.endswith(" was refused in '/closed': Connection rejected by server")
    assert told == [
        "Client SID has joined '/' over polling",
        "A client was refused in '/unknown': Invalid namespace",
        "Client SID in '/' sent the event 'known'",
        f"Client SID in '/' sent the event '{'x' * 99}, which has no handler",
        "Sending the event 'news' in '/' to 0 clients here",
        "Sending the event 'question' in '/' to 1 clients here, for an answer",
        "Client SID has left '/': client disconnect",
    ]


def test_without_progress_nothing_is_told(world: Any) -> None:
    """And events take the short way."""
    peer = world.peer()
    peer.join()
    peer.emit("unknown")
    peer.leave()
    world.settle()
    assert not world.lines
    assert world.server.short_way is not None
