"""The client for tests, from the outside."""

from __future__ import annotations

import gc
import weakref

import pytest
from flask import request, session

from carboy.exceptions import PacketError
from carboy.transports.memory import MemoryConnection
from flask_socketio import ConnectionRefusedError, SocketIO, disconnect, emit, send
from flask_socketio.test_client import SocketIOTestClient


@pytest.mark.parametrize(
    ("event", "args", "received"),
    [
        ("message", ("text",), "text"),
        ("json", ({"a": 1},), {"a": 1}),
        ("message", (), None),
        ("other", ("text",), ["text"]),
        ("other", (), []),
        ("other", (1, [2]), [1, [2]]),
        ("other", (b"a", {"b": b"c"}), [b"a", {"b": b"c"}]),
    ],
)
def test_received_events_have_upstreams_shapes(client, socketio, event, args, received):
    """The first argument for messages, the list of arguments otherwise."""
    socketio.on("send")(lambda: emit(event, args))
    client.emit("send")
    assert client.get_received() == [{"name": event, "args": received, "namespace": "/"}]
    assert client.get_received() == []


@pytest.mark.parametrize(
    ("result", "answer"),
    [(None, []), (1, 1), ([1], [1]), ((1, 2), [1, 2]), ((), []), (b"x", b"x"), (False, False)],
)
def test_emit_returns_the_acknowledgement(client, socketio, result, answer):
    """One argument is itself, otherwise they are a list."""
    socketio.on("ask")(lambda: result)
    assert client.emit("ask", callback=True) == answer
    assert client.emit("ask") is None


def test_send_returns_the_acknowledgement(client, socketio):
    """For both kinds of message."""
    socketio.on("message")(lambda data: [data])
    socketio.on("json")(lambda data: data["a"])
    assert client.send("text", callback=True) == ["text"]
    assert client.send({"a": 1}, json=True, callback=True) == 1


def test_namespaces_are_received_apart(app, socketio):
    """What came in one waits while the other is asked."""
    socketio.on("connect", namespace="/other")(lambda: emit("hello"))
    client = socketio.test_client(app)
    client.connect("/other")
    socketio.emit("event", 1)
    assert [event["name"] for event in client.get_received()] == ["event"]
    assert [event["name"] for event in client.get_received("/other")] == ["hello"]


def test_refused_tells_why(app, socketio):
    """What upstream's client keeps to itself."""

    @socketio.on("connect")
    def connect(auth):
        if auth != {"password": "secret"}:
            raise ConnectionRefusedError("wrong password", {"code": 1})

    client = socketio.test_client(app)
    assert not client.is_connected()
    assert client.refused == {"/": {"message": "wrong password", "data": {"code": 1}}}
    client.connect(auth={"password": "secret"})
    assert client.is_connected()
    assert client.refused == {}


def test_unknown_namespace_is_refused(app, socketio):
    """Nothing is registered there."""
    client = socketio.test_client(app, namespace="/unknown")
    assert not client.is_connected("/unknown")
    assert client.refused["/unknown"]["message"] == "Invalid namespace"


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.emit("x"),
        lambda client: client.send("x"),
        lambda client: client.get_received(),
        lambda client: client.disconnect(),
    ],
)
def test_client_that_is_not_connected_cannot_be_used(client, use):
    """As upstream."""
    client.disconnect()
    with pytest.raises(RuntimeError, match="not connected"):
        use(client)


def test_server_may_disconnect_it(client, socketio):
    """The client knows when the call returns."""
    socketio.on("exit")(lambda: disconnect(silent=True))
    client.emit("exit")
    assert not client.is_connected()


def test_acknowledgement_comes_although_the_handler_has_disconnected_it(client, socketio):
    """A test may ask what a client is told that is turned out."""

    @socketio.on("late")
    def late():
        disconnect()
        return "bye"

    assert client.emit("late", callback=True) == "bye"
    assert not client.is_connected()


def test_handshake_is_what_was_given(app, socketio):
    """Query, headers and the fixed path."""
    seen = []
    socketio.on("connect")(
        lambda: seen.append([request.path, request.args.to_dict(flat=False), request.headers["X-Test"]])
    )
    for query in ("?a=1&a=2", "a=1&a=2", {"a": ["1", "2"]}):
        socketio.test_client(app, query_string=query, headers={"X-Test": "yes"})
    assert seen == [["/socket.io", {"a": ["1", "2"]}, "yes"]] * 3


def test_cookies_and_environ_of_flasks_client_are_taken(app, socketio):
    """With them the session of the HTTP side."""

    @app.route("/login")
    def login():
        session["user"] = "ann"
        return ""

    browser = app.test_client()
    browser.environ_base["REMOTE_ADDR"] = "192.0.2.9"
    browser.get("/login")
    socketio.on("who")(lambda: [session.get("user"), request.remote_addr])
    client = socketio.test_client(app, flask_test_client=browser)
    assert client.emit("who", callback=True) == ["ann", "192.0.2.9"]
    assert socketio.test_client(app).emit("who", callback=True) == [None, None]


