"""Jobs of one connection start in the order of arrival, whatever they are, and waiting ones are counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carboy.runtime.client import Client
from carboy.runtime.handlers import Handler
from carboy.runtime.jobs import complete


def recording(world: Any) -> list[Any]:
    """Registers a plain handler "p" and a coroutine "c" that note the numbers of their events."""
    order: list[Any] = []
    world.on("p")(lambda client, number: order.append(number))

    @world.on("c")
    async def c(client: Client, number: int) -> None:
        order.append(number)
        await asyncio.sleep(0)

    return order


def test_plain_handler_runs_on_a_thread_and_coroutine_on_the_loop(world: Any) -> None:
    """A plain handler may block; a coroutine runs where the loop is."""
    places: dict[str, bool] = {}
    world.on("p")(lambda client: places.update(p=world.hub.is_here))

    @world.on("c")
    async def c(client: Client) -> None:
        places["c"] = world.hub.is_here

    peer = world.peer()
    peer.join()
    peer.emit("p")
    peer.emit("c")
    world.settle()
    assert places == {"p": False, "c": True}


@pytest.mark.parametrize("async_handlers", [True, False])
@pytest.mark.parametrize("kinds", ["pc", "cp", "ppccpp", "cpcpcp", "pccp", "cccppp", "pcpccpcp" * 10])
def test_jobs_of_all_kinds_start_in_the_order_of_arrival(
    make_world: Callable[..., Any], async_handlers: bool, kinds: str
) -> None:
    """Plain handlers and coroutines of one client do not overtake one another."""
    world = make_world(async_handlers=async_handlers)
    order = recording(world)
    peer = world.peer()
    peer.join()
    for number, kind in enumerate(kinds):
        peer.emit(kind, number)
    world.settle()
    assert order == list(range(len(kinds)))
    assert (peer.connection.waiting, peer.connection.queue, peer.connection.beginning) == (0, None, 0)


# The fixture only makes: each example has a world of its own.
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from("pcbt"), max_size=25), async_handlers=st.booleans())
def test_order_and_count_hold_however_events_come(
    make_world: Callable[..., Any], steps: list[str], async_handlers: bool
) -> None:
    """Between events the loop may turn and callbacks may come: nothing is lost, doubled or turned around."""
    world = make_world(async_handlers=async_handlers)
    order = recording(world)
    called: list[int] = []
    peer = world.peer()
    client = peer.join()
    for number, step in enumerate(steps):
        if step == "t":
            world.turn()
        elif step == "b":
            world.server.callbacks.run(client, called.append, [number])
        else:
            peer.emit(step, number)
    world.settle()
    assert order == [number for number, step in enumerate(steps) if step in "pc"]
    assert sorted(called) == [number for number, step in enumerate(steps) if step == "b"]
    assert (peer.connection.waiting, peer.connection.queue, peer.connection.beginning) == (0, None, 0)
    world.close()


@pytest.mark.parametrize("kind", ["p", "c"])
def test_coroutine_waits_for_plain_jobs_to_start_only(world: Any, kind: str) -> None:
    """A blocking handler holds up nobody: what is behind it starts as soon as it has started itself."""
    order = recording(world)
    go = threading.Event()
    world.on("block")(lambda client: go.wait(10))
    peer = world.peer()
    peer.join()
    peer.emit("block")
    world.until(lambda: peer.connection.started == 1)
    peer.emit(kind, 1)
    world.hand_off()
    world.until(lambda: order == [1])
    go.set()


@pytest.mark.parametrize("kind", ["p", "c"])
def test_plain_job_waits_for_coroutines_to_begin_only(world: Any, kind: str) -> None:
    """A coroutine that awaits holds up nobody."""
    order = recording(world)
    gate = world.loop.create_future()

    @world.on("wait")
    async def wait(client: Client) -> None:
        await gate

    peer = world.peer()
    peer.join()
    peer.emit("wait")
    peer.emit(kind, 1)
    world.until(lambda: order == [1])
    gate.set_result(None)


def test_coroutines_of_one_read_begin_in_one_round(world: Any) -> None:
    """They need no round of the loop each, so that their output leaves in one write."""
    world.on("e")(_answer)
    peer = world.peer()
    peer.join()
    peer.wire.writes.clear()
    for number in range(10):
        peer.emit("e", number=number)
    world.settle()
    assert peer.wire.writes == [10]


async def _answer(client: Client) -> str:
    return "x"


@pytest.mark.parametrize("kinds", ["pp", "cc", "pc", "cp"])
def test_one_at_a_time_means_that_each_waits_for_the_end_of_the_one_before(
    make_world: Callable[..., Any], kinds: str
) -> None:
    """With `async_handlers=False` a client's handlers never overlap; other clients do not wait."""
    world = make_world(async_handlers=False)
    order: list[Any] = []
    inside, go = threading.Event(), threading.Event()

    @world.on("p")
    def p(client: Client, number: int) -> None:
        order.append(("begin", number))
        inside.set()
        assert number or go.wait(10)
        order.append(("end", number))

    @world.on("c")
    async def c(client: Client, number: int) -> None:
        order.append(("begin", number))
        inside.set()
        while not number and not go.is_set():  # noqa: ASYNC110 (set by a thread)
            await asyncio.sleep(0)
        order.append(("end", number))

    world.on("other")(lambda client: order.append("other"))
    peer, other = world.peer(), world.peer()
    peer.join()
    other.join()
    for number, kind in enumerate(kinds):
        peer.emit(kind, number)
    world.until(inside.is_set)
    other.emit("other")
    world.hand_off()
    world.until(lambda: "other" in order)
    go.set()
    world.settle()
    order.remove("other")
    assert order == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]


