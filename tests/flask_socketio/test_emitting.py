"""`emit`, `send` and `call` of the extension: recipients, callbacks, losses."""

from __future__ import annotations

import asyncio
import threading

import pytest
from flask import Flask, request

from carboy.exceptions import NotServingError
from flask_socketio import SocketIO, emit, join_room


@pytest.fixture
def clients(app, socketio):
    """Three clients, of which the first two are in a room."""
    socketio.on("join")(join_room)
    found = [socketio.test_client(app) for _ in range(3)]
    for client in found[:2]:
        client.emit("join", "room")
    return found


def sid_of(client, namespace="/"):
    """Return the sid of a test client."""
    return client.socketio.server.manager.sid_from_eio_sid(client.eio_sid, namespace)


def counts(clients):
    """Return how many events each client received."""
    return [len(client.get_received()) for client in clients]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 1, 1]),
        ({"to": None}, [1, 1, 1]),
        ({"to": "room"}, [1, 1, 0]),
        ({"room": "room"}, [1, 1, 0]),
        ({"to": ["room", "room"]}, [1, 1, 0]),
        ({"to": {"room", "nobody"}}, [1, 1, 0]),
        ({"to": "nobody"}, [0, 0, 0]),
        ({"to": 0}, [0, 0, 0]),
        ({"to": ""}, [0, 0, 0]),
        ({"to": []}, [0, 0, 0]),
        ({"to": ("room",), "namespace": None}, [1, 1, 0]),
        ({"namespace": "/other"}, [0, 0, 0]),
        ({"ignore_queue": True, "volatile": True}, [1, 1, 1]),
    ],
)
def test_emit_reaches_whom_its_options_name(socketio, clients, options, expected):
    """Only the absence of a target means everybody, and a client in two of the rooms gets it once."""
    socketio.emit("event", **options)
    assert counts(clients) == expected


@pytest.mark.parametrize("collection", [list, tuple, set, lambda sids: sids[0]])
def test_skip_sid_leaves_clients_out(socketio, clients, collection):
    """One sid, or any collection of them."""
    socketio.emit("event", skip_sid=collection([sid_of(clients[0])]))
    assert counts(clients) == [0, 1, 1]


def test_data_arrive_as_they_left(socketio, client):
    """The payload is encoded at once, so that a later change does not show."""
    data = {"a": [b"bytes", 1]}
    socketio.emit("event", data)
    data["a"].append(2)
    socketio.emit("named", data=data)
    assert [event["args"] for event in client.get_received()] == [
        [{"a": [b"bytes", 1]}],
        [{"a": [b"bytes", 1, 2]}],
    ]


@pytest.mark.parametrize("options", [{"broadcast": True}, {"timeout": 1}])
def test_options_without_meaning_are_type_errors(socketio, options):
    """As is `broadcast`, which the method does by itself."""
    with pytest.raises(TypeError):
        socketio.emit("event", 1, **options)


def test_empty_target_is_told_in_the_log(socketio, client, caplog):
    """The line names the event and the option."""
    socketio.emit("news", to="")
    assert "emit('news', to='') reaches nobody" in caplog.text
    assert "legacy_falsy_to" in caplog.text


def test_empty_target_of_a_call_is_told_without_advice_that_raises(socketio, caplog):
    """A call cannot ask everybody, by whatever name."""
    with pytest.raises(TimeoutError):
        socketio.call("ask", to="")
    assert "call('ask', to='') reaches nobody: `to` must name the client that is to answer" in caplog.text
    asyncio.run(ask_nobody(SocketIO(Flask("another"))))
    assert "call_async('ask', to=[]) reaches nobody" in caplog.text
    assert "emit" not in caplog.text
    assert "legacy_falsy_to" not in caplog.text


async def ask_nobody(socketio):
    """Await the answer of an empty list of clients."""
    with pytest.raises(TimeoutError):
        await socketio.call_async("ask", to=[])


