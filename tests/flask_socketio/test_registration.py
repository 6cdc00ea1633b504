"""Decorators, and the replay of what they collect into each server."""

from __future__ import annotations

import pytest
from flask import Flask, request

from flask_socketio import Namespace, SocketIO


def answers(socketio, app, event="ping", namespace="/"):
    """Return what a fresh client is answered."""
    client = socketio.test_client(app, namespace=namespace)
    return client.emit(event, namespace=namespace, callback=True)


def test_handlers_registered_before_init_app_answer(app):
    """An extension made without an application collects."""
    socketio = SocketIO()
    socketio.on("ping")(lambda: "pong")
    socketio.init_app(app)
    assert answers(socketio, app) == "pong"


@pytest.mark.parametrize("options", [{"message_queue": None}, {}])
def test_handlers_survive_every_init_app(app, options):
    """A queue that is None is none, and a second init_app loses nothing."""
    socketio = SocketIO(**options)
    socketio.on("ping")(lambda: "pong")
    socketio.init_app(app)
    socketio.on("late")(lambda: "late")
    socketio.init_app(app, cors_allowed_origins="*")
    assert answers(socketio, app) == "pong"
    assert answers(socketio, app, "late") == "late"


def test_classes_survive_every_init_app(app):
    """So do class-based namespaces."""

    class Chat(Namespace):
        def on_ping(self):
            return "pong"

    socketio = SocketIO(app)
    socketio.on_namespace(Chat("/chat"))
    socketio.init_app(app)
    assert answers(socketio, app, namespace="/chat") == "pong"


def test_decorators_return_the_function(socketio):
    """They can be stacked, and the function can be called."""

    def function():
        return 1

    assert socketio.on("a")(socketio.on("b")(function)) is function
    assert socketio.event(function) is function
    assert socketio.event(namespace="/x")(function) is function
    assert socketio.event("/y")(function) is function
    assert socketio.on_error()(function) is function
    assert socketio.on_error_default(function) is function
    assert socketio.on_event("c", function) is None
    assert socketio.handlers == [
        ("b", function, "/"),
        ("a", function, "/"),
        ("function", function, "/"),
        ("function", function, "/x"),
        ("function", function, "/y"),
        ("c", function, "/"),
    ]


def test_last_registration_counts(app, socketio):
    """As in Flask-SocketIO, without a word."""
    socketio.on("ping")(lambda: 1)
    socketio.on("ping")(lambda: 2)
    assert answers(socketio, app) == 2


@pytest.mark.parametrize(
    ("event", "namespace", "answer"),
    [
        ("known", "/a", ["event"]),
        ("other", "/a", ["catch-all", "other"]),
        ("known", "/b", ["any namespace", "/b"]),
        ("other", "/b", ["any", "/b", "other"]),
    ],
)
def test_catch_alls_are_asked_from_the_narrow_to_the_wide(app, socketio, event, namespace, answer):
    """Event, then any event, then any namespace, then any of both, which works here."""
    socketio.on("known", namespace="/a")(lambda: ["event"])
    socketio.on("*", namespace="/a")(lambda event: ["catch-all", event])
    socketio.on("known", namespace="*")(lambda: ["any namespace", request.namespace])
    socketio.on("*", namespace="*")(lambda event: ["any", request.namespace, event])
    assert answers(socketio, app, event, namespace) == answer


def test_catch_all_does_not_see_connect_and_disconnect(app, socketio):
    """Those are told by the server, not sent by a client."""
    seen = []
    socketio.on("*")(lambda *args: seen.append(args))
    client = socketio.test_client(app)
    client.emit("sent", 1)
    client.disconnect()
    assert seen == [("sent", 1)]


def test_unknown_event_is_never_acknowledged(client):
    """Where functions answer, nobody answers for them."""
    assert client.emit("unknown", callback=True) is None


def test_error_handler_must_be_callable(socketio):
    """It is told at registration."""
    with pytest.raises(ValueError, match="exception_handler must be callable"):
        socketio.on_error()("no function")
    with pytest.raises(ValueError, match="exception_handler must be callable"):
        socketio.on_error_default(None)


def test_namespace_must_be_an_instance(socketio):
    """The class itself is none."""
    with pytest.raises(ValueError, match="Not a namespace instance"):
        socketio.on_namespace(Namespace)


def test_subclass_sees_every_registration_in_on():
    """`on_event` and `event` go through `on`, which extensions override."""
    seen = []

    class Watching(SocketIO):
        def on(self, message, namespace=None):
            seen.append((message, namespace))
            return super().on(message, namespace)

    socketio = Watching(Flask("application"))
    socketio.on_event("a", print, namespace="/x")
    socketio.event(print)
    assert seen == [("a", "/x"), ("print", None)]


def test_callable_object_may_be_a_handler(app, socketio):
    """Also one that cannot be hashed."""

    class Answer:
        __hash__ = None

        def __call__(self):
            return "pong"

    socketio.on("ping")(Answer())
    assert answers(socketio, app) == "pong"


@pytest.mark.parametrize(
    ("register", "told"),
    [
        (lambda socketio: socketio.on(print), r"as in @socketio.on\('message'\)"),
        (lambda socketio: socketio.on("say", namespace="chat"), "did you mean '/chat'"),
        (lambda socketio: socketio.on_namespace(Namespace("chat")), "did you mean '/chat'"),
    ],
)
def test_handler_that_no_client_can_reach_is_told(socketio, register, told):
    """At the line that registers it."""
    with pytest.warns(UserWarning, match=told) as caught:
        register(socketio)
    assert caught[0].filename == __file__
