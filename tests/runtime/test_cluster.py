"""Servers that share a bus: what one does reaches the clients of all, once; nothing is said needlessly."""

from __future__ import annotations

from typing import Any

import pytest
from clusters_in_memory import Cluster, Person

from carboy.exceptions import NotConnectedError, TimeoutError
from carboy.runtime.acks import LEFT, NOBODY

PAYLOAD = [{"text": "a", "bytes": b"\x00\xff", "list": [1, None]}, 2.5, b""]


@pytest.fixture
def cluster() -> Cluster:
    """Two servers."""
    return Cluster()


class Asked:
    """What became of an emit with an acknowledgement."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.lost: list[str] = []

    def ask(self, cluster: Cluster, **options: Any) -> Asked:
        """Asks from the first server."""
        cluster.servers[0].emit_with_ack(
            "q",
            [],
            lambda _, arguments: self.answers.append(arguments),
            lambda _, why: self.lost.append(why),
            **options,
        )
        return self


def heard(*people: Person) -> list[list[Any]]:
    """Returns what each of them has heard."""
    return [person.events() for person in people]


@pytest.mark.parametrize("arguments", [[], [None], [1], [1, 2], [[1, 2]], [[]], PAYLOAD, [b"x"], [[b"x"]]])
def test_broadcast_reaches_everybody_once(cluster: Cluster, arguments: list[Any]) -> None:
    """With its arguments as they are, bytes included."""
    people = [cluster.person(0), cluster.person(1), cluster.person(1)]
    elsewhere = cluster.person(1, "/other")
    cluster.servers[0].emit("e", arguments)
    assert heard(*people, elsewhere) == [[["e", *arguments]]] * 3 + [[]]


def test_rooms_and_skipped_sids_count_everywhere(cluster: Cluster) -> None:
    """One room, several, a sid, nobody; each recipient once."""
    a, b, c = cluster.person(0), cluster.person(1), cluster.person(1)
    for person, server in ((a, 0), (b, 1)):
        cluster.servers[server].enter_room(person.sid, "room")
    emit = cluster.servers[0].emit
    emit("room", rooms=["room"])
    emit("several", rooms=["room", c.sid, "empty", 5])
    emit("one", rooms=[c.sid])
    emit("nobody", rooms=[])
    emit("nobody", rooms=[None])
    emit("skipped", skip=[a.sid, b.sid])
    assert heard(a, b, c) == [
        [["room"], ["several"]],
        [["room"], ["several"]],
        [["several"], ["one"], ["skipped"]],
    ]


def test_what_stays_here_is_not_published(cluster: Cluster) -> None:
    """An event for a sid of this process, for nobody, or with `everywhere=False`."""
    a, b = cluster.person(0), cluster.person(1)
    cluster.servers[0].emit("e", rooms=[a.sid])
    cluster.servers[0].emit("e", rooms=[])
    cluster.servers[0].emit("e", everywhere=False)
    cluster.servers[0].disconnect(a.sid, everywhere=False)
    assert cluster.methods() == []
    assert heard(b) == [[]]
    with pytest.raises(NotConnectedError):
        cluster.servers[0].enter_room(b.sid, "room", everywhere=False)


def test_process_without_clients_only_writes() -> None:
    """It reaches all others and does not listen."""
    cluster = Cluster(2)
    cluster.bus(0).listens = False
    b = cluster.person(1)
    cluster.servers[0].emit("e")
    cluster.servers[0].enter_room(b.sid, "room")
    cluster.servers[0].emit("in room", rooms=["room"], volatile=True)
    assert heard(b) == [[["e"], ["in room"]]]
    assert cluster.bus(0).listens is False
    assert cluster.bus(0).published[-1][0]["volatile"] is True


def test_what_cannot_be_said_elsewhere_is_the_caller_s_error(cluster: Cluster) -> None:
    """Rooms that are no text or number, and arguments that are no JSON."""
    with pytest.raises(TypeError, match="room"):
        cluster.servers[0].emit("e", rooms=[("a", 1)])
    with pytest.raises(TypeError, match="room"):
        cluster.servers[0].emit("e", rooms=[float("nan")])
    with pytest.raises(TypeError):
        cluster.servers[0].emit("e", [object()])
    assert cluster.methods() == []


def test_call_that_cannot_be_asked_elsewhere_leaves_nothing_with_those_asked_here(cluster: Cluster) -> None:
    """They are asked before it shows that the name of the room cannot be said elsewhere."""
    here = cluster.person(0)
    cluster.servers[0].enter_room(here.sid, ("a", 1))
    with pytest.raises(TypeError, match="room"):
        cluster.servers[0].call("e", rooms=[("a", 1)])
    assert not cluster.servers[0].client(here.sid).acks


def test_answers_come_from_elsewhere(cluster: Cluster) -> None:
    """From one client, bytes included, or from all of a room; each once."""
    a, b, c = cluster.person(0), cluster.person(1), cluster.person(1)
    asked = Asked().ask(cluster, rooms=[b.sid])
    b.answer(*PAYLOAD)
    assert asked.answers == [PAYLOAD]
    everybody = Asked().ask(cluster)
    for number, person in enumerate((a, b, c)):
        person.answer(number)
    assert everybody.answers == [[0], [1], [2]]
    assert asked.lost == everybody.lost == []


def test_answer_of_the_only_client_ends_the_wait(cluster: Cluster) -> None:
    """Nothing of it is kept, however many emits have no timeout."""
    b = cluster.person(1)
    for _ in range(3):
        Asked().ask(cluster, rooms=[b.sid])
        b.answer()
    assert not cluster.servers[0].cluster.acks._waiting


def test_client_that_leaves_elsewhere_is_not_waited_for(cluster: Cluster) -> None:
    """The wait ends at once."""
    b = cluster.person(1)
    asked = Asked().ask(cluster, rooms=[b.sid])
    b.leave()
    assert asked.lost == [LEFT]


def test_nobody_anywhere_is_known_where_all_nodes_are() -> None:
    """So that `call` need not wait for its timeout; else it must."""
    cluster = Cluster(3, complete=True)
    with pytest.raises(TimeoutError, match=NOBODY):
        cluster.servers[0].call("e", rooms=["nobody"], timeout=60)
    with pytest.raises(TimeoutError, match="time is up"):
        Cluster().servers[0].call("e", rooms=["nobody"], timeout=0.01)
    alone = Cluster(1, complete=True)
    with pytest.raises(TimeoutError, match=NOBODY):
        alone.servers[0].call("e", rooms=["nobody"], timeout=60)


@pytest.mark.parametrize("count", [1, 2])
def test_room_that_empties_elsewhere_is_not_waited_for_where_all_nodes_are_known(count: int) -> None:
    """Not before the last of its members there has left; a member that answers is an answer."""
    cluster = Cluster(3, complete=True)
    people = [cluster.person(1) for _ in range(count)]
    for person in people:
        cluster.servers[1].enter_room(person.sid, "room")
    asked, answered = Asked().ask(cluster, rooms=["room"]), Asked().ask(cluster, rooms=["room"])
    for person in people:
        assert asked.lost == []
        person.packets()
        person.questions.pop(0)
        person.answer("yes")
        person.leave()
    assert (asked.answers, asked.lost) == ([], [LEFT])
    assert (answered.answers, answered.lost) == ([["yes"]] * count, [])


def test_node_that_ends_is_not_waited_for() -> None:
    """Where all nodes are known, its end is too."""
    cluster = Cluster(2, complete=True)
    b = cluster.person(1)
    cluster.servers[1].enter_room(b.sid, "room")
    asked = Asked().ask(cluster, rooms=["room"])
    cluster.bus(1).close()
    assert asked.lost == [NOBODY]


@pytest.mark.parametrize("count", [2, 3])
def test_node_that_ends_while_it_is_counted_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Its end is told when nobody waits for it yet; the others, who have no recipient, are heard as ever."""
    cluster = Cluster(count, complete=True)
    bus = cluster.bus(0)
    look = bus.nodes

    def end_behind_the_look() -> frozenset[str]:
        found = look()
        if "node1" in found:
            cluster.bus(1).close()
        return found

    monkeypatch.setattr(bus, "nodes", end_behind_the_look)
    asked = Asked().ask(cluster, rooms=["room"])
    assert asked.lost == [NOBODY]
    assert not cluster.servers[0].cluster.acks._waiting