def test_second_data_argument_is_told_by_the_name_of_what_was_called(socketio):
    """With the form that works."""
    with pytest.raises(TypeError, match=r"^emit\(\) .*: emit\(event, \(a, b\)\)"):
        socketio.emit("event", 1, 2)
    with pytest.raises(TypeError, match=r"^call\(\) .*: call\(event, \(a, b\)\)"):
        socketio.call("event", 1, 2, to="room")
    with pytest.raises(TypeError, match=r"^call_async\(\) .*: call_async\(event, \(a, b\)\)"):
        asyncio.run(socketio.call_async("event", 1, 2, to="room"))


@pytest.mark.parametrize("to", ["", [], 0])
def test_legacy_option_sends_to_everybody(app, to):
    """`legacy_falsy_to` restores what Flask-SocketIO does."""
    socketio = SocketIO(app, legacy_falsy_to=True)
    client = socketio.test_client(app)
    socketio.emit("event", to=to)
    assert counts([client]) == [1]


def test_include_self_leaves_out_whose_event_is_handled(app, socketio, clients):
    """Together with those in skip_sid."""
    skip = sid_of(clients[1])
    socketio.on("tell")(lambda: socketio.emit("told", include_self=False, skip_sid=skip))
    clients[0].emit("tell")
    assert counts(clients) == [0, 0, 1]


def test_include_self_outside_of_an_event_is_told_whom_to_leave_out(socketio, clients):
    """Which is enough, as for Flask-SocketIO."""
    socketio.emit("told", include_self=False, skip_sid=sid_of(clients[1]))
    assert counts(clients) == [1, 0, 1]


def test_include_self_outside_of_an_event_explains_itself(socketio):
    """There is nobody to leave out."""
    with pytest.raises(RuntimeError, match="skip_sid="):
        socketio.emit("event", include_self=False)


@pytest.mark.parametrize(("json", "name"), [(False, "message"), (True, "json")])
def test_send_emits_message_or_json(socketio, client, json, name):
    """The two names that clients have shortcuts for."""
    socketio.send({"a": 1}, json=json)
    assert client.get_received() == [{"name": name, "args": {"a": 1}, "namespace": "/"}]


def test_send_goes_through_emit(app):
    """A subclass that overrides `emit` sees messages too."""
    seen = []

    class Watching(SocketIO):
        def emit(self, event, *args, **kwargs):
            seen.append((event, args))

    Watching(app).send("text")
    assert seen == [("message", ("text",))]


def test_callback_of_an_event_runs_in_the_contexts_of_its_originator(app, socketio):
    """Whoever answers, the request is that of the client whose handler emitted."""
    seen = []
    answering = socketio.test_client(app, acknowledge={"question": lambda text: (text, "answer")})
    asking = socketio.test_client(app)

    @socketio.on("ask")
    def ask():
        def answered(*args):
            seen.append([args, request.sid, dict(request.event)])
            emit("done")

        emit("question", "text", to=sid_of(answering), callback=answered)

    asking.emit("ask")
    answer = ("text", "answer")
    assert seen == [[answer, sid_of(asking), {"message": None, "args": answer}]]
    assert [event["name"] for event in asking.get_received()] == ["done"]


def test_callback_outside_of_an_event_is_called_bare(app, socketio):
    """Once for each client that answers."""
    seen = []
    for number in range(2):
        socketio.test_client(app, acknowledge={"question": lambda number=number: number})
    socketio.emit("question", callback=seen.append)
    assert seen == [0, 1]


def test_callback_may_be_a_coroutine_function(app, socketio):
    """In an event and outside of one."""
    seen = []
    client = socketio.test_client(app, acknowledge={"question": lambda: 1})

    async def answered(value):
        await asyncio.sleep(0)
        seen.append(value)

    socketio.on("ask")(lambda: emit("question", callback=answered))
    client.emit("ask")
    socketio.emit("question", callback=answered)
    assert seen == [1, 1]


