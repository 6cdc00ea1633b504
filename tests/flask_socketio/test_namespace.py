"""Class-based namespaces."""

from __future__ import annotations

import pytest
from flask import g, has_request_context, request

from flask_socketio import Namespace, SocketIO, emit


@pytest.fixture
def join(app, socketio):
    """Return a function that registers a class and connects a client to it."""

    def register(namespace_class, namespace="/chat", **options):
        instance = namespace_class(options.pop("register", namespace))
        socketio.on_namespace(instance)
        client = socketio.test_client(app, namespace=namespace, **options)
        return (
            instance,
            lambda event, *args: client.emit(event, *args, namespace=namespace, callback=True),
            client,
        )

    return register


def test_methods_answer_events(join):
    """In the contexts of the event."""

    class Chat(Namespace):
        def on_say(self, text):
            return [text, request.namespace, request.event["args"] == (text,)]

    assert join(Chat)[1]("say", "hi") == ["hi", "/chat", True]


def test_unknown_event_is_acknowledged_with_nothing(join):
    """As upstream does for classes, though not for functions."""
    assert join(Namespace)[1]("unknown", 1) == []


@pytest.mark.parametrize("takes", [True, False])
def test_connect_and_disconnect_methods_get_what_they_take(join, takes):
    """With and without the argument, once each."""
    seen = []

    class Full(Namespace):
        def on_connect(self, auth):
            seen.append(auth)

        def on_disconnect(self, reason):
            seen.append(reason)

    class Bare(Namespace):
        def on_connect(self):
            seen.append("connect")

        def on_disconnect(self):
            seen.append("disconnect")

    _, _, client = join(Full if takes else Bare, auth={"a": 1})
    client.disconnect("/chat")
    assert seen == ([{"a": 1}, "client disconnect"] if takes else ["connect", "disconnect"])


def test_coroutine_methods_answer(join):
    """`async def` methods are handlers like any other."""

    class Chat(Namespace):
        async def on_connect(self):
            emit("hello")

        async def on_say(self, text):
            return text + request.namespace

    _, ask, client = join(Chat)
    assert ask("say", "hi") == "hi/chat"
    assert client.get_received("/chat")[0]["name"] == "hello"


def test_overridden_trigger_event_dispatches_everything(join):
    """It gets the event, the sid and the arguments, and may answer itself."""

    class Generic(Namespace):
        def trigger_event(self, event, *args):
            if event in {"connect", "disconnect"}:
                return super().trigger_event(event, *args)
            return [event, len(args[0]), *args[1:]]

    assert join(Generic)[1]("anything", 1) == ["anything", 20, 1]


def test_overridden_trigger_event_may_rename_events(join):
    """The method runs in the contexts, plain or coroutine, under the new name."""

    class Renaming(Namespace):
        def trigger_event(self, event, *args):
            return super().trigger_event(event.replace("-", "_"), *args)

        def on_my_event(self, value):
            return [value, request.event["message"]]

        async def on_my_coroutine(self, value):
            return [value, request.event["message"]]

    _, ask, _ = join(Renaming)
    assert ask("my-event", 1) == [1, "my_event"]
    assert ask("my-coroutine", 2) == [2, "my_coroutine"]


def test_trigger_event_may_be_a_coroutine_function(join):
    """Then all events are awaited."""

    class Generic(Namespace):
        async def trigger_event(self, event, *args):
            result = super().trigger_event(event, *args)
            return result if event == "connect" else [result]

        def on_say(self, text):
            return text

    assert join(Generic)[1]("say", "hi") == ["hi"]


def test_error_method_runs_in_the_contexts_of_the_event(join):
    """After the error handlers, if they raise; its answer is the acknowledgement."""

    class Chat(Namespace):
        def on_fail(self):
            g.value = "seen"
            raise KeyError("x")

        def error(self, error):
            return [type(error).__name__, request.event["message"], g.value, has_request_context()]

    assert join(Chat)[1]("fail") == ["KeyError", "fail", "seen", True]