def test_client_elsewhere_is_disconnected(cluster: Cluster) -> None:
    """By its sid; an unknown one is ignored everywhere."""
    b = cluster.person(1)
    cluster.servers[0].disconnect(b.sid)
    cluster.servers[0].disconnect("unknown")
    assert b.is_sent_away()
    assert cluster.warnings() == []


def test_client_elsewhere_changes_rooms(cluster: Cluster) -> None:
    """It enters, leaves, and the room is closed."""
    a, b = cluster.person(0), cluster.person(1)
    here, there = cluster.servers
    here.enter_room(b.sid, "room")
    here.enter_room(b.sid, 5)
    assert set(there.rooms(b.sid)) == {b.sid, "room", 5}
    here.leave_room(b.sid, 5)
    assert set(there.rooms(b.sid)) == {b.sid, "room"}
    here.enter_room(a.sid, "room")
    here.close_room("room")
    assert (here.rooms(a.sid), there.rooms(b.sid)) == ([a.sid], [b.sid])


def test_private_room_elsewhere_stays_private(cluster: Cluster) -> None:
    """Nobody enters another client's own room; its process says so."""
    b, c = cluster.person(1), cluster.person(1)
    cluster.servers[0].enter_room(b.sid, c.sid)
    cluster.servers[0].close_room(c.sid)
    assert cluster.servers[1].rooms(b.sid) == [b.sid]
    assert len(cluster.warnings()) == 1
    assert "sid room" in cluster.warnings()[0]


def test_clients_of_rooms_are_moved_everywhere(cluster: Cluster) -> None:
    """They enter, leave and are disconnected, of all processes."""
    a, b, c = cluster.person(0), cluster.person(1), cluster.person(1)
    here, there = cluster.servers
    here.enter_room(b.sid, "room")
    here.enter_room(a.sid, "room")
    here.move_clients("enter_room", ["room"], room="second")
    assert ("second" in here.rooms(a.sid), "second" in there.rooms(b.sid)) == (True, True)
    here.move_clients("leave_room", None, room="second")
    assert ("second" in here.rooms(a.sid), "second" in there.rooms(b.sid)) == (False, False)
    here.move_clients("disconnect", ["room"])
    assert [person.is_sent_away() for person in (a, b, c)] == [True, True, False]
