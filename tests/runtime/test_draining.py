"""A server ends within a bound: clients are told, handlers finish, and nothing is left."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from carboy.runtime.client import Client
from carboy.runtime.draining import drain


def start(world: Any, timeout: float = 10.0) -> asyncio.Task[bool]:
    """Begins to drain."""
    return world.loop.create_task(drain(world.server, timeout))


def finish(world: Any, task: asyncio.Task[bool]) -> bool:
    """Lets the time go by that draining takes."""

    def advance() -> bool:
        world.advance(0.011)
        return task.done()

    world.until(advance)
    return task.result()


def test_idle_server_ends_at_once(world: Any) -> None:
    """Without clients and handlers there is nothing to wait for."""
    task = start(world)
    world.turn()
    world.turn()
    assert task.result()
    assert not world.hub.threads.active


def test_clients_get_a_clean_close(world: Any) -> None:
    """A websocket is closed with "going away", so that the client comes back; no DISCONNECT is sent."""
    reasons: list[str] = []
    world.on("disconnect")(lambda client, reason: reasons.append(reason))
    peer = world.peer()
    peer.join()
    assert finish(world, start(world))
    assert peer.wire.closed == 1001
    assert peer.received() == []
    assert reasons == ["server disconnect"]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_handlers_under_way_finish(world: Any, kind: str) -> None:
    """Draining waits for events, and for the disconnect handlers that it causes itself."""
    order: list[str] = []
    inside, go = threading.Event(), threading.Event()

    def plain(client: Client) -> None:
        inside.set()
        assert go.wait(10)
        order.append("event")

    async def coroutine(client: Client) -> None:
        inside.set()
        while not go.is_set():  # noqa: ASYNC110 (set by a thread)
            await asyncio.sleep(0)
        order.append("event")

    world.on("e")(plain if kind == "plain" else coroutine)
    world.on("disconnect")(lambda client, reason: order.append("disconnect"))
    peer = world.peer()
    peer.join()
    peer.emit("e")
    world.until(inside.is_set)
    task = start(world)
    for _ in range(5):
        world.advance(0.011)
    assert not task.done()
    go.set()
    assert finish(world, task)
    assert sorted(order) == ["disconnect", "event"]


def test_handlers_that_do_not_finish_are_left_behind(make_world: Any) -> None:
    """After the time draining ends; the log names the option, and jobs that wait are dropped."""
    world = make_world(handler_threads=1)
    inside, go = threading.Event(), threading.Event()
    notes: list[str] = []

    @world.on("e")
    def block(client: Client) -> None:
        inside.set()
        assert go.wait(10)

    peer = world.peer()
    peer.join()
    peer.emit("e")
    world.until(inside.is_set)
    world.on("later")(lambda client: notes.append("later"))
    peer.emit("later")
    task = start(world, timeout=0.5)
    world.turn()
    world.advance(0.4)
    assert not task.done()
    world.advance(0.2)
    world.until(task.done)
    assert task.result() is False
    assert ["shutdown_timeout" in line for line in world.warnings()] == [True]
    go.set()
    world.until(lambda: world.hub.threads.threads == 0)
    assert notes == []


def test_coroutines_that_do_not_finish_are_cancelled(world: Any) -> None:
    """They may clean up; the log tells it in a line, without a traceback."""
    cleaned: list[bool] = []

    @world.on("e")
    async def wait(client: Client) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    peer = world.peer()
    peer.join()
    peer.emit("e")
    world.turn()
    assert finish(world, start(world, timeout=0.05)) is False
    assert cleaned == [True]
    assert world.tracebacks() == []
    assert any("cancelled" in line for line in world.warnings())
    assert not world.hub.tasks


def test_coroutine_that_ignores_its_end_does_not_hold_up_the_server(world: Any) -> None:
    """Cleaning up has a bound as well."""
    gate = world.loop.create_future()

    @world.on("e")
    async def wait(client: Client) -> None:
        while not gate.done():
            try:
                await asyncio.shield(gate)
            except asyncio.CancelledError:  # noqa: PERF203 (twice at most)
                continue

    peer = world.peer()
    peer.join()
    peer.emit("e")
    world.turn()
    task = start(world, timeout=0.0)
    world.turn()
    world.advance(1.1)
    world.until(task.done)
    assert task.result() is False
    gate.set_result(None)
    world.turn()


def test_clients_that_come_meanwhile_are_closed_too(world: Any) -> None:
    """A session that is opened on a connection that was still there does not stay behind."""
    inside, go = threading.Event(), threading.Event()

    @world.on("disconnect")
    def disconnect(client: Client, reason: str) -> None:
        inside.set()
        assert go.wait(10)

    peer = world.peer()
    peer.join()
    task = start(world)
    world.until(inside.is_set)
    late = world.peer()
    world.advance(0.011)
    assert late.wire.closed == 1001
    go.set()
    assert finish(world, task)


def test_nothing_is_left_of_polling_sessions(world: Any) -> None:
    """A client that has not come to hear of the close is forgotten with the server."""
    peer = world.peer("polling")
    peer.join()
    assert finish(world, start(world))
    assert world.server.connections == {}
    assert world.server.lifecycle.leaving == {}
    assert world.hub.timers.next_due() is None
    assert peer.connection.clients == {}
