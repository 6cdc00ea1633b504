"""Several workers on one host: any request may reach any of them, and their clients are one crowd."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import crowd
import javascript
import pytest
import servers
from test_front_ends import TROUBLE, environment
from test_workers import workers

COMMANDS = {
    "gunicorn gthread": "-m gunicorn -w 4 -k gthread --threads 4 -b 127.0.0.1:{port} workers:app",
    "uvicorn": "-m uvicorn --workers 4 --port {port} workers:asgi_app",
    "run": str(servers.APPLICATIONS / "workers.py"),
}
READY: dict[str, Callable[[str], bool]] = {
    "gunicorn gthread": lambda log: log.count("Booting worker") == 2,
    "uvicorn": lambda log: log.count("Application startup complete") == 2,
}
CHECKS = [
    pytest.param(command, mode, name, id=f"{command}-{mode}-{name}".replace(" ", "-"))
    for command in COMMANDS
    for mode, name in sorted(javascript.checks("several_workers"))
]


def variables(folder: Path) -> dict[str, str]:
    """Return the variables of a server whose workers meet in a directory."""
    run_options = json.dumps({"workers": 4})
    return {**environment(), "RUN_OPTIONS": run_options, "XDG_RUNTIME_DIR": str(folder), "PYTHONWARNINGS": ""}


def wait_for_two(server: servers.Server) -> None:
    """Wait until two workers have loaded the application: what comes earlier waits for them."""
    processes: set[bytes | None] = set()

    def served() -> bool:
        answer = server.reads("/threads")
        processes.add(answer and answer.split(b",")[1])
        return len(processes - {None}) > 1

    servers.wait_until(served, "two workers answer", servers.START_SECONDS)


class Reports:
    """Runs the case once in each mode, with one server for all modes of a command."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._command = ""
        self._reports: dict[tuple[str, str], javascript.Report] = {}

    def of(self, command: str, mode: str) -> javascript.Report:
        """Return what the case reported behind a server, in a mode."""
        if command != self._command:
            javascript.require_node()
            self._stack.close()
            self._command = command
            arguments = COMMANDS[command].split()
            self._server = self._stack.enter_context(
                servers.serve("", *arguments, environment=variables(self._folder))
            )
            wait_for_two(self._server)
        if (command, mode) not in self._reports:
            self._reports[command, mode] = javascript.run("several_workers", self._server.url, mode)
        return self._reports[command, mode]


@pytest.fixture
def meeting() -> Iterator[Path]:
    """A directory whose path leaves room for the workers' sockets."""
    with tempfile.TemporaryDirectory(prefix="w", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    """The reports of this module's case."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="w", dir="/tmp"))
        yield Reports(stack.enter_context(ExitStack()), Path(folder))


@pytest.mark.parametrize(("command", "mode", "check"), CHECKS)
def test_several_workers_keep_the_promise(reports: Reports, command: str, mode: str, check: str) -> None:
    """What the name of the check says holds for the stock client, behind that server, on that transport."""
    reports.of(command, mode).verify(check)


CHANGES = {
    "HUP": [signal.SIGHUP],
    "one more": [signal.SIGTTIN],
    "one less": [signal.SIGTTOU],
}


async def logged(server: servers.Server, words: str, times: int) -> None:
    """Wait until the log of a server has some words so many times, while the clients go on."""
    what = f"{words!r} {times} times in the log"
    await asyncio.to_thread(
        servers.wait_until, lambda: server.log().count(words) >= times, what, crowd.SECONDS
    )


async def stays(member: crowd.Member) -> bool:
    """Tell whether a client's worker is still there: its end may be on its way."""
    asked = asyncio.ensure_future(member.ask("echo", 0))
    await asyncio.wait((asked, member.ended), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    return not member.ended.done()


@pytest.mark.parametrize("change", CHANGES)
def test_clients_are_one_crowd_behind_a_change_of_gunicorns_workers(change: str, meeting: Path) -> None:
    """Those that come afterwards, and those that stayed; at the end nothing is left behind."""

    async def play(server: servers.Server) -> None:
        members = await crowd.gather(server.port, 20)
        await crowd.exchange(members)
        for number in CHANGES[change]:
            server.signal(number)
        if change == "HUP":
            await crowd.endings(members)
            members = []
            await logged(server, "Worker exiting", 2)  # an old one that had no client may still take some
        elif change == "one more":
            await logged(server, "Booting worker", 3)  # before that, gunicorn's worker hears no signal
        elif change == "one less":
            await asyncio.to_thread(servers.wait_until, lambda: len(workers(server)) == 1, "one is left")
            members = [member for member in members if await stays(member)]
        members += await crowd.gather(server.port, 20)
        await crowd.exchange(members)

    command = COMMANDS["gunicorn gthread"].replace("-w 4", "-w 2").split()
    with servers.serve("", *command, environment=variables(meeting)) as server:
        asyncio.run(play(server))
    assert TROUBLE.search(server.log()) is None, server.log()
    assert list(meeting.iterdir()) == []


@pytest.mark.parametrize("command", ["gunicorn gthread", "uvicorn"])
@pytest.mark.parametrize("source", ["view", "thread"])
def test_worker_without_a_client_reaches_those_of_another(command: str, source: str, meeting: Path) -> None:
    """From a view that no request of Socket.IO has preceded, and from a thread that no request has."""
    asked = meeting / "asked"

    async def play(server: servers.Server) -> None:
        (member,) = await crowd.gather(server.port, 1)
        told, heard = set(), set()
        if source == "thread":
            asked.touch()
        while len(heard) < 2:
            if source == "view":
                told.add(json.loads(await asyncio.to_thread(server.reads, "/emit") or b"[0]")[0])
            (_, process) = await asyncio.wait_for(member.events.get(), 10)
            heard.add(process)
        assert source == "thread" or told == heard

    arguments = COMMANDS[command].replace(" 4 ", " 2 ", 1).replace("workers:", "early:").split()
    with servers.serve("", *arguments, environment={**variables(meeting), "ASKED": str(asked)}) as server:
        servers.wait_until(lambda: READY[command](server.log()), "both workers have started")
        asyncio.run(play(server))
    assert TROUBLE.search(server.log()) is None, server.log()


def test_two_servers_of_one_shell_are_strangers(meeting: Path) -> None:
    """Processes that nobody started as workers share nothing, though they have one parent."""

    async def play(one: servers.Server, other: servers.Server) -> None:
        (near,), (far,) = await crowd.gather(one.port, 1), await crowd.gather(other.port, 1)
        near.send('42["broadcast","hello"]')
        assert await asyncio.wait_for(near.events.get(), 10) == ["news", "hello"]
        await far.ask("echo", 1)
        assert far.events.empty()

    command = COMMANDS["uvicorn"].replace("--workers 4 ", "").split()
    with (
        servers.serve("", *command, environment=variables(meeting)) as one,
        servers.serve("", *command, environment=variables(meeting)) as other,
    ):
        asyncio.run(play(one, other))
    assert list(meeting.iterdir()) == []
