"""Out of file descriptors: accepting pauses, says so once, and goes on."""

from __future__ import annotations

import itertools
import logging
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import serving

from carboy.front.accepting import Accepting
from carboy.runtime.log import Log

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
COUNT = 60


def descriptors() -> set[int]:
    """Return the files that this process has open."""
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Let this process open only so many files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = descriptors()
    free = (number for number in itertools.count() if number not in taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, more, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def answered(client: socket.socket, seconds: float) -> bool:
    """Tell whether a request is answered in time; the server must not have closed the connection."""
    client.settimeout(seconds)
    with suppress(TimeoutError):
        return client.recv(12) == b"HTTP/1.1 200"
    return False


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_clients_wait_while_there_are_no_descriptors(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """None is turned away, those who are connected are served, and one line says why and what to do."""
    pytest.importorskip(loop)
    clients = [socket.socket() for _ in range(COUNT)]
    with serving.serve(options={"loop": loop}) as site, site.websocket() as present:
        try:
            with few_descriptors(32):
                for client in clients:
                    client.connect(("127.0.0.1", site.address))
                    client.sendall(REQUEST)
                    time.sleep(0.001)
                outcomes = []
                while all(outcomes):
                    outcomes.append(answered(clients[len(outcomes)], 1.0 if len(outcomes) > 5 else 20.0))
                present.send_text('421["echo"]')
                assert present.read_text() == "431[]"
            assert 5 < len(outcomes) < COUNT
            assert all(answered(client, 5.0) for client in clients[len(outcomes) - 1 :])
        finally:
            for client in clients:
                client.close()
    told = [line for line in caplog.messages if "ulimit -n" in line]
    assert len(told) == 1
    assert not [record for record in caplog.records if record.exc_info]


def test_server_stops_while_accepting_is_paused() -> None:
    """Nothing listens any more, and nothing is left open."""
    clients = [socket.socket() for _ in range(COUNT)]
    before = len(descriptors())
    with few_descriptors(32):
        try:
            with serving.serve() as site:
                for client in clients:
                    client.connect(("127.0.0.1", site.address))
                    time.sleep(0.001)
        finally:
            for client in clients:
                client.close()
        assert len(descriptors()) <= before - COUNT + 1


def test_plenty_of_descriptors_pause_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A number below the bound is no reason."""
    accepting = Accepting(Log(logging.getLogger("nobody")))
    accepting.accepted(10)
    accepting.accepted(10_000_000)  # nothing listens
    accepting.end()
    assert caplog.messages == []