def test_every_connect_is_a_handshake_of_its_own(app, socketio):
    """For all namespaces of the client, whose session begins anew."""
    for namespace in ("/", "/b"):
        socketio.on("count", namespace=namespace)(
            lambda: [session.setdefault("n", 0), session.update(n=session["n"] + 1), request.args.get("q")]
        )
    client = socketio.test_client(app, query_string="q=1")
    assert [client.emit("count", callback=True) for _ in range(2)] == [[0, None, "1"], [1, None, "1"]]
    engine_session = client.eio_sid
    client.connect("/b", query_string="q=2")
    assert client.eio_sid == engine_session
    assert client.emit("count", callback=True) == [0, None, "2"]
    assert client.emit("count", namespace="/b", callback=True) == [1, None, "2"]


def test_connecting_twice_keeps_the_client(client, socketio):
    """The connect handler is not asked again."""
    runs = []
    socketio.on("connect")(lambda: runs.append(1))
    client.connect()
    assert client.is_connected()
    assert runs == []


def test_client_can_connect_again(app, socketio):
    """After it has left its last namespace, of which the server keeps nothing."""
    client = socketio.test_client(app)
    client.disconnect()
    assert len(socketio.server.eio.sockets) == 0
    assert socketio.runtime.memory_connections == 0
    client.connect()
    assert client.is_connected()
    socketio.on("ping")(lambda: "pong")
    assert client.emit("ping", callback=True) == "pong"


def test_client_that_has_left_is_forgotten(app, socketio):
    """Nothing in the server holds it."""
    client = socketio.test_client(app)
    gone = weakref.ref(client)
    client.disconnect()
    del client
    gc.collect()
    assert gone() is None


def test_handlers_run_in_the_tests_thread(client, socketio):
    """So that what they raise is raised there."""

    @socketio.on("fail")
    def fail():
        raise LookupError("in the handler")

    with pytest.raises(LookupError, match="in the handler"):
        client.emit("fail")
    assert client.is_connected()


@pytest.mark.parametrize("value", [object(), {1, 2}])
def test_data_that_cannot_be_encoded_are_type_errors(client, socketio, value):
    """On the way in, on the way out, and in the acknowledgement."""
    socketio.on("emit")(lambda: emit("event", {"a": value}))
    socketio.on("answer")(lambda: {"a": value})
    with pytest.raises(TypeError):
        client.emit("event", value)
    with pytest.raises(TypeError):
        client.emit("emit")
    with pytest.raises(TypeError):
        client.emit("answer", callback=True)


@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_reserved_events_cannot_be_sent(client, event):
    """No client can, and the test is told instead of losing its connection."""
    with pytest.raises(PacketError, match="reserved"):
        client.emit(event)
    assert client.is_connected()


def test_failure_of_another_client_is_raised_where_it_was_caused(app, socketio):
    """Its disconnect handler ran because of this call."""
    other = socketio.test_client(app)
    sid = socketio.server.manager.sid_from_eio_sid(other.eio_sid, "/")
    client = socketio.test_client(app)
    socketio.on("kick")(lambda: disconnect(sid))

    @socketio.on("disconnect")
    def left():
        raise LookupError("in the disconnect handler")

    with pytest.raises(LookupError, match="in the disconnect handler"):
        client.emit("kick")
    assert not other.is_connected()


def test_acknowledge_answers_the_server_at_once(app, socketio):
    """Also an event from the connect handler, and with binary data."""
    answers = []
    socketio.on("connect")(lambda: emit("question", b"?", callback=lambda *args: answers.append(args)))
    client = socketio.test_client(app, acknowledge={"question": lambda data: (data, b"!")})
    assert answers == [(b"?", b"!")]
    assert client.get_received()[0]["name"] == "question"


def test_failure_in_acknowledge_reaches_the_test(app, socketio):
    """It is the test's own."""
    client = socketio.test_client(app, acknowledge={"question": lambda: 1 / 0})
    socketio.on("ask")(lambda: emit("question", callback=print))
    with pytest.raises(ZeroDivisionError):
        client.emit("ask")
    with pytest.raises(ZeroDivisionError):
        socketio.emit("question", callback=print)


def test_other_clients_of_the_server_are_left_alone(app, socketio):
    """A test client changes nothing for a connection of another kind."""
    other = MemoryConnection(socketio.runtime, {"REQUEST_METHOD": "GET"})
    other.submit(0, "/", None, None)
    socketio.test_client(app)
    socketio.emit("event", 1)
    assert [packet[0] for packet in other.transport.received] == [0, 2]
    assert socketio.runtime.config.async_handlers is True


def test_message_queue_is_no_obstacle(app):
    """The configuration of the application can stay as it is, though no broker runs."""
    socketio = SocketIO(app, message_queue="redis://127.0.0.1:9")
    socketio.on("ping")(lambda: send("pong"))
    client = socketio.test_client(app)
    client.emit("ping")
    assert client.get_received()[0]["args"] == "pong"


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
def test_client_speaks_what_the_server_speaks(app, serializer):
    """In both encodings."""
    socketio = SocketIO(app, serializer=serializer)
    socketio.on("echo")(lambda *args: args)
    client = socketio.test_client(app)
    assert client.emit("echo", 1, {"a": b"x"}, callback=True) == [1, {"a": b"x"}]


def test_class_can_be_used_directly(app, socketio):
    """With upstream's positions."""
    client = SocketIOTestClient(app, socketio, "/", "a=1", {"X": "y"}, {"auth": 1}, app.test_client())
    assert client.is_connected()
    assert client.connected == {"/": True}
