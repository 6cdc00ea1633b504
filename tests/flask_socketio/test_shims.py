"""`socketio.server`: python-socketio's methods in its positions."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from carboy.exceptions import NotConnectedError
from flask_socketio import SocketIO


def test_emit_and_send_take_python_socketios_positions(client, server, sid):
    """(event, data, to, room, skip_sid, namespace, callback)."""
    server.emit("all", (1, 2))
    server.emit("one", "x", sid)
    server.emit("room", "x", None, sid)
    server.emit("skipped", "x", None, None, [sid])
    server.emit("elsewhere", "x", None, None, None, "/other")
    server.emit("empty", "x", "")
    server.send("text", sid)
    names = [(event["name"], event["args"]) for event in client.get_received()]
    assert names == [("all", [1, 2]), ("one", ["x"]), ("room", ["x"]), ("message", "text")]


def test_emit_takes_a_callback(app, socketio, server):
    """It is called without any context."""
    answers = []
    socketio.test_client(app, acknowledge={"question": lambda: 5})
    server.emit("question", callback=answers.append)
    assert answers == [5]


def test_call_takes_python_socketios_positions(client, server, sid):
    """(event, data, to, sid, namespace, timeout)."""
    client.acknowledge["question"] = lambda value: value + 1
    assert server.call("question", 1, sid) == 2
    assert server.call("question", 2, None, sid, "/", 5) == 3
    with pytest.raises(ValueError, match="broadcast"):
        server.call("question", 1)


def test_rooms_of_a_client_are_managed_by_its_sid(server, sid):
    """In "/" by default."""
    server.enter_room(sid, "a")
    server.enter_room(sid, "b", "/")
    assert set(server.rooms(sid)) == {sid, "a", "b"}
    server.leave_room(sid, "a")
    server.close_room("b")
    assert server.rooms(sid, "/") == [sid]
    assert server.rooms("nobody") == []


def test_disconnect_ends_the_client(client, server, sid):
    """An unknown one is no error."""
    server.disconnect("nobody")
    server.disconnect(sid)
    assert not client.is_connected()


def test_sessions_are_dicts_for_each_client(server, sid):
    """The dict is the live one; the context manager saves it."""
    assert server.get_session(sid) == {}
    server.get_session(sid)["a"] = 1
    with server.session(sid) as session:
        session["b"] = 2
    assert server.get_session(sid, "/") == {"a": 1, "b": 2}
    server.save_session(sid, {"c": 3})
    assert server.get_session(sid) == {"c": 3}
    with pytest.raises(NotConnectedError):
        server.get_session("nobody")


def test_session_of_a_client_that_leaves_inside_is_no_error(client, server, sid):
    """What is saved then is nobody's."""
    with server.session(sid) as session:
        session["a"] = 1
        client.disconnect()


def test_handshake_can_be_read(server, sid):
    """Its environ and transport."""
    assert server.get_environ(sid)["PATH_INFO"] == "/socket.io"
    assert server.get_environ("nobody") is None
    assert server.transport(sid) == "websocket"


def raw_calls(app, socketio, event="*", namespace="/"):
    """Return the arguments of raw handlers for a visit of one client."""
    seen = []
    place = "/any" if namespace == "*" else namespace
    for name in ("connect", "disconnect", event):
        socketio.server.on(name, lambda *args: seen.append(args), namespace=namespace)
    client = socketio.test_client(app, namespace=place, auth={"a": 1})
    client.emit("say", "hi", namespace=place)
    client.disconnect(place)
    return seen


@pytest.mark.parametrize(
    ("event", "namespace", "head"),
    [("say", "/", 1), ("*", "/", 2), ("say", "*", 2), ("*", "*", 3)],
)
def test_raw_handlers_get_the_sid(app, socketio, event, namespace, head):
    """Before it stand the event and the namespace, where they were "*"."""
    connect, say, disconnect = raw_calls(app, socketio, event, namespace)
    assert connect[-1] == {"a": 1}
    assert connect[-2]["PATH_INFO"] == "/socket.io"
    assert disconnect[-1] == "client disconnect"
    assert say[-1] == "hi"
    assert len(say) == head + 1
    sid = connect[-3]
    assert say[head - 1] == disconnect[-2] == sid
    assert (
        say[: head - 1]
        == (("say", "/any") if head == 3 else ("say",) if event == "*" else ("/any",))[: head - 1]
    )


def test_raw_handlers_get_what_they_take(app, socketio):
    """Without auth and reason too, and by the name of the function."""
    seen = []

    @socketio.server.event
    def connect(sid, environ):
        seen.append(environ["PATH_INFO"])

    @socketio.server.event(namespace="/")
    def disconnect(sid):
        seen.append(len(sid))

    socketio.test_client(app).disconnect()
    assert seen == ["/socket.io", 20]


def test_raw_namespace_objects_are_triggered(app, socketio):
    """With the event, the sid and the arguments, as python-socketio does."""
    seen = []

    class Raw:
        namespace = "/raw"

        def _set_server(self, server):
            self.server = server

        def trigger_event(self, event, *args):
            seen.append((event, len(args)))
            return event if event == "say" else None

    raw = Raw()
    socketio.server.register_namespace(raw)
    client = socketio.test_client(app, namespace="/raw")
    assert client.emit("say", 1, namespace="/raw", callback=True) == "say"
    assert raw.server is socketio.server
    assert seen == [("connect", 3), ("say", 2)]


def test_tasks_and_sleep_are_there(server):
    """The same as the extension's."""
    done = []
    server.start_background_task(done.append, 1).join()
    server.sleep(0)
    server.shutdown()
    assert done == [1]


def test_logger_is_that_of_the_option(app):
    """Otherwise Carboy's own."""
    assert SocketIO(app).server.logger is logging.getLogger("carboy")
    mine = logging.getLogger("mine")
    assert SocketIO(Flask(__name__), logger=mine).server.logger is mine


@pytest.mark.parametrize(
    "use", [lambda server: server.instrument(auth=False), lambda server: server.handle_request({}, 0)]
)
def test_what_has_no_counterpart_says_so(server, use):
    """Nothing pretends to work."""
    with pytest.raises(NotImplementedError, match="Carboy"):
        use(server)
