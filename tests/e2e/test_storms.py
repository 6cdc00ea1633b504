"""Servers that end under load, come back, meet everybody at once, or cannot write their log.

STORM=5000 pytest tests/e2e/test_storms.py
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import crowd
import javascript
import pytest
import servers

STORM = int(os.environ.get("STORM", "500"))
CLIENTS = 100
DRAINED = 10.0
"""Seconds that a stop may take: the option `shutdown_timeout`."""
RETURN = "returning"


@pytest.fixture(autouse=True)
def enough_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let us and the servers open a file for each client, or skip where the machine does not."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * STORM + 500
    if most != resource.RLIM_INFINITY and most < needed:
        javascript.missing(f"{needed} open files are not allowed here (ulimit -Hn), no storm was made")
    soft = min(needed, most) if most != resource.RLIM_INFINITY else needed
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), most)
    )
    monkeypatch.setattr(crowd, "SECONDS", max(50.0, STORM / 20))


async def keep_asking(number: int, member: crowd.Member, counts: list[int]) -> None:
    """Ask until the connection ends, and count the answers at the number of the member."""
    with suppress(asyncio.CancelledError):
        while True:
            assert await member.ask("echo", counts[number]) == [counts[number]]
            counts[number] += 1


def test_server_that_is_ended_under_load_drains() -> None:
    """All clients are closed politely while they send, within the time, and nothing fails."""

    async def play(server: servers.Server) -> None:
        members = await crowd.gather(server.port, CLIENTS)
        counts = [0] * CLIENTS
        asking = [asyncio.ensure_future(keep_asking(*each, counts)) for each in enumerate(members)]
        while min(counts) == 0:  # noqa: ASYNC110  # an event would cost each answer
            await asyncio.sleep(0.02)
        server.signal(signal.SIGTERM)
        assert await crowd.endings(members) == {"closed": CLIENTS}
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking)

    with servers.serve("lifecycle.py") as server:
        asyncio.run(play(server))
        began = time.monotonic()
        assert server.wait(DRAINED) == 0, server.log()
        assert time.monotonic() - began < DRAINED
        assert server.log().count("disconnected: ") == CLIENTS


def test_clients_of_a_killed_server_return_to_the_next_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGKILL and a restart the JavaScript clients are back by themselves, and not all at once."""
    with (
        servers.serve("lifecycle.py") as first,
        javascript.running(RETURN, first.url, "websocket") as client,
    ):
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        first.signal(signal.SIGKILL)
        first.wait()
        assert client.stdout.readline() == "lost\n"
        monkeypatch.setattr(servers, "free_port", lambda: first.port)
        with servers.serve("lifecycle.py"):
            told, spread = client.stdout.readline().split()
            assert told == "returned"
            assert float(spread) > 0.2


def test_storm_of_clients_is_absorbed() -> None:
    """Very many clients come at once, all are served, go at once and come again, without an error."""

    async def come(server: servers.Server) -> list[crowd.Member]:
        coming = asyncio.gather(*(crowd.connect(server.port) for _ in range(STORM)))
        members = await asyncio.wait_for(coming, crowd.SECONDS)
        await crowd.exchange(members)
        return list(members)

    async def play(server: servers.Server) -> None:
        members = await come(server)
        for member in members:
            member.leave()
        await crowd.endings(members)
        await come(server)

    code = "import os, app; app.socketio.run(app.app, port=int(os.environ['PORT']))"
    places = [str(servers.APPLICATIONS), servers.server_environment().get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(places)}
    with servers.serve("", "-c", code, environment=environment) as server:
        began = time.monotonic()
        asyncio.run(play(server))
        print(f"{STORM} clients came and were served twice in {time.monotonic() - began:.1f} s")
        assert "ERROR" not in server.log(), server.log()


def test_full_disk_for_the_log_disturbs_nobody() -> None:
    """A server whose every line of the log fails serves on, whatever it would have to tell."""
    if not Path("/dev/full").exists():
        javascript.missing("there is no /dev/full here, a full disk was not tried")
    application = servers.APPLICATIONS / "errors_default.py"
    code = (
        "import os, runpy; full = os.open('/dev/full', os.O_WRONLY); os.dup2(full, 1); os.dup2(full, 2);"
        f" runpy.run_path({str(application)!r}, run_name='__main__')"
    )
    with servers.serve("", "-c", code) as server:
        report = javascript.run("errors_default", server.url, "websocket")
        for mode, name in javascript.checks("errors_default"):
            if mode == "websocket":
                report.verify(name)
