"""Moving and counting clients by a SocketIO object, from anywhere."""

from __future__ import annotations

import pytest

from flask_socketio import SocketIO


@pytest.fixture
def people(app, socketio):
    """Two clients."""
    return [socketio.test_client(app) for _ in range(2)]


@pytest.fixture
def sids(socketio, people):
    """Their sids."""
    return [client.sid for client in socketio.fetch_clients()]


def test_clients_are_listed_and_counted(socketio, sids):
    """All, or those of rooms; each namespace apart."""
    socketio.enter_room("room", sid=sids[0])
    assert [client.sid for client in socketio.fetch_clients(to="room")] == [sids[0]]
    assert [client.sid for client in socketio.fetch_clients(to=["room", sids[1]])] == sids
    counts = [
        socketio.count_clients(),
        socketio.count_clients(to="room"),
        socketio.count_clients(namespace="/x"),
    ]
    assert counts == [2, 1, 0]


def test_clients_enter_and_leave_rooms(socketio, people, sids):
    """One by its sid, those of a room, or everybody."""
    socketio.enter_room("all")
    socketio.leave_room("all", sid=sids[0])
    socketio.enter_room("second", to="all")
    socketio.emit("event", to="second")
    assert [len(client.get_received()) for client in people] == [0, 1]
    socketio.leave_room("second", to="all")
    assert socketio.count_clients(to="second") == 0
    socketio.close_room("all")
    assert socketio.count_clients(to="all") == 0


def test_clients_are_disconnected(socketio, people, sids):
    """One, or those of rooms; never everybody by an oversight."""
    socketio.enter_room("room", sid=sids[0])
    with pytest.raises(ValueError, match="sid= or to="):
        socketio.disconnect()
    socketio.disconnect(to="room")
    assert [client.is_connected() for client in people] == [False, True]
    socketio.disconnect(sids[1])
    socketio.disconnect("unknown")
    assert socketio.count_clients() == 0


def test_wrong_names_are_errors(socketio, sids):
    """An unknown client, another's own room."""
    with pytest.raises(ValueError, match="unknown"):
        socketio.enter_room("room", sid="unknown")
    with pytest.raises(ValueError, match="sid room"):
        socketio.close_room(sids[0])


@pytest.mark.parametrize("call", ["fetch_clients", "count_clients"])
def test_server_has_to_be_there(call):
    """Before init_app the error names the cure."""
    with pytest.raises(RuntimeError, match="init_app"):
        getattr(SocketIO(), call)()
