"""Running one handler: arguments that fit, contexts, errors."""

from __future__ import annotations

import functools

import pytest
from flask import current_app, g, has_app_context, request, session

from carboy.exceptions import ArgumentsError
from flask_socketio import ConnectionRefusedError, Namespace, SocketIO, emit
from flask_socketio.context import current_event
from flask_socketio.dispatch import Signature, current_client


class UpstreamRefusalError(Exception):
    """Stands for python-socketio's ConnectionRefusedError, which applications import from there."""

    def __init__(self):
        self.error_args = {"message": "from elsewhere"}


UpstreamRefusalError.__name__ = "ConnectionRefusedError"


def connect_handlers():
    """Return connect handlers of every kind with the arguments that they are to get."""
    seen: list = []

    def nothing():
        seen.append(())

    def auth(auth):
        seen.append((auth,))

    def optional(auth="default"):
        seen.append((auth,))

    def anything(*args):
        seen.append(args)

    @functools.wraps(nothing)
    def wrapped(*args):
        return nothing(*args)

    return seen, [
        (nothing, ()),
        (auth, ("token",)),
        (optional, ("token",)),
        (anything, ("token",)),
        (wrapped, ()),
    ]


@pytest.mark.parametrize("number", range(5))
def test_connect_handler_gets_the_auth_data_if_its_signature_takes_them(app, socketio, number):
    """It is called once, with what it takes."""
    seen, handlers = connect_handlers()
    handler, given = handlers[number]
    socketio.on("connect")(handler)
    auth = {"token": 1}
    socketio.test_client(app, auth=auth)
    assert seen == [tuple(auth for _ in given)]


def bare(handler):
    """Decorate as many applications do, without `functools.wraps`."""

    def wrapper(*args, **kwargs):
        return handler(*args, **kwargs)

    return wrapper


def injecting(handler):
    """Decorate with a function that fills in the handler's argument."""

    @functools.wraps(handler)
    def wrapper(*args, **kwargs):
        return handler(*args, user="Ada", **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("decorated", "seen"),
    [
        (lambda note: bare(lambda: note("nothing")), "nothing"),
        (lambda note: bare(bare(lambda: note("nothing"))), "nothing"),
        (lambda note: injecting(lambda user: note(user)), "Ada"),  # noqa: PLW0108  # its signature counts
        (lambda note: bare(lambda given: note(given)), None),  # noqa: PLW0108
    ],
    ids=["bare", "twice bare", "injecting", "bare with an argument"],
)
@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_decorator_may_hide_what_a_handler_takes(app, socketio, event, decorated, seen):
    """It is called with what it seems to take; if that does not fit behind the decorator, with nothing."""
    notes = []
    socketio.on(event)(decorated(notes.append))
    client = socketio.test_client(app, auth={"token": 1})
    client.disconnect()
    given = {"token": 1} if event == "connect" else "client disconnect"
    assert notes == [given if seen is None else seen]


def test_type_error_behind_a_decorator_is_raised_once(app, socketio):
    """The handler's body has run then, whatever it called with too much."""
    runs = []

    @socketio.on("connect")
    @bare
    def connect(auth):
        runs.append(auth)
        connect_handlers(auth)

    with pytest.raises(TypeError, match="takes 0 positional"):
        socketio.test_client(app)
    assert runs == [None]


def test_connect_handler_whose_body_raises_a_type_error_runs_once(app, socketio):
    """A TypeError of the body is nobody's signature, and refuses the client."""
    runs = []

    @socketio.on("connect")
    def connect(auth):
        runs.append(auth)
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        socketio.test_client(app)
    assert runs == [None]


@pytest.mark.parametrize(("takes", "given"), [(True, ["client disconnect"]), (False, ["nothing"])])
def test_disconnect_handler_gets_the_reason_if_its_signature_takes_it(client, socketio, takes, given):
    """Both forms work, and run once."""
    seen = []
    socketio.on("disconnect")(seen.append if takes else lambda: seen.append("nothing"))
    client.disconnect()
    assert seen == given


def test_event_of_connect_has_environ_and_auth(app, socketio):
    """`request.event` holds all arguments, also those that the handler does not take."""
    seen = []
    socketio.on("connect")(lambda: seen.append(dict(request.event)))
    socketio.test_client(app, auth={"a": 1})
    assert seen[0]["message"] == "connect"
    assert seen[0]["args"][0]["PATH_INFO"] == "/socket.io"
    assert seen[0]["args"][1] == {"a": 1}


