"""The hub in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import serving

from carboy.exceptions import BlockingCallError, RequestError
from carboy.front import background
from carboy.front.background import BackgroundHub
from carboy.runtime.draining import drain
from carboy.runtime.server import Server


@pytest.fixture
def server() -> Server:
    """A server."""
    return serving.make_server()


@pytest.fixture
def hub(server: Server) -> Iterator[BackgroundHub]:
    """Its hub."""
    hub = BackgroundHub(server, lambda: _finish(server), 1)
    yield hub
    hub.stop()


async def _finish(server: Server) -> None:
    await drain(server, 1)


async def _thread() -> str:
    return threading.current_thread().name


def test_nothing_runs_before_the_first_use(server: Server, hub: BackgroundHub) -> None:
    """A process that is going to fork must have no thread."""
    assert not server.hub.running
    assert hub.run(_thread()) == "carboy-hub"
    assert server.hub.running


def hubs() -> int:
    """Return how many hubs run in threads of this process."""
    return [thread.name for thread in threading.enumerate()].count("carboy-hub")


def test_many_threads_start_one_hub(hub: BackgroundHub) -> None:
    """Whoever comes first starts it."""
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(hub.run(_thread()))) for _ in range(8)]
    before = hubs()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["carboy-hub"] * 8
    assert hubs() == before + 1


def test_stop_is_final_and_leaves_nobody_waiting(server: Server, hub: BackgroundHub) -> None:
    """What waits for the hub is told, and what comes later too."""
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            hub.run(asyncio.sleep(60))
        except RequestError as error:
            errors.append(error)

    hub.start()
    thread = threading.Thread(target=wait)
    thread.start()
    hub.run(asyncio.sleep(0.05))
    hub.stop()
    thread.join(5)
    assert not thread.is_alive()
    with pytest.raises(RequestError, match="stopping") as late:
        hub.run(_thread())
    assert [error.status for error in (*errors, late.value)] == [503, 503]
    assert not server.hub.running
    hub.stop()


def test_end_that_takes_too_long_is_cut_off(server: Server) -> None:
    """The loop is stopped all the same, and the process goes on to end."""
    hub = BackgroundHub(server, lambda: asyncio.sleep(60), 0.05 - background.GRACE)
    hub.start()
    hub.stop()
    assert not server.hub.running


def test_hub_cannot_wait_for_itself(hub: BackgroundHub) -> None:
    """That would wait for ever."""

    async def ask() -> None:
        hub.run(_thread())

    with pytest.raises(BlockingCallError):
        hub.run(ask())


def in_child(function: Callable[[], bool]) -> int:
    """Run a function in a forked process, and return its exit status: 0 if it returned True."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # a hang is the failure that is looked for
        status = 1
        try:
            status = 0 if function() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads is what this is about
def test_child_of_a_process_that_serves_begins_anew_and_says_so(server: Server, hub: BackgroundHub) -> None:
    """It has neither the clients nor the thread of its parent, which goes on."""
    hub.run(_open(server))
    parent = os.getpid()
    told: list[str] = []
    server.log.warning = lambda message, *args: told.append(message % args)  # type: ignore[method-assign]

    def begin() -> bool:
        server.emit("news", [1])
        return (
            not server.connections
            and hub.run(_thread()) == "carboy-hub"
            and len(told) == 1
            and f"forked from one that serves Socket.IO (process {parent})" in told[0]
        )

    assert in_child(begin) == 0
    assert told == []
    assert hub.run(_thread()) == "carboy-hub"
    assert len(server.connections) == 1


async def _open(server: Server) -> None:
    server.open_session({}, "polling")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lock_that_a_thread_of_the_parent_holds_does_not_hang_the_child(hub: BackgroundHub) -> None:
    """At the moment of a fork another thread may be about to start the hub."""
    with hub._lock:
        assert in_child(lambda: hub.run(_thread()) == "carboy-hub") == 0
