"""An event runs its handler, and what that returns is the acknowledgement."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from carboy.exceptions import ArgumentsError
from carboy.runtime.client import Client
from carboy.runtime.events import ack_arguments
from carboy.runtime.handlers import Handler
from carboy.socketio.packets import ACK, CONNECT, EVENT
from carboy.transports.memory import MemoryConnection


@pytest.mark.parametrize(
    ("result", "arguments"),
    [
        (None, []),
        ("x", ["x"]),
        (0, [0]),
        ([], [[]]),
        ([1, 2], [[1, 2]]),
        ((), []),
        ((1, 2), [1, 2]),
        ((None,), [None]),
        ({"a": 1}, [{"a": 1}]),
    ],
)
def test_result_becomes_the_arguments_of_the_acknowledgement(result: Any, arguments: list[Any]) -> None:
    """None is no argument, a tuple several, anything else one."""
    assert ack_arguments(result) == arguments


@pytest.mark.parametrize("number", [0, 7])
def test_event_with_an_id_is_acknowledged(world: Any, number: int) -> None:
    """The acknowledgement has the id and the handler's result; the id 0 is one like any other."""
    world.on("e")(lambda client, a, b: (a, b))
    peer = world.peer()
    peer.join()
    peer.emit("e", 1, {"x": 2}, number=number)
    world.settle()
    assert peer.received() == [(ACK, "/", number, [1, {"x": 2}])]


def test_event_without_an_id_is_not_acknowledged(world: Any) -> None:
    """What a handler returns is dropped if nobody asked."""
    world.on("e")(lambda client: "x")
    peer = world.peer()
    peer.join()
    peer.emit("e")
    world.settle()
    assert peer.received() == []


def test_event_that_nobody_answers_is_left_alone(world: Any) -> None:
    """It is neither acknowledged nor held against the client."""
    peer = world.peer()
    peer.join()
    peer.emit("e", number=1)
    world.settle()
    assert peer.received() == []
    assert not peer.connection.session.closed


def test_catch_all_gets_the_name_first(world: Any) -> None:
    """A handler of any event is told which one came."""
    got: list[Any] = []
    world.on("*")(lambda client, *arguments: got.append(arguments))
    world.on("e")(lambda client, *arguments: got.append(("e itself", *arguments)))
    peer = world.peer()
    peer.join()
    peer.emit("e", 1)
    peer.emit("f", 2)
    peer.emit("*", 3)
    world.settle()
    assert got == [("e itself", 1), ("f", 2), ("*", 3)]


def test_acknowledgement_stands_in_the_order_of_what_the_handler_did(world: Any) -> None:
    """What a handler emits reaches the wire before its acknowledgement."""
    world.on("e")(lambda client: world.server.emit("first", rooms=[client.sid]))
    peer = world.peer()
    peer.join()
    peer.emit("e", number=3)
    world.settle()
    assert peer.received() == [(2, "/", None, ["first"]), (ACK, "/", 3, [])]


def test_exception_of_a_handler_is_logged_with_its_traceback(world: Any) -> None:
    """The log names event, namespace and client; the client gets no acknowledgement and goes on."""
    world.on("e")(lambda client: 1 / 0)
    peer = world.peer()
    client = peer.join()
    peer.emit("e", number=1)
    world.settle()
    assert [type(error) for error in world.tracebacks()] == [ZeroDivisionError]
    (line,) = world.warnings()
    assert "'e'" in line
    assert client.sid in line
    assert peer.received() == []


def test_arguments_that_do_not_fit_are_one_line_for_many(world: Any) -> None:
    """A client that sends the wrong arguments writes no tracebacks, and not a line for each event."""

    def misfit(client: Client, event: str, arguments: tuple[Any, ...]) -> None:
        raise ArgumentsError("e() takes 1 argument")

    world.server.handlers.register("/", "e", Handler(lambda: None, misfit))
    peer = world.peer()
    peer.join()
    for _ in range(5):
        peer.emit("e", number=1)
    world.settle()
    assert world.tracebacks() == []
    assert ["takes 1 argument" in line for line in world.warnings()] == [True]


class Picky:
    """JSON that cannot write what it does not like, and says so in its own way."""

    @staticmethod
    def dumps(value: Any, **kwargs: Any) -> str:
        """Writes JSON, or refuses."""
        if "dislike" in str(value):
            raise KeyError(value)
        return json.dumps(value, **kwargs)

    loads = staticmethod(json.loads)


@pytest.mark.parametrize(("options", "result"), [({}, object()), ({"json": Picky}, "dislike")])
def test_result_that_cannot_be_encoded_is_the_handler_s_fault(
    make_world: Callable[..., Any], options: dict[str, Any], result: Any
) -> None:
    """It is logged like an exception of the handler, and the server goes on."""
    world = make_world(**options)
    world.on("e")(lambda client: result)
    peer = world.peer()
    peer.join()
    peer.connection.receive_text(b'421["e"]')
    world.settle()
    assert len(world.tracebacks()) == 1
    assert "'e'" in world.warnings()[0]
    assert not peer.connection.session.closed


def test_in_memory_client_gets_results_and_exceptions_at_once(world: Any) -> None:
    """The acknowledgement has arrived when the event was sent, and an exception is raised in the test."""
    world.on("e")(lambda client, number: 1 / number)
    memory = MemoryConnection(world.server, {})
    memory.submit(CONNECT, "/", None, None)
    memory.submit(EVENT, "/", 1, ["e", 2])
    assert memory.transport.received[-1] == (ACK, "/", 1, [0.5])
    with pytest.raises(ZeroDivisionError):
        memory.submit(EVENT, "/", 2, ["e", 0])
    assert world.warnings() == []
    memory.hang_up()


def test_acknowledgement_reaches_what_waits_for_it(world: Any) -> None:
    """The client's arguments get to whoever asked; one that nobody asked for is ignored."""
    answers: list[Any] = []
    peer = world.peer()
    client = peer.join()
    world.server.emit_with_ack(
        "q", [], lambda client, arguments: answers.append(arguments), lambda *a: None, rooms=[client.sid]
    )
    world.settle()
    peer.acknowledge(99, "stray")
    peer.acknowledge(0, "yes", b"binary")
    peer.acknowledge(0, "again")
    assert answers == [["yes", b"binary"]]