def test_arguments_that_do_not_fit_become_an_arguments_error(client, socketio):
    """It is a TypeError that names the handler, what it takes and what came."""

    @socketio.on("two")
    def two(first, second):
        raise AssertionError("never called")

    with pytest.raises(ArgumentsError, match=r"two\(\) takes 2 arguments, but the event 'two' came with 1"):
        client.emit("two", 1)


def test_type_error_of_the_body_stays_what_it_is(client, socketio):
    """It is the application's, whatever the signature says."""

    @socketio.on("own")
    def own():
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine") as caught:
        client.emit("own")
    assert type(caught.value) is TypeError


def test_type_error_in_a_handler_that_a_decorator_feeds_stays_what_it_is(client, socketio):
    """Where a decorator adds an argument, the numbers differ, but the body ran."""

    def with_user(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function("user", *args)

        return wrapper

    @socketio.on("fed")
    @with_user
    def fed(user, data):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine") as caught:
        client.emit("fed", 1)
    assert type(caught.value) is TypeError


def test_error_handler_sees_arguments_that_do_not_fit(client, socketio):
    """Its answer is the acknowledgement."""
    socketio.on("one")(lambda value: value)
    socketio.on_error()(lambda error: type(error).__name__)
    assert client.emit("one", callback=True) == "ArgumentsError"


def test_error_handler_runs_in_the_contexts_of_the_event(client, socketio):
    """It sees the request and the g of the handler."""

    @socketio.on("fail")
    def fail(value):
        g.value = value
        raise KeyError(value)

    @socketio.on_error()
    def handle(error):
        return [request.event["message"], g.value, type(error).__name__]

    assert client.emit("fail", 5, callback=True) == ["fail", 5, "KeyError"]


def test_error_handler_of_the_namespace_goes_before_the_default_one(app, socketio):
    """The default one takes the rest."""
    socketio.on("fail")(lambda: 1 / 0)
    socketio.on("fail", namespace="/other")(lambda: 1 / 0)
    socketio.on_error("/other")(lambda error: "own")
    socketio.on_error_default(lambda error: "default")
    assert socketio.test_client(app).emit("fail", callback=True) == "default"
    other = socketio.test_client(app, namespace="/other")
    assert other.emit("fail", namespace="/other", callback=True) == "own"


@pytest.mark.parametrize("refusal", [ConnectionRefusedError("no"), UpstreamRefusalError()])
def test_refusals_pass_error_handlers_by(app, socketio, refusal):
    """Neither a function nor the method of a class sees them."""
    seen = []

    class Room(Namespace):
        def on_connect(self):
            raise refusal

        def error(self, error):
            seen.append(error)

    socketio.on_namespace(Room("/room"))
    socketio.on_error_default(seen.append)
    client = socketio.test_client(app, namespace="/room")
    assert not client.is_connected("/room")
    assert client.refused == {"/room": refusal.error_args}
    assert seen == []


def test_exception_in_a_connect_handler_refuses_though_an_error_handler_took_it(app, socketio):
    """No error handler can let a client in; it is called once."""
    seen = []

    @socketio.on("connect")
    def connect():
        raise RuntimeError("the database is away")

    socketio.on_error()(lambda error: seen.append(str(error)))
    client = socketio.test_client(app)
    assert not client.is_connected()
    assert client.refused["/"] == {"message": "Connection rejected by server"}
    assert seen == ["the database is away"]


def test_error_handler_that_raises_is_the_exception(client, socketio):
    """What it raises reaches the test."""

    @socketio.on_error()
    def handle(error):
        raise LookupError("from the error handler") from error

    socketio.on("fail")(lambda: 1 / 0)
    with pytest.raises(LookupError, match="from the error handler"):
        client.emit("fail")


@pytest.mark.parametrize("is_async", [False, True])
def test_coroutine_error_handler_is_awaited(client, socketio, is_async):
    """It answers for plain and for coroutine handlers."""

    async def fail_async():
        raise KeyError

    def fail():
        raise KeyError

    async def handle(error):
        return [type(error).__name__, request.event["message"]]

    socketio.on("fail")(fail_async if is_async else fail)
    socketio.on_error()(handle)
    assert client.emit("fail", callback=True) == ["KeyError", "fail"]


def test_coroutine_handler_runs_in_the_contexts(client, socketio):
    """Before and after an await it sees its own request."""

    @socketio.on("who")
    async def who(value):
        import asyncio

        await asyncio.sleep(0)
        return [value, request.sid == current_client_sid(), request.namespace, current_app.name]

    def current_client_sid():
        return current_event().sid

    assert client.emit("who", 1, callback=True) == [1, True, "/", "application"]


def test_coroutine_handler_gets_arguments_error_too(client, socketio):
    """A coroutine function binds its arguments when it is called."""

    @socketio.on("one")
    async def one(value):
        return value

    with pytest.raises(ArgumentsError, match="takes 1 argument, but"):
        client.emit("one")


def test_subclass_sees_every_event(app):
    """`_handle_event` may be overridden, with the handler that the application wrote."""
    seen = []

    class Watching(SocketIO):
        def _handle_event(self, handler, message, namespace, sid, *args):
            seen.append((handler.__name__, message, namespace, len(sid), args[-1]))
            return super()._handle_event(handler, message, namespace, sid, *args)

    socketio = Watching(app)

    @socketio.on("say", namespace="/room")
    def say_it(text):
        return text.upper()

    class Chat(Namespace):
        def on_say(self, text):
            return text.lower()

    socketio.on_namespace(Chat("/chat"))
    client = socketio.test_client(app, namespace="/room")
    assert client.emit("say", "Hi", namespace="/room", callback=True) == "HI"
    client.connect("/chat")
    assert client.emit("say", "Hi", namespace="/chat", callback=True) == "hi"
    assert seen == [("say_it", "say", "/room", 20, "Hi"), ("on_say", "say", "/chat", 20, "Hi")]


def test_subclass_may_wrap_the_handler_of_each_event(app):
    """A function that was never registered is called as well, and nothing of it is kept."""

    class Wrapping(SocketIO):
        def _handle_event(self, handler, message, namespace, sid, *args):
            return super()._handle_event(functools.partial(handler, "extra"), message, namespace, sid, *args)

    socketio = Wrapping(app)
    socketio.on("say")(lambda *args: list(args))
    client = socketio.test_client(app)
    for _ in range(3):
        assert client.emit("say", 1, callback=True) == ["extra", 1]
    assert len(socketio._signatures) == 1


def test_event_for_an_unknown_sid_is_left_alone(socketio):
    """A subclass that calls it late gets None, and never an answer that reaches a client."""
    assert socketio._handle_event(lambda: 1, "event", "/", "nobody") is None


def test_namespaces_of_one_connection_share_the_session(app, socketio):
    """The fork belongs to the connection."""
    from werkzeug.test import create_environ

    from carboy.transports.memory import MemoryConnection

    seen = []
    for namespace in ("/a", "/b"):
        socketio.on("add", namespace=namespace)(
            lambda key: session.update({key: 1}) or seen.append(dict(session))
        )
    connection = MemoryConnection(socketio.runtime, create_environ())
    for namespace in ("/a", "/b"):
        connection.submit(0, namespace, None, None)
        connection.submit(2, namespace, None, ["add", namespace])
    assert seen == [{"/a": 1}, {"/a": 1, "/b": 1}]


def test_manage_session_is_read_at_each_event(client, socketio):
    """An application, or its test, may flip it at any time."""
    from flask_socketio.session import ManagedSession

    socketio.on("kind")(lambda: isinstance(session._get_current_object(), ManagedSession))
    assert client.emit("kind", callback=True) is True
    socketio.manage_session = False
    assert client.emit("kind", callback=True) is False


def test_nothing_of_flask_is_left_after_an_event(client, socketio):
    """Neither a handler nor its failure leaves a context behind."""
    socketio.on("fail")(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        client.emit("fail")
    assert not has_app_context()
    assert current_client() is None


def test_handlers_run_for_the_app_that_took_the_handshake(app, socketio):
    """With one SocketIO object on two apps, the test client's app is the one."""
    from flask import Flask

    other = Flask("other")
    socketio.init_app(other)
    socketio.on("app")(lambda: current_app.name)
    assert socketio.test_client(app).emit("app", callback=True) == "application"
    assert socketio.test_client(other).emit("app", callback=True) == "other"


def test_nested_events_have_their_own_contexts(app, socketio):
    """A handler that lets another client send sees its own request afterwards."""
    inner = socketio.test_client(app)
    outer = socketio.test_client(app)
    socketio.on("sid")(lambda: request.sid)

    @socketio.on("nest")
    def nest():
        other = inner.emit("sid", callback=True)
        emit("mine")
        return other != request.sid

    assert outer.emit("nest", callback=True) is True
    assert [event["name"] for event in outer.get_received()] == ["mine"]
    assert inner.get_received() == []


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda: 0, "0 arguments"),
        (lambda a: 0, "1 argument"),
        (lambda a, b=1: 0, "1 to 2 arguments"),
        (lambda a, *b: 0, "at least 1 argument"),
    ],
)
def test_signature_says_what_it_takes(function, text):
    """The words stand in the error."""
    assert str(Signature(function)) == text
