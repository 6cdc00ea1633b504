"""What comes from other processes does what it says, or costs a line in the log; the listener lives."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest
from clusters_in_memory import Cluster

OTHER = "f" * 32  # a process of Flask-SocketIO


@pytest.fixture
def cluster() -> Cluster:
    """One server."""
    return Cluster(1)


@pytest.mark.parametrize("method", ["emit", "disconnect", "enter_room", "leave_room", "close_room", "move"])
def test_own_messages_are_ignored(cluster: Cluster, method: str) -> None:
    """What a process has published it has done already."""
    a = cluster.person(0)
    keys = {"event": "e", "data": [], "sid": a.sid, "room": a.sid, "change": "disconnect", "namespace": "/"}
    cluster.receive({"method": method, "host_id": "node0", **keys})
    assert a.packets() == []
    assert cluster.warnings() == []


def test_messages_without_a_host_are_done(cluster: Cluster) -> None:
    """Old versions name theirs in some only; the namespace may be missing too."""
    a = cluster.person(0)
    cluster.receive({"method": "enter_room", "sid": a.sid, "room": "r"})
    cluster.receive({"method": "emit", "event": "e", "data": "x", "room": "r"})
    cluster.receive({"method": "disconnect", "sid": a.sid})
    assert [packet[3] for packet in a.packets()] == [["e", "x"], None]


def test_callback_goes_back_to_a_process_of_flask_socketio(cluster: Cluster) -> None:
    """On the channel for all, with the keys that it wants; nothing else is said to it."""
    a = cluster.person(0)
    emit = {"method": "emit", "event": "q", "data": [1], "room": a.sid, "host_id": OTHER}
    cluster.receive({**emit, "callback": [a.sid, "/", 7]})
    a.answer("x", 2)
    answer, node = cluster.bus().published[-1]
    assert node is None
    assert (
        answer.items()
        >= {
            "method": "callback",
            "host_id": OTHER,
            "sid": a.sid,
            "namespace": "/",
            "id": 7,
            "args": ["x", 2],
        }.items()
    )


def test_callback_for_another_process_is_ignored(cluster: Cluster) -> None:
    """And one that nobody waits for."""
    cluster.receive({"method": "callback", "host_id": OTHER, "id": 1, "args": []})
    cluster.receive({"method": "callback", "host_id": "node0", "sid": "x", "id": 1, "args": []})
    assert cluster.warnings() == []


@pytest.mark.parametrize("method", ["", "hello", "serverSideEmit", "__init__", "receive"])
def test_unknown_methods_are_ignored(cluster: Cluster, method: str) -> None:
    """They are those of newer versions."""
    cluster.receive({"method": method, "host_id": OTHER})
    assert cluster.warnings() == []


def test_pickles_are_refused_in_one_line(cluster: Cluster) -> None:
    """However many come: those of versions before 5.14."""
    for _ in range(100):
        cluster.receive(pickle.dumps({"method": "emit", "event": "e"}))
    assert len(cluster.warnings()) == 1
    assert "pickles are never read" in cluster.warnings()[0]


WRONG: list[Any] = [None, 5, -1.5, True, "", "x", "\ud800", [], ["x", "y", 1], [[[]]], {}, {"a": {}}, 10**40]
FIELDS = {
    "emit": [
        "event",
        "data",
        "binary",
        "namespace",
        "room",
        "skip_sid",
        "callback",
        "host_id",
        "volatile",
        "census",
    ],
    "callback": ["sid", "namespace", "id", "args", "binary", "final"],
    "unanswered": ["id", "to", "why", "final", "host_id"],
    "disconnect": ["sid", "namespace"],
    "enter_room": ["sid", "namespace", "room"],
    "leave_room": ["sid", "namespace", "room"],
    "close_room": ["namespace", "room"],
    "move": ["namespace", "rooms", "change", "room"],
    "query": ["id", "namespace", "rooms", "count", "host_id"],
    "reply": ["id", "to", "host_id", "count", "clients"],
}


@pytest.mark.parametrize(
    ("method", "field"), [(m, field) for m, fields in FIELDS.items() for field in fields]
)
def test_wrong_value_in_any_field_costs_a_line_at_most(cluster: Cluster, method: str, field: str) -> None:
    """No traceback, and the next message is served as ever."""
    a = cluster.person(0)
    good = {
        "method": method,
        "event": "e",
        "data": [1],
        "args": [1],
        "namespace": "/",
        "room": "r",
        "rooms": None,
        "sid": a.sid,
        "id": 1,
        "to": "node0",
        "callback": [a.sid, "/", 1],
        "change": "enter_room",
        "host_id": "node0" if method == "callback" else OTHER,
    }
    import json

    for wrong, binary in itertools.product(WRONG, (False, True)):
        cluster.servers[0].cluster.acks.add(1, lambda *_: None, lambda *_: None, None, None)
        cluster.receive(json.dumps({**good, "binary": binary, field: wrong}).encode())
    assert len(cluster.warnings()) <= 1
    a.packets()
    b = cluster.person(0)
    cluster.receive({"method": "emit", "event": "last", "data": [], "host_id": OTHER})
    assert ["last"] in b.events()


def test_nothing_is_decoded_for_nobody(cluster: Cluster) -> None:
    """A process without a recipient does no work for an event."""
    cluster.person(0)
    cluster.receive(
        {"method": "emit", "event": "e", "room": "empty", "binary": True, "data": "makes no sense"}
    )
    assert cluster.warnings() == []


def test_defect_costs_one_message(cluster: Cluster) -> None:
    """It is told with its traceback, and the listener goes on."""

    def broken(*args: Any, **keys: Any) -> None:
        raise ZeroDivisionError

    a = cluster.person(0)
    cluster.servers[0].emit, emit = broken, cluster.servers[0].emit  # type: ignore[method-assign]
    cluster.receive({"method": "emit", "event": "e", "data": []})
    cluster.servers[0].emit = emit  # type: ignore[method-assign]
    assert [line.exc_info[0] for line in cluster.lines if line.exc_info] == [ZeroDivisionError]
    cluster.receive({"method": "emit", "event": "e", "data": []})
    assert a.events() == [["e"]]
