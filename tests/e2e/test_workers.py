"""What a process of a WSGI server holds for many clients, and how they get through its end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import crowd
import pytest
import servers
from test_front_ends import TROUBLE, environment

GTHREAD = "-m gunicorn -k gthread --threads 4 -b 127.0.0.1:{port} app:app"
SYNC = "-m gunicorn -b 127.0.0.1:{port} app:app"
FLASK_RUN = "-m flask --app app run --port {port}"
CLIENTS = 200
SWITCHED = re.compile(r'HTTP/1\.1(?:\x1b\[0m)?" 101')
"""What a line says of a request that became a websocket; Werkzeug's may be in colours."""

MANY = 500


@contextmanager
def serving(command: str, **extra: str) -> Iterator[servers.Server]:
    """Serve the application for the time of a block, and see to it that the log is clean."""
    with servers.serve("", *command.split(), environment={**environment(), **extra}) as server:
        yield server
    assert TROUBLE.search(server.log()) is None, server.log()


def ask(server: servers.Server, path: str) -> list[int]:
    """Return what a page says."""
    with urllib.request.urlopen(server.url + path, timeout=20) as answer:
        return list(json.loads(answer.read()))


def workers(server: servers.Server) -> set[int]:
    """Return the processes that a server has started."""
    children: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == server._process.pid and fields[0] != "Z":
            children.add(int(status.parent.name))
    return children


def threads_of(process: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{process}/task").iterdir()))


@pytest.mark.parametrize("command", [GTHREAD, SYNC, FLASK_RUN], ids=["gthread", "sync", "flask run"])
def test_websockets_hold_no_thread(command: str) -> None:
    """Many clients exchange events and broadcasts, with views beside them, on as many threads as before."""

    async def play(server: servers.Server) -> None:
        first = await crowd.gather(server.port, 1)
        await crowd.exchange(first)
        _, process = await asyncio.to_thread(ask, server, "/threads")
        before = threads_of(process)
        members = await crowd.gather(server.port, CLIENTS)
        await crowd.exchange(members)
        await asyncio.to_thread(ask, server, "/")
        # A handler that waits for its turn may bring one or two handler threads more, never one a client.
        await asyncio.to_thread(
            servers.wait_until, lambda: threads_of(process) <= before + 6, "the threads of the handshakes end"
        )
        for member in members:
            member.leave()
        await crowd.endings(members)

    with serving(command) as server:
        asyncio.run(play(server))
        logged = 0 if "gunicorn" in command else CLIENTS + 1  # which logs no requests by default
        servers.wait_until(lambda: len(SWITCHED.findall(server.log())) == logged, "each has its line")


ENDS = {
    "HUP of the master": lambda server: server.signal(signal.SIGHUP),
    "TERM of the worker": lambda server: [os.kill(worker, signal.SIGTERM) for worker in workers(server)],
    "KILL of the worker": lambda server: [os.kill(worker, signal.SIGKILL) for worker in workers(server)],
}


@pytest.mark.parametrize("end", ENDS)
def test_clients_come_back_after_the(end: str) -> None:
    """All clients are let go at once, politely unless the process was killed, and find a new worker."""

    async def play(server: servers.Server) -> None:
        members = await crowd.gather(server.port, MANY)
        before = workers(server)
        ENDS[end](server)
        how = await crowd.endings(members)
        assert how == {"broken" if "KILL" in end else "closed": MANY}
        members = await crowd.gather(server.port, MANY)
        await crowd.exchange(members)
        servers.wait_until(lambda: not workers(server) & before, "the old worker has ended")

    with servers.serve("", *GTHREAD.split(), environment=environment()) as server:
        asyncio.run(play(server))
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - began < 5
    log = re.sub(r"^.*\[ERROR\] Worker \(pid:\d+\) was sent SIG\w+!.*$", "", server.log(), flags=re.MULTILINE)
    assert TROUBLE.search(log) is None, log


def test_worker_that_is_recycled_lets_its_clients_go() -> None:
    """After `max_requests` the clients of a worker are closed politely, and its disconnect handlers run."""

    async def play(server: servers.Server) -> None:
        members = await crowd.gather(server.port, 10)
        for _ in range(20):
            await asyncio.to_thread(ask, server, "/")
        assert await crowd.endings(members) == {"closed": 10}
        servers.wait_until(lambda: server.log().count("disconnected: ") == 10, "the handlers run")
        members = await crowd.gather(server.port, 10)
        await crowd.exchange(members)

    with serving(GTHREAD.replace("app:app", "--max-requests 30 app:app")) as server:
        asyncio.run(play(server))


def test_two_workers_serve_websockets() -> None:
    """Each worker of several has a hub of its own, started after the fork."""

    async def play(server: servers.Server) -> None:
        members = await crowd.gather(server.port, 100)
        answers = await asyncio.wait_for(asyncio.gather(*(member.ask("echo", 1) for member in members)), 10)
        assert answers == [[1]] * 100

    with serving(GTHREAD.replace("app:app", "-w 2 --preload app:app")) as server:
        asyncio.run(play(server))
        assert "forked" not in server.log()