def test_error_handler_goes_before_the_error_method(join, socketio):
    """The method gets what the function raised again."""

    class Chat(Namespace):
        def on_fail(self):
            raise KeyError("x")

        def on_other(self):
            raise ValueError("x")

        def error(self, error):
            return "method"

    @socketio.on_error("/chat")
    def handle(error):
        if isinstance(error, KeyError):
            return "function"
        raise error

    _, ask, _ = join(Chat)
    assert ask("fail") == "function"
    assert ask("other") == "method"


def test_class_for_any_namespace_answers_in_the_clients_own(join):
    """Its methods see the real namespace, and act on it."""

    class Anywhere(Namespace):
        def on_connect(self):
            self.emit("hello", request.namespace)

        def on_join(self):
            self.enter_room(request.sid, "room")
            return self.rooms(request.sid)[1:]

    _, ask, client = join(Anywhere, "/somewhere", register="*")
    assert client.get_received("/somewhere") == [
        {"name": "hello", "args": ["/somewhere"], "namespace": "/somewhere"}
    ]
    assert ask("join") == ["room"]


def test_functions_go_before_methods(join, socketio):
    """A function for the event, or for any event, hides the method."""
    socketio.on("say", namespace="/chat")(lambda: "function")

    class Chat(Namespace):
        def on_say(self):
            return "method"

    assert join(Chat)[1]("say") == "function"


def test_methods_send_in_their_namespace(app, join):
    """`emit` and `send` take the options of the extension's, in upstream's positions and beyond."""

    class Chat(Namespace):
        def on_tell(self):
            self.emit("all", 1)
            self.emit("room", 2, "others", False)
            self.emit("skipped", 3, skip_sid=[request.sid])
            self.emit("to", 4, to=request.sid)
            self.send("text")
            self.send({"a": 1}, json=True)

    _, ask, client = join(Chat)
    ask("tell")
    names = [(event["name"], event["args"]) for event in client.get_received("/chat")]
    assert names == [("all", [1]), ("to", [4]), ("message", "text"), ("json", {"a": 1})]


def test_methods_manage_rooms_and_sessions(join):
    """They act on the server, in their namespace."""

    class Chat(Namespace):
        def on_work(self):
            self.enter_room(request.sid, "room")
            entered = self.rooms(request.sid)[1:]
            self.leave_room(request.sid, "room")
            self.save_session(request.sid, {"a": 1})
            with self.session(request.sid) as session:
                session["b"] = 2
            return [entered, self.rooms(request.sid)[1:], self.get_session(request.sid)]

        def on_close(self):
            self.enter_room(request.sid, "room")
            self.close_room("room")
            return self.rooms(request.sid)[1:]

        def on_leave(self):
            self.disconnect(request.sid)

    instance, ask, client = join(Chat)
    assert ask("work") == [["room"], [], {"a": 1, "b": 2}]
    assert ask("close") == []
    ask("leave")
    assert not client.is_connected("/chat")
    assert instance.server is instance.socketio.server


def test_call_method_waits_for_the_client(join):
    """Its positions are python-socketio's."""

    class Chat(Namespace):
        def on_ask(self):
            return self.call("question", 20, request.sid)

    _, ask, client = join(Chat)
    client.acknowledge["question"] = lambda number: number + 1
    assert ask("ask") == 21


def test_call_method_without_the_queue_asks_nobody_elsewhere(app):
    """It gives up at once where it would else wait for another process."""
    namespace = Namespace("/chat")
    SocketIO(app, message_queue="redis://127.0.0.1:9").on_namespace(namespace)
    with pytest.raises(TimeoutError, match="nobody is there"):
        namespace.call("question", to="a client elsewhere", timeout=0.2, ignore_queue=True)


def test_names_that_clients_choose_are_not_remembered(join):
    """Only events with a method take memory."""

    class Chat(Namespace):
        def on_say(self):
            return 1

    instance, _, _ = join(Chat)
    resolve = instance.resolver()
    assert resolve("x") is resolve("y")
    assert resolve("say") is resolve("say")
    assert resolve("say") is not resolve("x")


def test_namespace_knows_no_server_before_it_is_registered():
    """Its name is "/" by default."""
    namespace = Namespace()
    assert (namespace.namespace, namespace.socketio, namespace.server) == ("/", None, None)