@pytest.mark.parametrize("callback_kind", ["plain", "coroutine"])
@pytest.mark.parametrize("handler_kind", ["plain", "coroutine"])
def test_callback_does_not_wait_behind_a_handler_of_its_client(
    make_world: Callable[..., Any], handler_kind: str, callback_kind: str
) -> None:
    """With `async_handlers=False` a handler may wait for the callback of what it has just emitted."""
    world = make_world(async_handlers=False)
    called = threading.Event()

    def plain(answer: str) -> None:
        called.set()

    async def coroutine(answer: str) -> None:
        called.set()

    callback = plain if callback_kind == "plain" else coroutine

    def ask(client: Client) -> None:
        def answered(client: Client, arguments: list[Any]) -> None:
            world.server.callbacks.run(client, callback, arguments)

        world.server.emit_with_ack("q", [], answered, lambda client, why: None, rooms=[client.sid])

    finished: list[bool] = []

    def handler(client: Client) -> None:
        ask(client)
        finished.append(called.wait(10))

    async def coroutine_handler(client: Client) -> None:
        ask(client)
        while not called.is_set():  # noqa: ASYNC110 (set by a thread)
            await asyncio.sleep(0)
        finished.append(True)

    world.on("e")(handler if handler_kind == "plain" else coroutine_handler)
    peer = world.peer()
    peer.join()
    peer.emit("e")
    world.until(peer.received)
    peer.acknowledge(0, "yes")
    world.hand_off()
    world.until(lambda: finished)
    assert finished == [True]


@pytest.mark.parametrize("kind", ["p", "c"])
def test_events_of_a_client_that_the_server_has_disconnected_are_dropped(
    make_world: Callable[..., Any], kind: str
) -> None:
    """What had not started by then is not run, as in Node; the disconnect handler is."""
    world = make_world(async_handlers=False)
    order = recording(world)
    world.on("disconnect")(lambda client, reason: order.append(reason))
    inside, go = threading.Event(), threading.Event()

    @world.on("kick")
    def kick(client: Client) -> None:
        world.server.disconnect(client.sid)
        inside.set()
        assert go.wait(10)

    peer = world.peer()
    peer.join()
    peer.emit("kick")
    peer.emit(kind, 1)
    peer.emit(kind, 2)
    world.until(inside.is_set)
    world.settle_loop()
    go.set()
    world.settle()
    assert order == ["server disconnect"]
    assert peer.connection.waiting == 0


@pytest.mark.parametrize("kind", ["p", "c"])
def test_events_of_a_client_that_left_by_itself_are_run(world: Any, kind: str) -> None:
    """What a client sent before it left counts, before its disconnect handler."""
    order = recording(world)
    world.on("disconnect")(lambda client, reason: order.append(reason))
    peer = world.peer()
    peer.join()
    peer.emit(kind, 1)
    peer.emit(kind, 2)
    peer.leave()
    world.settle()
    assert order == [1, 2, "client disconnect"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_handler_may_raise_anything(world: Any, kind: str, error: type[BaseException]) -> None:
    """Whatever a handler raises ends that handler alone."""
    done: list[int] = []
    world.on("ok")(lambda client: done.append(1))

    def plain(client: Client) -> None:
        raise error

    async def coroutine(client: Client) -> None:
        raise error

    world.on("e")(plain if kind == "plain" else coroutine)
    peer = world.peer()
    peer.join()
    peer.emit("e")
    peer.emit("ok")
    world.settle()
    assert done == [1]
    assert len(world.warnings()) == 1
    assert peer.connection.waiting == 0


async def double(number: int) -> int:
    """Is a coroutine function."""
    await asyncio.sleep(0)
    return 2 * number


def test_awaitable_is_completed_in_a_plain_thread() -> None:
    """Where no loop runs one is made for it."""
    assert complete(double(4)) == 8


def test_awaitable_is_completed_where_a_loop_runs() -> None:
    """Inside a coroutine, whose loop cannot be entered again, another thread completes it."""

    async def outer() -> int:
        result: int = complete(double(4))
        return result

    assert asyncio.run(outer()) == 8


def test_job_of_an_in_memory_client_runs_in_the_caller_s_thread(world: Any) -> None:
    """Handlers of a test client have run when `start` returns, coroutines too."""
    ran: list[Any] = []

    class Inline:
        inline = True

    async def coroutine(value: int) -> int:
        ran.append(threading.current_thread())
        return await double(value)

    client = Client("sid", "/", Inline(), 10)
    handler = Handler(coroutine, lambda client, event, arguments: coroutine(*arguments))
    results: list[Any] = []
    world.server.jobs.start(
        client,
        handler,
        "e",
        (4,),
        lambda client, token, result, error: results.append((token, result)),
        "token",
    )
    world.server.jobs.start_apart(
        client,
        Handler(len, lambda client, event, arguments: int("x")),
        (),
        lambda client, token, result, error: results.append(type(error)),
    )
    assert results == [("token", 8), ValueError]
    assert ran == [threading.current_thread()]
