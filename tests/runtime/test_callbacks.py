"""Functions for acknowledgements run like handlers, also for clients elsewhere and where no server runs."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import pytest
from brokers_in_memory import until

from carboy.config import Config
from carboy.runtime.server import Server


@pytest.fixture
def server(logger: logging.Logger) -> Server:
    """A server that does not run, as in a script."""
    return Server(Config.from_options({"logger": logger}))


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize("here", [True, False])
def test_callback_runs_while_the_server_does(world: Any, kind: str, here: bool) -> None:
    """A plain one on a handler thread, a coroutine on the loop, for clients of any process."""
    got: list[Any] = []

    def plain(*arguments: Any) -> None:
        got.append((arguments, threading.get_ident() == world.hub._thread))

    async def coroutine(*arguments: Any) -> None:
        plain(*arguments)

    client = world.peer().join() if here else None
    world.server.callbacks.run(client, plain if kind == "plain" else coroutine, [1, 2])
    world.until(lambda: got)
    assert got == [((1, 2), kind == "coroutine")]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_callback_runs_where_no_server_does(server: Server, kind: str) -> None:
    """On a thread of its own, never in that of the bus."""
    got: list[Any] = []

    def plain(*arguments: Any) -> None:
        got.append((arguments, threading.current_thread().name.startswith("carboy-callback")))

    async def coroutine(*arguments: Any) -> None:
        plain(*arguments)

    server.callbacks.run(None, plain if kind == "plain" else coroutine, [1])
    until(lambda: got)
    assert got[0][0] == (1,)
    assert got[0][1] is True


def test_exception_of_a_callback_is_told(server: Server, world: Any, lines: Any) -> None:
    """With its traceback, whoever it was for."""

    def fail() -> None:
        raise ZeroDivisionError

    async def fail_later() -> None:
        raise ZeroDivisionError

    server.callbacks.run(None, fail, [])
    server.callbacks.run(None, fail_later, [])
    until(lambda: len(lines) == 2)
    world.server.callbacks.run(None, fail, [])
    world.server.callbacks.run(None, fail_later, [])
    world.until(lambda: len(world.tracebacks()) == 2)
    assert "client of another process" in world.warnings()[0]


def test_answer_that_comes_while_the_process_ends_is_dropped(server: Server, lines: Any) -> None:
    """Nothing runs any more, and nothing is said."""
    server.callbacks.run(None, lambda: None, [])
    server.callbacks._threads().shutdown()
    server.callbacks.run(None, lambda: lines.append("ran"), [])
    assert lines == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_child_has_threads_of_its_own(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its parent do not run in it."""
    mine = server.callbacks._threads()
    assert server.callbacks._threads() is mine
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert server.callbacks._threads() is not mine
