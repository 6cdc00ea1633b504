"""Whatever handlers do, the server answers others, its threads live, and its memory is flat."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serving
from attacked import Target
from raw import TEXT, Client, frame

MakeTarget = Callable[..., Target]


def recurse(client: Any, depth: int = 0) -> int:
    """Never return."""
    return recurse(client, depth + 1) + 1


def fail(client: Any) -> None:
    """Raise what applications raise."""
    raise ZeroDivisionError


def leave(client: Any) -> None:
    """Want the process to end."""
    sys.exit(3)


def interrupt(client: Any) -> None:
    """Raise what Ctrl+C raises."""
    raise KeyboardInterrupt


def close_generator(client: Any) -> None:
    """Raise what ends generators."""
    raise GeneratorExit


def answer_nonsense(client: Any) -> Any:
    """Return what cannot be encoded."""
    return object()


def answer_itself(client: Any) -> Any:
    """Return what contains itself."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


async def leave_coroutine(client: Any) -> None:
    """Want the process to end, on the loop."""
    await asyncio.sleep(0)
    sys.exit(3)


async def interrupt_coroutine(client: Any) -> None:
    """Raise on the loop what Ctrl+C raises."""
    raise KeyboardInterrupt


async def cancel_coroutine(client: Any) -> None:
    """Cancel the task that the server runs it in."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


MISDEEDS = {
    function.__name__: function
    for function in (
        *(recurse, fail, leave, interrupt, close_generator, answer_nonsense, answer_itself),
        *(leave_coroutine, interrupt_coroutine, cancel_coroutine),
    )
}


@pytest.fixture(scope="module")
def wild(make_target: MakeTarget) -> Target:
    """A server whose handlers misbehave."""

    def prepare(server: Any) -> None:
        for name, function in MISDEEDS.items():
            serving.on(server, name, function)

    return make_target(prepare)


@pytest.fixture
def other(wild: Target) -> Iterator[Client]:
    """Another client, which is served at once."""
    wild.begin()
    with wild.site.websocket() as client:
        yield client
        client.send_text('421["echo",1]')
        assert client.read_text() == "431[1]"
    wild.wait_for_nothing()
    assert wild.site.thread.is_alive()


@pytest.mark.parametrize("name", MISDEEDS)
def test_handler_that_fails_costs_its_event_alone(wild: Target, other: Client, name: str) -> None:
    """No acknowledgement, one line of the application's; the client goes on, and so do the threads."""
    with wild.site.websocket() as client:
        for _ in range(3):
            client.send_text(f'427["{name}"]')
        client.send_text('428["echo"]')
        assert client.read_text() == "438[]"
        deadline = time.monotonic() + 5
        while len(wild.lines.records) < 3:  # a coroutine may end behind the echo
            assert time.monotonic() < deadline
            time.sleep(0.002)
    assert len(wild.lines.records) == 3
    assert all(name in text for text in wild.lines.texts)


def test_handlers_that_block_for_ever_hold_up_only_as_many_threads(make_target: MakeTarget) -> None:
    """Others are served as long as a thread is left, and then HTTP, heartbeats and handshakes still are."""
    go_on = threading.Event()
    target = make_target(
        lambda server: serving.on(server, "block", lambda client: go_on.wait(10)),
        handler_threads=4,
        ping_interval=0.1,
        ping_timeout=5,
    )
    with target.site.websocket() as blocker, target.site.websocket() as other:
        blocker.send(frame(TEXT, b'42["block"]') * 3)
        other.send_text('421["echo"]')
        while (answer := other.read_text()) == "2":
            pass
        assert answer == "431[]"
        blocker.send(frame(TEXT, b'42["block"]'))
        target.wait_until(lambda: target.server.hub.threads.threads == 4, "all threads are inside")
        assert blocker.read_text() == "2"
        with target.site.client() as client:
            assert client.request("GET", "/").status == 200
            assert client.request("GET", serving.POLLING).status == 200
        go_on.set()
        other.send_text('422["echo"]')
        while (answer := other.read_text()) == "2":
            pass
        assert answer == "432[]"
    target.end_polling()
    target.wait_for_nothing()


def test_disconnect_handler_that_emits_and_disconnects_ends_all_the_same(make_target: MakeTarget) -> None:
    """To itself, to its rooms and to all; nothing comes back to life."""

    def disconnected(client: Any, reason: str) -> None:
        server = client.connection._owner
        server.emit("gone", [reason])
        server.emit("gone", [reason], rooms=[client.sid])
        server.enter_room(client.sid, "late")
        server.disconnect(client.sid)
        server.emit_with_ack("gone", [], lambda *_: None, lambda *_: None, rooms=[client.sid])
        raise ZeroDivisionError

    target = make_target()
    serving.on(target.server, "disconnect", disconnected)
    with target.site.websocket() as other:
        with target.site.websocket():
            pass
        assert other.read_text() == '42["gone","transport close"]'
    target.wait_for_nothing()
    assert len(target.lines.tracebacks) == 2


def test_thread_that_a_handler_leaves_behind_harms_nobody(make_target: MakeTarget) -> None:
    """It may emit to a client that has gone."""
    started: list[threading.Thread] = []

    def start(client: Any) -> None:
        def emit() -> None:
            for number in range(100):
                client.connection._owner.emit("late", [number], rooms=[client.sid])

        started.append(threading.Thread(target=emit))
        started[-1].start()

    target = make_target(lambda server: serving.on(server, "start", start))
    with target.site.websocket() as client:
        client.send_text('421["start"]')
        while client.read_text() != "431[]":
            pass
    started[0].join(5)
    target.wait_for_nothing()
    assert target.lines.texts == []


def flood(client: Client, count: int) -> None:
    """Send many events, and read what comes of the last."""
    client.send(frame(TEXT, b'42["tell","%b"]' % (b"x" * 200)) * count)
    client.send_text('421["echo"]')
    assert client.read_text() == "431[]"


def test_flooding_client_leaves_memory_flat(make_target: MakeTarget) -> None:
    """A hundred thousand events of one client, each with its handler, while another is served."""
    target = make_target()
    serving.on(target.server, "tell", lambda client, text: None)
    with target.site.websocket() as client, target.site.websocket() as other:
        flood(client, 10_000)
        gc.collect()
        objects, memory = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(4):
            flood(client, 10_000)
            other.send_text('421["echo"]')
            assert other.read_text() == "431[]"
        gc.collect()
        assert len(gc.get_objects()) - objects < 2_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 20_000  # KiB
        assert target.server.hub.threads.threads < 20
    target.wait_for_nothing()
