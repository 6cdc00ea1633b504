"""A client that is faster than its handlers is not read, and nothing counts against it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from carboy.engineio.session import Session
from carboy.engineio.states import SessionInput
from carboy.runtime.client import Client


def paused_world(make_world: Callable[..., Any], **options: Any) -> Any:
    """Makes a world with a bound of four, whose handler of "wait" waits for the gate."""
    world = make_world(max_queued_events=4, handler_threads=1, **options)
    world.gate = threading.Semaphore(0)
    world.done = []

    @world.on("wait")
    def wait(client: Client, number: int) -> None:
        assert world.gate.acquire(timeout=10)
        world.done.append(number)

    return world


def paused_client(make_world: Callable[..., Any]) -> tuple[Any, Any]:
    """Makes such a world with a client that is not read: one of its events is handled, and four wait."""
    world = paused_world(make_world)
    peer = world.peer()
    peer.join()
    for number in range(5):
        peer.emit("wait", number)
    world.until(lambda: peer.connection.started == 1)
    assert not peer.wire.reading
    return world, peer


def test_client_that_is_too_fast_is_not_read(make_world: Callable[..., Any]) -> None:
    """At the bound reading stops; at half of it it goes on; nothing is lost and the order stays."""
    world = paused_world(make_world)
    peer = world.peer()
    peer.join()
    peer.emit("wait", 0)
    world.until(lambda: peer.connection.started == 1)
    for number in range(1, 4):
        peer.emit("wait", number)
    assert peer.wire.reading
    peer.emit("wait", 4)
    assert not peer.wire.reading
    assert "max_queued_events" in world.warnings()[0]
    world.gate.release()
    world.until(lambda: world.done == [0])
    world.settle_loop()
    assert not peer.wire.reading
    world.gate.release()
    world.until(lambda: peer.wire.reading)
    assert peer.connection.waiting == 2
    world.gate.release(3)
    world.settle()
    assert world.done == [0, 1, 2, 3, 4]
    assert peer.connection.waiting == 0


def test_bound_of_one_pauses_and_resumes_for_each_event(make_world: Callable[..., Any]) -> None:
    """A thread may take the job before it can see the pause: the client is read again all the same."""
    world = make_world(max_queued_events=1)
    done: list[int] = []
    world.on("e")(lambda client, number: done.append(number))
    peer = world.peer()
    peer.join()
    for number in range(300):
        peer.emit("e", number)
        world.until(lambda: peer.wire.reading)
    world.settle()
    assert done == list(range(300))


class LateSession(Session):
    """A session that lets threads go on between two steps of the loop."""

    __slots__ = ()
    wait: Callable[[], None]

    @property
    def closed(self) -> bool:
        """Waits, and tells the truth."""
        self.wait()
        return super().closed


def test_pause_that_comes_too_late_is_taken_back(make_world: Callable[..., Any]) -> None:
    """Threads that take all that waits before they can see the pause ask for nothing: the loop looks."""
    world = make_world(max_queued_events=2, handler_threads=1)
    inside, go = threading.Event(), threading.Event()
    world.on("block")(lambda client: (inside.set(), go.wait(10)))
    world.on("e")(lambda client: None)
    other, peer = world.peer(), world.peer()
    other.join()
    peer.join()
    other.emit("block")
    world.until(inside.is_set)
    peer.emit("e")
    world.turn()

    def wait() -> None:
        go.set()
        while peer.connection.started != peer.connection.submitted - 1:  # but the one of this round
            pass

    LateSession.wait = staticmethod(wait)
    peer.connection.session.__class__ = LateSession
    peer.emit("e")
    peer.connection.session.__class__ = Session  # what the end of the test asks it must not wait
    assert (peer.wire.reading, peer.connection.paused) == (True, False)
    assert any("max_queued_events" in line for line in world.warnings())


@pytest.mark.parametrize("async_handlers", [True, False])
def test_coroutines_hold_back_their_client_as_well(
    make_world: Callable[..., Any], async_handlers: bool
) -> None:
    """Coroutines under way, and those that wait for their turn, count until they have ended."""
    world = make_world(max_queued_events=4, async_handlers=async_handlers)
    gates: list[Any] = []

    @world.on("wait")
    async def wait(client: Client) -> None:
        gates.append(world.loop.create_future())
        await gates[-1]

    peer = world.peer()
    peer.join()
    for _ in range(4):
        peer.emit("wait")
        world.settle_loop()
    assert not peer.wire.reading
    for number in range(4):
        world.until(lambda number=number: len(gates) > number)
        gates[number].set_result(None)
        world.settle_loop()
        assert peer.wire.reading == (number >= 1)
    assert peer.connection.waiting == 0


def test_timeout_stands_still_while_a_client_is_not_read(make_world: Callable[..., Any]) -> None:
    """A client whose pong is not read is pinged, and not given up; afterwards its time goes on."""
    world, peer = paused_client(make_world)
    world.advance(26)
    world.advance(26)
    world.advance(26)
    assert peer.wire.packets.count(b"2") == 3
    assert not peer.connection.session.closed
    world.gate.release(5)
    world.until(lambda: peer.wire.reading)
    world.settle()
    world.advance(19.9)
    assert not peer.connection.session.closed
    world.advance(0.2)
    assert peer.connection.session.closed


def test_ping_of_a_paused_client_is_not_late(make_world: Callable[..., Any]) -> None:
    """The pause may move the next deadline forward, which the timer wheel is told."""
    world = paused_world(make_world, ping_interval=5, ping_timeout=60)
    peer = world.peer()
    peer.join()
    world.advance(5.1)
    for number in range(5):
        peer.emit("wait", number)
    world.advance(5.1)
    assert peer.wire.packets.count(b"2") == 2
    world.gate.release(5)
    world.settle()


@pytest.mark.parametrize("async_handlers", [True, False])
def test_handler_that_waits_for_its_client_gets_the_answer_past_the_bound(
    make_world: Callable[..., Any], async_handlers: bool
) -> None:
    """A client that is held back while a handler calls it is read again, up to twice the bound."""
    world = make_world(max_queued_events=4, handler_threads=1, async_handlers=async_handlers)
    begun, go = threading.Event(), threading.Event()
    answers: list[Any] = []

    @world.on("ask")
    def ask(client: Client) -> None:
        begun.set()
        assert go.wait(10)
        answers.append(world.server.call("question", rooms=[client.sid], timeout=10))

    world.on("e")(lambda client: None)
    peer = world.peer()
    peer.join()
    peer.emit("ask")
    world.until(begun.is_set)
    for _ in range(4):
        peer.emit("e")
    assert not peer.wire.reading
    go.set()
    world.until(lambda: peer.wire.reading)
    for _ in range(3):
        peer.emit("e")
    assert peer.wire.reading
    peer.emit("e")
    assert not peer.wire.reading
    peer.acknowledge(0, "yes")  # it stood before the last event, say
    world.settle()
    assert answers == [["yes"]]
    assert peer.wire.reading
    assert peer.connection.waiting == 0


def test_bound_is_the_single_one_again_when_nobody_waits_for_the_client(
    make_world: Callable[..., Any],
) -> None:
    """Paused at the doubled bound, a client is read again at half of the single one once its call is over."""
    world = paused_world(make_world)
    peer = world.peer()
    client = peer.join()
    lost: list[Any] = []
    world.server.emit_with_ack(
        "q", [], lambda *a: None, lambda *a: lost.append(a), rooms=[client.sid], timeout=5
    )
    world.settle_loop()
    for number in range(9):
        peer.emit("wait", number)
    world.until(lambda: peer.connection.started == 1)
    assert (peer.connection.waiting, peer.wire.reading) == (8, False)
    world.advance(5.1)
    assert len(lost) == 1
    for waiting in (7, 6, 5, 4, 3):
        world.gate.release()
        world.until(lambda waiting=waiting: peer.connection.waiting == waiting)
        world.settle_loop()
        assert not peer.wire.reading
    world.gate.release()
    world.until(lambda: peer.wire.reading)
    world.gate.release(8)
    world.settle()
    assert world.done == list(range(9))


def test_paused_client_that_is_gone_is_not_read_again(make_world: Callable[..., Any]) -> None:
    """Its events that wait are run, and then nothing is left; only the answer to the close is read."""
    world, peer = paused_client(make_world)
    peer.connection.close(SessionInput.SERVER_CLOSED, 1000)
    assert peer.wire.reading
    assert peer.wire.closed == 1000
    world.gate.release(5)
    world.settle()
    assert world.done == [0, 1, 2, 3, 4]
