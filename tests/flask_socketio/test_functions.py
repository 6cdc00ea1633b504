"""The functions for event handlers, in handlers and elsewhere."""

from __future__ import annotations

import asyncio
import threading

import pytest
from flask import copy_current_request_context, request

from flask_socketio import (
    SocketIO,
    call,
    call_async,
    close_room,
    disconnect,
    emit,
    join_room,
    leave_room,
    rooms,
    send,
)


@pytest.fixture
def pair(app, socketio):
    """Two clients."""
    return [socketio.test_client(app) for _ in range(2)]


def names(client, namespace="/"):
    """Return the names of the events that a client received."""
    return [event["name"] for event in client.get_received(namespace)]


@pytest.mark.parametrize(
    ("options", "sender", "other"),
    [
        ({}, True, False),
        ({"broadcast": True}, True, True),
        ({"broadcast": True, "include_self": False}, False, True),
        ({"to": "room"}, False, True),
        ({"room": "room", "broadcast": True}, False, True),
        ({"to": ""}, False, False),
        ({"to": []}, False, False),
        ({"namespace": "/other"}, False, False),
        ({"namespace": None}, True, False),
        ({"namespace": ""}, True, False),
        ({"ignore_queue": True}, True, False),
        ({"silent": True}, True, False),
    ],
)
@pytest.mark.parametrize(
    "function", [lambda **options: emit("news", 1, **options), lambda **o: send("news", **o)]
)
def test_emit_and_send_reach_whom_their_options_name(socketio, pair, function, options, sender, other):
    """By default the client itself; never everybody for an empty target."""
    socketio.on("join")(lambda: join_room("room"))
    socketio.on("tell")(lambda: function(**options))
    pair[1].emit("join")
    pair[0].emit("tell")
    assert [bool(names(client)) for client in pair] == [sender, other]


def test_emit_stays_in_the_namespace_of_the_event(app, socketio):
    """Unless another is named."""
    socketio.on("tell", namespace="/a")(lambda: emit("told"))
    client = socketio.test_client(app, namespace="/a")
    client.emit("tell", namespace="/a")
    assert names(client, "/a") == ["told"]


@pytest.mark.parametrize("to", ["", []])
def test_legacy_option_sends_empty_targets_to_the_client(app, to):
    """There Flask-SocketIO takes the absence of a target for the client itself."""
    socketio = SocketIO(app, legacy_falsy_to=True)
    socketio.on("tell")(lambda: emit("told", to=to))
    first, second = socketio.test_client(app), socketio.test_client(app)
    first.emit("tell")
    assert (names(first), names(second)) == (["told"], [])


def test_unknown_option_warns(client, socketio):
    """It has no effect, which is told."""
    socketio.on("tell")(lambda: emit("told", brodcast=True))
    with pytest.warns(UserWarning, match="'brodcast'"):
        client.emit("tell")
    assert names(client) == ["told"]


def test_send_takes_json(client, socketio):
    """The event is then "json"."""
    socketio.on("tell")(lambda: send({"a": 1}, json=True))
    client.emit("tell")
    assert client.get_received()[0] == {"name": "json", "args": {"a": 1}, "namespace": "/"}


def test_emit_in_a_route_reaches_everybody(app, socketio, pair):
    """It behaves like `socketio.emit`."""

    @app.route("/")
    def index():
        emit("from the route", 1)
        send("text", to="nobody")
        return ""

    app.test_client().get("/")
    assert [names(client) for client in pair] == [["from the route"]] * 2


def test_emit_in_an_app_context_reaches_everybody(app, socketio, client):
    """As in a background task that entered one."""
    with app.app_context():
        emit("from a task")
    assert names(client) == ["from a task"]


@pytest.mark.parametrize(
    "function",
    [
        lambda: emit("x"),
        lambda: send("x"),
        lambda: call("x"),
        lambda: join_room("x"),
        lambda: leave_room("x"),
        lambda: close_room("x"),
        rooms,
        disconnect,
    ],
)
def test_functions_outside_of_any_context_name_the_method(function):
    """The error says what to write instead."""
    with pytest.raises(RuntimeError, match=r"outside of any application context.*socketio\.\w+\(\)"):
        function()


@pytest.mark.parametrize("function", [lambda: join_room("x"), lambda: leave_room("x"), rooms, disconnect])
def test_functions_about_a_client_need_one_in_a_route(app, socketio, function):
    """Where there is no event, the sid has to be given."""
    with app.test_request_context(), pytest.raises(RuntimeError, match="needs sid="):
        function()


