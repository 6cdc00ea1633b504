"""`socketio.server.handlers` and `.namespace_handlers`, which are dicts in python-socketio."""

from __future__ import annotations

import inspect
from functools import partial, wraps

import pytest
from flask import request

from flask_socketio import Namespace, SocketIO


def ask(client, event, *arguments, namespace="/"):
    """Return what an event is acknowledged with; None where nobody answers."""
    return client.emit(event, *arguments, namespace=namespace, callback=True)


def test_handlers_are_found_by_namespace_and_event(socketio, server):
    """Only what is registered is there; a class is not."""
    assert server.handlers == {}
    assert server.handlers.get("/", {}) == {}
    socketio.on("say")(print)
    socketio.on("*", namespace="/any")(print)
    socketio.on_namespace(Namespace("/class"))
    assert list(server.handlers) == ["/", "/any"]
    assert set(server.handlers["/"]) == {"say"}
    assert "say" in server.handlers["/"]
    assert "connect" not in server.handlers["/"]
    assert (len(server.handlers), len(server.handlers["/"])) == (2, 1)
    with pytest.raises(KeyError):
        server.handlers["/class"]
    with pytest.raises(KeyError):
        server.handlers["/"]["shout"]


def test_handlers_can_be_printed(socketio, server):
    """As dicts can."""

    @socketio.on("say")
    def say():
        pass

    socketio.server.on("raw", len)
    assert repr(server.handlers).startswith("{'/': {'say': <handler ")
    assert "say" in repr(server.handlers["/"]["say"])
    assert "'raw': <built-in function len>}}" in repr(server.handlers)


def test_handler_shows_the_function_of_the_application(socketio, server):
    """As a function that `functools.wraps` has made, so also without a name."""

    @socketio.on("say")
    def answer(text):
        """Answer."""

    socketio.on("part")(partial(answer, "text"))
    found = server.handlers["/"]["say"]
    assert found.__wrapped__ is answer
    assert (found.__name__, found.__doc__) == ("answer", "Answer.")
    assert inspect.signature(found) == inspect.signature(answer)
    assert isinstance(server.handlers["/"]["part"].__wrapped__, partial)
    assert server.handlers["/"]["say"] == found
    assert len({found, server.handlers["/"]["say"], server.handlers["/"]["part"]}) == 2
    assert found != answer


def test_handler_is_called_with_the_sid(socketio, server, client, sid):
    """It runs in the contexts of that client; for one that is not there nothing happens."""
    socketio.on("say")(lambda text: (request.sid, request.event["message"], text))
    assert server.handlers["/"]["say"](sid, "hi") == (sid, "say", "hi")
    assert server.handlers["/"]["say"]("nobody", "hi") is None
    with pytest.raises(TypeError):
        server.handlers["/"]["say"]()


@pytest.mark.parametrize(
    ("event", "namespace", "given"),
    [("*", "/", ["say"]), ("say", "*", ["/"]), ("*", "*", ["say", "/"])],
)
def test_event_and_namespace_stand_before_the_sid_where_they_are_any(
    socketio, server, client, sid, event, namespace, given
):
    """As python-socketio calls what is registered for "*"."""
    socketio.on(event, namespace=namespace)(lambda *args: (request.namespace, *args))
    expected = ("/", "say", "hi") if event == "*" else ("/", "hi")
    assert server.handlers[namespace][event](*given, sid, "hi") == expected


@pytest.mark.parametrize(
    ("event", "given"), [("connect", [{"PATH_INFO": "/"}, {"a": 1}]), ("disconnect", ["why"])]
)
def test_lifecycle_handlers_are_called_as_the_server_does(socketio, server, sid, event, given):
    """They take what their signature has room for."""
    seen = []
    socketio.on(event)(seen.append)
    server.handlers["/"][event](sid, *given)
    socketio.on(event)(lambda: seen.append("nothing"))
    server.handlers["/"][event](sid, *given)
    assert seen[:2] == [given[-1], "nothing"]


def test_function_registered_with_the_server_is_itself(server):
    """Python-socketio wraps nothing."""
    server.on("raw", print)
    assert server.handlers["/"]["raw"] is print