def test_exception_in_a_callback_reaches_the_error_handler(app, socketio):
    """It is the one of the originator's namespace, and sees an event without a name."""
    seen = []
    client = socketio.test_client(app, acknowledge={"question": lambda: 0})
    socketio.on("ask")(lambda: emit("question", callback=lambda value: 1 / value))
    socketio.on_error()(lambda error: seen.append((type(error), request.event["message"])))
    client.emit("ask")
    assert seen == [(ZeroDivisionError, None)]


def test_exception_in_a_bare_callback_reaches_the_test(app, socketio):
    """Where nobody handles it."""
    socketio.test_client(app, acknowledge={"question": lambda: 0})
    with pytest.raises(ZeroDivisionError):
        socketio.emit("question", callback=lambda value: 1 / value)


def test_lost_acknowledgement_is_told_in_the_log(app, socketio, client, caplog):
    """The line names the event, the client and the reason."""
    socketio.emit("question", callback=print)
    assert f"No acknowledgement of the event 'question' from the client {sid_of(client)}" in caplog.text


def test_timed_out_acknowledgement_says_what_the_client_must_do(socketio, client, caplog):
    """Its handler has to call the function that it is handed last."""
    from carboy.runtime.acks import TIMED_OUT

    del client.acknowledge
    runtime = socketio.runtime
    connected = runtime.client(sid_of(client))
    client._answer = lambda *args: None  # a client that stays silent
    socketio.emit("question", callback=print, timeout=5)
    (ack,) = connected.acks.values()
    ack.expire(0.0)
    assert f"'question' from the client {connected.sid}: {TIMED_OUT}" in caplog.text
    assert "must call the function that it is handed as its last argument" in caplog.text


@pytest.mark.parametrize(("answer", "value"), [(None, None), (1, 1), ((1, 2), (1, 2)), ([1], [1])])
def test_call_returns_the_answer(app, socketio, answer, value):
    """None, a value, or a tuple."""
    client = socketio.test_client(app, acknowledge={"question": lambda *args: answer})
    assert socketio.call("question", 1, to=sid_of(client)) == value
    assert asyncio.run(socketio.call_async("question", to=sid_of(client))) == value


def test_call_works_inside_a_handler(app, socketio):
    """Upstream's test client cannot do that."""
    client = socketio.test_client(app, acknowledge={"question": lambda number: number + 1})
    socketio.on("ask")(lambda: socketio.call("question", 1, to=request.sid))
    assert client.emit("ask", callback=True) == 2


def test_call_needs_a_recipient(socketio):
    """It cannot wait for everybody."""
    with pytest.raises(ValueError, match=r"Cannot use call\(\) to broadcast\."):
        socketio.call("question")
    with pytest.raises(ValueError, match=r"Cannot use call_async\(\) to broadcast\."):
        asyncio.run(socketio.call_async("question"))


def test_call_to_nobody_gives_up_at_once(socketio, client):
    """With a TimeoutError of both kinds, long before the time is up."""
    with pytest.raises(TimeoutError, match="nobody is there"):
        socketio.call("question", to="nobody", timeout=30)
    with pytest.raises(TimeoutError, match="acknowledge="):
        socketio.call("question", to=sid_of(client), timeout=30)


def test_emit_works_from_a_thread(socketio, client):
    """Without any context."""
    thread = threading.Thread(target=socketio.emit, args=("event", 1))
    thread.start()
    thread.join()
    assert counts([client]) == [1]


def test_close_room_empties_it(socketio, clients):
    """In "/" by default."""
    socketio.close_room("room")
    socketio.emit("event", to="room")
    assert counts(clients) == [0, 0, 0]


def test_extension_without_a_server_says_so():
    """What it emitted could reach nobody."""
    with pytest.raises(NotServingError, match="init_app"):
        SocketIO().emit("event")