def test_route_may_set_the_namespace_and_the_sid_itself(app, socketio):
    """As Flask-SocketIO's functions read both from `request`, wherever they came from."""
    socketio.on("event", namespace="/chat")(lambda: None)
    ours, other = (socketio.test_client(app, namespace="/chat") for _ in range(2))
    sid = socketio.server.manager.sid_from_eio_sid(ours.eio_sid, "/chat")
    with app.test_request_context():
        request.namespace = "/chat"
        emit("to the namespace")
        with pytest.raises(RuntimeError, match="needs sid="):
            rooms()
        with pytest.raises(RuntimeError, match="skip_sid="):
            emit("to the others", include_self=False)
        request.sid = sid
        emit("to the client")
        emit("to the others", broadcast=True, include_self=False)
        join_room("room")
        assert rooms() == [sid, "room"]
        assert names(ours, "/chat") == ["to the namespace", "to the client"]
        assert names(other, "/chat") == ["to the namespace", "to the others"]
        disconnect()
        leave_room("room")
    assert (ours.is_connected("/chat"), other.is_connected("/chat")) == (False, True)


def test_include_self_in_a_route_explains_itself(app, socketio):
    """There is nobody to leave out."""
    with app.test_request_context(), pytest.raises(RuntimeError, match="include_self=False"):
        emit("x", include_self=False)


def test_call_in_a_route_needs_a_recipient(app, socketio):
    """As the method does."""
    with app.test_request_context(), pytest.raises(ValueError, match="broadcast"):
        call("x")


def test_application_without_a_server_says_so(app):
    """`init_app` is missing."""
    with app.app_context(), pytest.raises(RuntimeError, match="init_app"):
        emit("x")


def test_rooms_are_in_force_at_once(client, socketio):
    """Join, read, leave and close take effect when they return."""

    @socketio.on("work")
    def work():
        found = [rooms() == [request.sid]]
        join_room("a")
        join_room("b", sid=request.sid, namespace="/")
        found.append(set(rooms(request.sid)) == {request.sid, "a", "b"})
        leave_room("a")
        close_room("b")
        found.append(rooms() == [request.sid])
        return found

    assert client.emit("work", callback=True) == [True, True, True]


def test_unknown_sid_is_an_error(client, socketio):
    """Where it is to enter a room; it is in none, so that it has left, and a disconnect is done already."""
    errors = []

    @socketio.on("work")
    def work():
        with pytest.raises(ValueError, match="'x'") as caught:
            join_room("a", "x")
        errors.append(caught.value)
        leave_room("a", sid="x")
        disconnect("x")
        return rooms("x")

    assert client.emit("work", callback=True) == []
    assert len(errors) == 1


def test_sid_room_of_another_client_is_closed_to_all(client, socketio, app):
    """It belongs to that client alone."""
    other = socketio.server.manager.sid_from_eio_sid(socketio.test_client(app).eio_sid, "/")
    socketio.on("steal")(lambda: join_room(other))
    with pytest.raises(ValueError, match="cannot enter a sid room"):
        client.emit("steal")


def test_client_that_has_left_is_left_alone(client, socketio):
    """A handler that outlives its client goes on undisturbed."""
    seen = []

    @socketio.on("work")
    def work():
        disconnect()
        join_room("a")
        leave_room("a")
        seen.append(rooms())
        disconnect()
        emit("too late")

    client.emit("work")
    assert not client.is_connected()
    assert seen == [[]]


def test_rooms_can_be_read_in_the_disconnect_handler(client, socketio):
    """The client is leaving, and its memberships are still known."""
    seen = []
    socketio.on("join")(join_room)
    socketio.on("disconnect")(lambda: seen.append(rooms()[1:]))
    client.emit("join", "a")
    client.disconnect()
    assert seen == [["a"]]


def test_disconnect_in_the_connect_handler_refuses(app, socketio):
    """The pattern of `authenticated_only` works there too."""
    socketio.on("connect")(lambda: disconnect(silent=True))
    assert not socketio.test_client(app).is_connected()


def test_call_asks_the_client_itself(app, socketio):
    """By thread and by coroutine."""
    client = socketio.test_client(app, acknowledge={"question": lambda value: value + 1})

    async def ask_async():
        return await call_async("question", 2)

    socketio.on("ask")(lambda: call("question", 1))
    socketio.on("ask async")(ask_async)
    assert client.emit("ask", callback=True) == 2
    assert client.emit("ask async", callback=True) == 3


@pytest.mark.parametrize("ask", [call, lambda *args, **kwargs: asyncio.run(call_async(*args, **kwargs))])
def test_call_without_the_queue_asks_nobody_elsewhere(app, ask):
    """It gives up at once where it would else wait for another process."""
    SocketIO(app, message_queue="redis://127.0.0.1:9")
    with app.app_context(), pytest.raises(TimeoutError, match="nobody is there"):
        ask("question", to="a client elsewhere", timeout=0.2, ignore_queue=True)


def test_functions_work_in_a_thread_with_the_copied_context(client, socketio):
    """Flask's own helper carries the client along."""

    @socketio.on("work")
    def work():
        thread = threading.Thread(target=copy_current_request_context(lambda: emit("from the thread")))
        thread.start()
        thread.join()

    client.emit("work")
    assert names(client) == ["from the thread"]
