"""`socketio.server.manager`, `.eio` and `.environ`, as applications read them."""

from __future__ import annotations

import asyncio

import pytest
from flask import session

from flask_socketio import SocketIO, join_room


@pytest.fixture
def members(app, socketio):
    """Two clients, the first in a room, and their (sid, engine session id)."""
    socketio.on("join")(join_room)
    clients = [socketio.test_client(app) for _ in range(2)]
    clients[0].emit("join", "room")
    manager = socketio.server.manager
    return [(manager.sid_from_eio_sid(client.eio_sid, "/"), client.eio_sid) for client in clients]


def test_rooms_are_mappings_of_sids(socketio, members):
    """None is everybody, and each sid is a room."""
    rooms = socketio.server.manager.rooms
    assert list(rooms) == ["/"]
    assert dict(rooms["/"][None]) == dict(members)
    assert dict(rooms["/"]["room"]) == dict(members[:1])
    assert rooms["/"][members[1][0]] == dict(members[1:])
    assert set(rooms["/"]) == {None, "room", members[0][0], members[1][0]}
    assert len(rooms["/"]) == 4
    assert "empty" not in rooms["/"]
    with pytest.raises(KeyError):
        rooms["/unknown"]


@pytest.mark.parametrize(
    ("room", "expected"), [(None, slice(0, 2)), ("room", slice(0, 1)), (["room", "x"], slice(0, 1))]
)
def test_participants_are_pairs(socketio, members, room, expected):
    """Of a room, of several, or all."""
    assert list(socketio.server.manager.get_participants("/", room)) == members[expected]


def test_leaving_client_is_still_there_in_its_disconnect_handler(app, socketio):
    """Applications count there who is left, and take the one who leaves off."""
    seen = []

    @socketio.on("join")
    def join():
        join_room("room")

    @socketio.on("disconnect")
    def leave():
        server, rooms = socketio.server, socketio.server.manager.rooms
        members = len(rooms["/"][None]), len(rooms["/"]["room"]), set(rooms["/"]) >= {None, "room"}
        seen.append((*members, len(server.environ), len(server.eio.sockets), len(list(server.environ))))

    client = socketio.test_client(app)
    client.emit("join")
    client.disconnect()
    assert seen == [(1, 1, True, 1, 1, 1)]
    assert socketio.server.manager.rooms == {}


def test_manager_emits(socketio, client):
    """With python-socketio's positions: (event, data, namespace, room, skip_sid, callback, to)."""
    manager = socketio.server.manager
    sid = manager.sid_from_eio_sid(client.eio_sid, "/")
    manager.emit("news", {"a": 1}, "/", "nobody")
    manager.emit("news", {"a": 2}, "/", None, sid)
    manager.emit("news", {"a": 3}, "/")
    manager.emit("news", (1, 2), namespace="/", to=sid, ignore_queue=True)
    assert [event["args"] for event in client.get_received()] == [[{"a": 3}], [1, 2]]


def test_sids_are_translated_both_ways(socketio, members):
    """Unknown ones are None."""
    manager = socketio.server.manager
    sid, engine_sid = members[0]
    assert manager.eio_sid_from_sid(sid, "/") == engine_sid
    assert manager.sid_from_eio_sid(engine_sid, "/") == sid
    assert manager.eio_sid_from_sid("x", "/") is None
    assert manager.sid_from_eio_sid("x", "/") is None
    assert manager.sid_from_eio_sid(engine_sid, "/other") is None
    assert manager.get_rooms(sid, "/") == [sid, "room"]


def test_client_is_connected_once_it_was_accepted(app, socketio):
    """Not yet in its connect handler, and no longer when it has left."""
    manager, seen = socketio.server.manager, []
    socketio.on("connect")(lambda: seen.append([manager.is_connected(sid, "/") for sid in socketio_sids()]))

    def socketio_sids():
        return [sid for sid, _ in manager.get_participants("/", None)]

    client = socketio.test_client(app)
    (sid,) = socketio_sids()
    assert seen == [[False]]
    assert manager.is_connected(sid, "/")
    client.disconnect()
    assert not manager.is_connected(sid, "/")


def test_manager_disconnects(socketio, client):
    """An unknown client is no error."""
    manager, reasons = socketio.server.manager, []
    socketio.on("disconnect")(reasons.append)
    manager.disconnect("nobody", "/")
    manager.disconnect(manager.sid_from_eio_sid(client.eio_sid, "/"), "/", ignore_queue=True)
    assert not client.is_connected()
    assert reasons == ["server disconnect"]


def test_engine_shows_sessions_and_options(app):
    """Every option of the server has its name there."""
    socketio = SocketIO(app, allow_upgrades=False, cookie="io", ping_interval=3)
    engine = socketio.server.eio
    socketio.test_client(app)
    assert len(engine.sockets) == 1
    assert (engine.async_mode, engine.allow_upgrades, engine.cookie) == ("threading", False, "io")
    assert (engine.ping_interval, engine.cors_allowed_origins) == (3, None)
    with pytest.raises(AttributeError):
        _ = engine.unknown


def test_engine_makes_ids_and_tasks(socketio):
    """No id comes twice."""
    engine, done = socketio.server.eio, {}
    ids = {engine.generate_id() for _ in range(3)}
    assert [len(made) for made in ids] == [20, 20, 20]
    engine.start_background_task(done.update, [("a", 1)], b=2).join()
    assert done == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("options", "reason"),
    [({}, "server disconnect"), ({"wait": False, "abort": True, "reason": "maintenance"}, "maintenance")],
)
def test_engine_socket_closes_its_session(socketio, client, options, reason):
    """With all its clients; a second time nothing happens."""
    reasons = []
    socketio.on("disconnect")(reasons.append)
    socket = socketio.server.eio.sockets[client.eio_sid]
    assert (socket.sid, socket.connected, socket.closed) == (client.eio_sid, True, False)
    socket.close(**options)
    assert (socket.connected, socket.closed) == (False, True)
    socket.close()
    assert not client.is_connected()
    assert reasons == [reason]
    assert socketio.server.eio.sockets == {}


def test_engine_socket_of_a_real_client_is_closed_by_the_loop(socketio):
    """From any thread."""
    runtime, loop = socketio.runtime, asyncio.new_event_loop()
    runtime.hub.attach(loop)
    session = runtime.open_session({}, "websocket").session
    socketio.server.eio.sockets[session.sid].close()
    assert not session.closed
    loop.run_until_complete(asyncio.sleep(0))
    assert session.closed
    runtime.hub.detach()
    loop.close()


def test_environs_are_found_by_engine_session(client, socketio):
    """As a mapping."""
    environs = socketio.server.environ
    assert list(environs) == [client.eio_sid]
    assert len(environs) == 1
    assert environs[client.eio_sid]["PATH_INFO"] == "/socket.io"
    with pytest.raises(KeyError):
        environs["nobody"]


def test_saved_session_is_in_the_environ_once_there_was_an_event(app, socketio):
    """Also when no handler has looked at it."""

    @app.route("/login")
    def login():
        session["user"] = "ann"
        return ""

    browser = app.test_client()
    browser.get("/login")
    client = socketio.test_client(app, flask_test_client=browser)
    socketio.on("nothing")(lambda: None)
    assert "saved_session" not in socketio.server.environ[client.eio_sid]
    client.emit("nothing")
    assert socketio.server.environ[client.eio_sid]["saved_session"] == {"user": "ann"}
    socketio.on("change")(lambda: session.update(user="bob"))
    client.emit("change")
    assert socketio.server.environ[client.eio_sid]["saved_session"] == {"user": "bob"}
