"""Questions to all processes: who answers is counted, who is silent is named and not waited for again."""

from __future__ import annotations

import pytest
from clusters_in_memory import Cluster

from carboy.exceptions import BlockingCallError


@pytest.fixture
def cluster() -> Cluster:
    """Three servers, with a client each, of which two are in a room."""
    cluster = Cluster(3)
    cluster.people = [cluster.person(number) for number in range(3)]  # type: ignore[attr-defined]
    for number in (0, 1):
        cluster.servers[number].enter_room(cluster.people[number].sid, "room")  # type: ignore[attr-defined]
    return cluster


def test_clients_of_all_processes_are_found(cluster: Cluster) -> None:
    """With what is known of each, wherever it is connected."""
    cluster.servers[1].client(cluster.people[1].sid).session = {"name": "b", 5: {1, 2}.__class__}
    found = cluster.servers[0].fetch_clients(["room"])
    assert [client.sid for client in found] == [cluster.people[0].sid, cluster.people[1].sid]
    assert found.silent == frozenset()
    there = found[1]
    assert (there.rooms, there.transport, there.address, there.node) == (
        (there.sid, "room"),
        "websocket",
        "192.0.2.1",
        "node1",
    )
    assert there.session["name"] == "b"
    assert len(cluster.servers[0].fetch_clients()) == 3
    assert cluster.servers[0].fetch_clients(["nobody"]) == []


def test_clients_are_counted(cluster: Cluster) -> None:
    """Everywhere, in rooms, in namespaces."""
    server = cluster.servers[0]
    counts = [
        server.count_clients(),
        server.count_clients(["room"]),
        server.count_clients(namespace="/other"),
    ]
    assert counts == [3, 2, 0]


def test_processes_are_surveyed(cluster: Cluster) -> None:
    """Each other one once."""
    assert [each.node for each in cluster.servers[0].cluster.census.survey(1)] == ["node1", "node2"]


def test_silent_process_costs_one_timeout(cluster: Cluster) -> None:
    """The others' clients are there, and next time it is not waited for."""
    cluster.bus(2).dead = True
    found = cluster.servers[0].fetch_clients(timeout=0.01)
    assert len(found) == 2
    assert found.silent == {"node2"}
    assert cluster.servers[0].fetch_clients(timeout=60).silent == frozenset()
    assert cluster.servers[0].count_clients(timeout=60) == 2


def test_session_that_cannot_be_written_is_left_out(cluster: Cluster) -> None:
    """The rest is told, and nobody waits in vain."""
    session: dict[str, object] = {}
    session["itself"] = session
    cluster.servers[1].client(cluster.people[1].sid).session = session
    found = cluster.servers[0].fetch_clients(["room"], timeout=60)
    assert found[1].session == {}


def test_questions_leave_nothing_behind(cluster: Cluster) -> None:
    """An answer that comes too late is ignored."""
    cluster.servers[0].count_clients()
    assert not cluster.servers[0].cluster.census._queries
    cluster.receive({"method": "reply", "id": 1, "to": "node0", "host_id": "node1", "count": 5})
    assert cluster.warnings() == []


@pytest.mark.parametrize(
    "reply", [{}, {"count": "x"}, {"count": 1, "clients": [1]}, {"count": 1, "clients": 5}]
)
def test_answer_that_makes_no_sense_is_ignored(cluster: Cluster, reply: dict[str, object]) -> None:
    """With a line in the log, and not in the asker's face."""
    bus = cluster.bus(1)
    cluster.bus(2).dead = True
    real = bus.receive
    bus.receive = lambda data: cluster.receive(
        {"method": "reply", "id": 1, "to": "node0", "host_id": "node1", **reply}
    )
    assert cluster.servers[0].fetch_clients(timeout=0.01).silent == {"node1", "node2"}
    assert "makes no sense" in cluster.warnings()[0]
    bus.receive = real


def test_loop_is_never_blocked(cluster: Cluster) -> None:
    """In a coroutine on the server's loop the question is refused."""
    cluster.servers[0].hub._thread = __import__("threading").get_ident()
    with pytest.raises(BlockingCallError, match="to_thread"):
        cluster.servers[0].fetch_clients()
