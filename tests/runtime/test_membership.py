"""Who is in which room of a server alone; what its cluster adds is in test_cluster.py."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from clusters_in_memory import Cluster

from carboy.exceptions import NotConnectedError


@pytest.fixture
def people(world: Any) -> list[Any]:
    """Three clients of one server."""
    return [world.peer().join() for _ in range(3)]


def test_rooms_are_in_force_at_once(world: Any, people: list[Any]) -> None:
    """Entering, leaving, closing."""
    server, (a, b, _) = world.server, people
    server.enter_room(a.sid, "room")
    server.enter_room(b.sid, "room")
    assert server.rooms(a.sid) == [a.sid, "room"]
    server.leave_room(a.sid, "room")
    server.close_room("room")
    assert [server.rooms(client.sid) for client in (a, b)] == [[a.sid], [b.sid]]


@pytest.mark.parametrize("change", ["enter_room", "leave_room"])
def test_unknown_client_of_a_single_process_is_an_error(world: Any, change: str) -> None:
    """There is nobody else whose it could be."""
    with pytest.raises(NotConnectedError):
        getattr(world.server, change)("unknown", "room")
    with pytest.raises(NotConnectedError):
        world.server.rooms("unknown")
    world.server.disconnect("unknown")


def test_private_rooms_are_refused(world: Any, people: list[Any]) -> None:
    """They are their clients' own."""
    a, b, _ = people
    with pytest.raises(ValueError, match="sid room"):
        world.server.enter_room(a.sid, b.sid)
    with pytest.raises(ValueError, match="sid room"):
        world.server.close_room(b.sid)


def test_clients_are_found_and_counted_without_a_cluster(world: Any, people: list[Any]) -> None:
    """Also in the loop's thread, since nobody is waited for."""
    server, (a, b, c) = world.server, people
    server.enter_room(a.sid, "room")
    assert [client.sid for client in server.fetch_clients(["room", b.sid])] == [a.sid, b.sid]
    assert [server.count_clients(), server.count_clients(["room"])] == [3, 1]
    server.disconnect(c.sid)
    world.settle()
    assert [client.sid for client in server.fetch_clients()] == [a.sid, b.sid]


def test_disconnect_may_wait_until_the_client_has_left(world: Any, people: list[Any]) -> None:
    """Its handler has run then, and what the caller does next comes after it."""
    a, b, _ = people
    notes: list[str] = []
    inside, go = threading.Event(), threading.Event()

    @world.on("disconnect")
    def leave(client: Any, reason: str) -> None:
        inside.set()
        assert go.wait(10)
        notes.append("has left")

    def take_over() -> None:
        world.server.disconnect(a.sid, patience=10.0)
        notes.append("takes over")

    caller = threading.Thread(target=take_over)
    caller.start()
    world.until(inside.is_set)
    world.settle_loop()
    assert caller.is_alive()
    go.set()
    world.until(lambda: not caller.is_alive())
    assert notes == ["has left", "takes over"]
    world.server.disconnect(b.sid, patience=10.0)  # in the loop's thread, which must not wait
    world.settle()
    assert notes[-1] == "has left"


def test_disconnect_that_waits_does_so_for_a_time_only(world: Any, people: list[Any]) -> None:
    """Nor for a client that has no handler, or is decided on first."""
    world.on("connect", "/slow")(lambda client, environ, auth: entered.set() or go.wait(10))
    entered, go = threading.Event(), threading.Event()
    peer = world.peer()
    peer.ask("/slow")
    world.until(entered.is_set)
    slow = peer.connection.clients["/slow"]
    notes: list[str] = []

    def disconnect() -> None:
        world.server.disconnect(people[0].sid, patience=10.0)
        notes.append("has no handler")
        world.server.disconnect(slow.sid, "/slow", patience=10.0)
        notes.append("is refused later")
        world.on("disconnect")(lambda client, reason: go.wait(10))
        world.server.disconnect(people[1].sid, patience=0.01)
        notes.append("takes too long")

    caller = threading.Thread(target=disconnect)
    caller.start()
    world.until(lambda: not caller.is_alive())
    assert notes == ["has no handler", "is refused later", "takes too long"]
    go.set()
    world.settle()
    assert world.server.lifecycle._waiters == {}


def test_clients_of_rooms_are_moved(world: Any, people: list[Any]) -> None:
    """All at once."""
    server, (a, b, c) = world.server, people
    server.move_clients("enter_room", [a.sid, b.sid], room="room")
    server.move_clients("leave_room", [b.sid], room="room")
    assert server.count_clients(["room"]) == 1
    server.move_clients("disconnect", ["room"])
    world.settle()
    assert [client.sid for client in server.fetch_clients()] == [b.sid, c.sid]


@pytest.mark.parametrize("change", ["enter_room", "leave_room"])
def test_client_that_is_leaving_is_left_alone(change: str) -> None:
    """Its disconnect handler may still name it; no other process is asked about it."""
    cluster = Cluster(1)
    server, a = cluster.servers[0], cluster.person(0)
    server.lifecycle.leaving["/", a.sid] = server.client(a.sid)
    server.adapter.discard(server.client(a.sid))
    getattr(server, change)(a.sid, "room")
    server.disconnect(a.sid)
    assert server.rooms(a.sid) == [a.sid]
    assert cluster.methods() == []