def test_deleted_handler_answers_no_more(socketio, server, client):
    """Nor does it stand in the way of a catch-all or a class; one registered again answers."""
    socketio.on("say")(lambda: "say")
    socketio.on("*")(lambda event: f"any {event}")
    assert ask(client, "say") == "say"
    del server.handlers["/"]["say"]
    assert ask(client, "say") == "any say"
    del server.handlers["/"]["*"]
    assert ask(client, "say") is None
    with pytest.raises(KeyError):
        del server.handlers["/"]["say"]
    socketio.on("say")(lambda: "again")
    assert ask(client, "say") == "again"


def test_deleted_namespace_can_be_joined_no_more(app, socketio, server):
    """What is registered for others stays."""
    socketio.on("say", namespace="/gone")(print)
    socketio.on("say", namespace="/stays")(print)
    handlers = server.handlers["/gone"]
    del server.handlers["/gone"]
    assert (list(handlers), list(server.handlers)) == ([], ["/stays"])
    assert not socketio.test_client(app, namespace="/gone").is_connected("/gone")
    assert socketio.test_client(app, namespace="/stays").is_connected("/stays")
    with pytest.raises(KeyError):
        del server.handlers["/gone"]


def test_replaced_handler_is_called_in_python_socketios_way(app, socketio, server):
    """With the sid first, and no contexts; a namespace may be given all at once."""
    socketio.on("say")(print)
    client = socketio.test_client(app)
    sid = server.manager.sid_from_eio_sid(client.eio_sid, "/")
    server.handlers["/"]["say"] = lambda *args: args
    assert ask(client, "say", "hi") == [sid, "hi"]
    server.handlers["/"] = {"shout": lambda sid, text: text.upper()}
    assert ask(client, "say", "hi") is None
    assert ask(client, "shout", "hi") == "HI"


def test_handler_that_is_put_back_is_what_it_was(app, socketio, server):
    """With contexts and what its signature takes, also of the connect handler; a copy puts back all."""
    seen = []
    socketio.on("connect")(lambda auth: seen.append((auth, request.namespace)))
    saved = dict(server.handlers["/"])
    server.handlers["/"]["connect"] = lambda sid, environ: None
    socketio.test_client(app, auth={"a": 1})
    assert seen == []
    server.handlers["/"] = saved
    assert server.handlers["/"] == saved
    socketio.test_client(app, auth={"a": 1})
    assert seen == [({"a": 1}, "/")]


def test_handler_can_be_wrapped(app, socketio, server):
    """The wrapper gets all that the server has, whatever the signature of the function within."""
    seen = []

    @socketio.on("connect")
    def connect(auth):
        seen.append(auth)

    within = server.handlers["/"]["connect"]

    @wraps(within)
    def traced(sid, *args):
        seen.append(len(args))
        return within(sid, *args)

    server.handlers["/"]["connect"] = traced
    socketio.test_client(app, auth={"a": 1})
    assert seen == [2, {"a": 1}]


class Upper(Namespace):
    """Answers in capitals."""

    def on_say(self, text):
        """Answer an event."""
        return text.upper(), request.sid != ""


class Raw:
    """A namespace of python-socketio."""

    namespace = "/raw"

    def trigger_event(self, event, sid, *args):
        """Answer any event."""
        return event if event == "say" else None


def test_namespace_objects_are_found_by_namespace(app):
    """Those of both kinds, registered before and after init_app."""
    socketio, upper, raw = SocketIO(), Upper("/upper"), Raw()
    socketio.on_namespace(upper)
    socketio.init_app(app)
    socketio.server.register_namespace(raw)
    found = socketio.server.namespace_handlers
    assert found == {"/upper": upper, "/raw": raw}
    assert found["/upper"] is upper
    assert next(value for value in found.values() if isinstance(value, Upper)) is upper
    assert "/" not in found


def test_namespace_object_that_is_taken_out_answers_no_more(app, socketio, server):
    """Until it is put back, with its contexts."""
    socketio.on_namespace(Upper("/upper"))
    client = socketio.test_client(app, namespace="/upper")
    upper = server.namespace_handlers.pop("/upper")
    assert isinstance(upper, Upper)
    assert ask(client, "say", "hi", namespace="/upper") is None
    assert not socketio.test_client(app, namespace="/upper").is_connected("/upper")
    assert server.namespace_handlers.pop("/upper", None) is None
    server.namespace_handlers["/upper"] = upper
    assert ask(client, "say", "hi", namespace="/upper") == ["HI", True]
    server.namespace_handlers["/upper"] = Raw()
    assert ask(client, "say", "hi", namespace="/upper") == "say"
