"""A client without a network: everything happens in the caller's thread, before the call returns."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import serving

from carboy.runtime.server import Server
from carboy.socketio.packets import ACK, CONNECT, DISCONNECT, EVENT
from carboy.transports.memory import MemoryConnection


@pytest.fixture
def server() -> Server:
    """Return a server without a loop."""
    server = serving.make_server(async_handlers=True)
    serving.on(server, "echo", lambda client, *arguments: arguments)
    return server


def joined(server: Server) -> MemoryConnection:
    """Return a client that has joined "/"."""
    connection = MemoryConnection(server, {"REMOTE_ADDR": "127.0.0.1"})
    connection.submit(CONNECT, "/", None, None)
    type, namespace, number, data = connection.transport.received.popleft()
    assert (type, namespace, number, set(data)) == (CONNECT, "/", None, {"sid"})
    return connection


def test_memory_client_gets_the_answer_before_its_call_returns(server: Server) -> None:
    """An event is dispatched, and its acknowledgement received, within `submit`, in the same thread."""
    threads: list[threading.Thread] = []
    serving.on(server, "where", lambda client: threads.append(threading.current_thread()))
    connection = joined(server)
    connection.submit(EVENT, "/", 7, ["echo", "\u00e9", {"a": [1]}])
    connection.submit(EVENT, "/", None, ["where"])
    assert list(connection.transport.received) == [(ACK, "/", 7, ["\u00e9", {"a": [1]}])]
    assert threads == [threading.current_thread()]


def test_memory_client_speaks_the_real_codec(server: Server) -> None:
    """Binary goes through attachments both ways, and what cannot be sent on the wire cannot be sent here."""
    connection = joined(server)
    connection.submit(EVENT, "/", 1, ["echo", b"\x00", {"deep": [b"\xff"]}])
    assert connection.transport.received.pop() == (ACK, "/", 1, [b"\x00", {"deep": [b"\xff"]}])
    with pytest.raises(TypeError):
        connection.submit(EVENT, "/", None, ["echo", object()])


def test_memory_client_speaks_messagepack() -> None:
    """With the other codec everything is the same."""
    server = serving.make_server(serializer="msgpack")
    serving.on(server, "echo", lambda client, *arguments: arguments)
    connection = joined(server)
    connection.submit(EVENT, "/", 1, ["echo", b"\x00"])
    assert connection.transport.received.pop() == (ACK, "/", 1, [b"\x00"])


def test_memory_client_receives_what_others_cause(server: Server) -> None:
    """A broadcast has arrived everywhere when `emit` returns."""
    clients = [joined(server) for _ in range(3)]
    server.emit("news", [1], skip=[clients[0].clients["/"].sid])
    assert [list(client.transport.received) for client in clients] == [
        [],
        [(EVENT, "/", None, ["news", 1])],
        [(EVENT, "/", None, ["news", 1])],
    ]


def test_memory_client_raises_what_a_handler_raised(server: Server) -> None:
    """The first exception comes out of `submit`, once, and the client stays connected."""

    def fail(client: Any, text: str) -> None:
        raise ValueError(text)

    serving.on(server, "fail", fail)
    connection = joined(server)
    with pytest.raises(ValueError, match="first"):
        connection.submit(EVENT, "/", None, ["fail", "first"])
    connection.submit(EVENT, "/", 1, ["echo"])
    assert connection.transport.received.pop() == (ACK, "/", 1, [])


def test_memory_client_hears_that_it_is_disconnected(server: Server) -> None:
    """A DISCONNECT packet arrives like any other, and other namespaces are not concerned."""
    connection = joined(server)
    server.disconnect(connection.clients["/"].sid)
    assert connection.transport.received.pop() == (DISCONNECT, "/", None, None)
    assert not connection.transport.closed


def test_memory_client_hangs_up_once(server: Server) -> None:
    """The disconnect handler runs once, and the server has forgotten the client."""
    reasons: list[str] = []
    serving.on(server, "disconnect", lambda client, reason: reasons.append(reason))
    connection = joined(server)
    connection.hang_up()
    connection.hang_up()
    assert reasons == ["transport close"]
    assert (server.connections, server.memory_connections) == ({}, 0)


def test_memory_transport_has_nothing_to_wait_for(server: Server) -> None:
    """It takes everything at once, so its half of the port that is about waiting does nothing."""
    transport = joined(server).transport
    transport.hurry()
    transport.pause_reading()
    transport.resume_reading()
    assert transport.backlog() == 0
    transport.release()
    assert transport.closed
