"""Measures one server under one scenario: starts it, lets the load generator at it, stops it.

The server is held on one core and the load generator on another, so that neither takes time from the other.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from environments import LOGS, Server

START_SECONDS = 20.0
PATIENCE_SECONDS = 80.0  # what load.c gives its clients to connect and the last answers to come, and some


class FailedError(Exception):
    """A figure that does not count; the text is the reason that the reader gets."""


@dataclass(frozen=True)
class Scenario:
    """What the clients do: options of `load.c`, and which of its counts is the figure."""

    name: str
    title: str
    options: str
    figure: str  # operations, deliveries (both per second) or kib (per client; less is better)

    @property
    def clients(self) -> int:
        """How many there are at once."""
        words = self.options.split()
        return int(words[words.index("--clients") + 1])


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("echo", "Echo, one message in flight", "echo --clients 100", "operations"),
        Scenario("echo-16", "Echo, 16 in flight", "echo --clients 100 --in-flight 16", "operations"),
        Scenario("broadcast", "Broadcast to 1,000 clients", "broadcast --clients 1000", "deliveries"),
        Scenario("rooms", "Broadcast in 50 rooms of 20", "rooms --clients 1000 --rooms 50", "deliveries"),
        Scenario(
            "polling",
            "Echo over HTTP long polling, 4 in flight",
            "echo --clients 100 --in-flight 4 --transport polling",
            "operations",
        ),
        Scenario("connects", "Clients that connect and leave", "connects --clients 32", "operations"),
        Scenario("memory", "Memory of an idle client", "idle --clients 1000", "kib"),
    )
}


def siblings(core: int) -> set[int]:
    """The logical processors that share a core's circuits (hyper-threads), itself included."""
    file = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        spans = [part.split("-") for part in file.read_text(encoding="ascii").strip().split(",")]
    except OSError:
        return {core}
    return {number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)}


def choose_cores() -> tuple[int, int] | None:
    """A core for the server and another for the load, or None where there are no two."""
    mine = sorted(os.sched_getaffinity(0))
    others = [core for core in mine if core not in siblings(mine[0])] or mine[1:]
    return (mine[0], others[0]) if others else None


CORES = choose_cores()


@contextlib.contextmanager
def pinned(role: int) -> Iterator[None]:
    """What is started in here stays on the core of the server (0) or of the load (1)."""
    if CORES is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[role]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port: int) -> bool:
    """Whether the server is there. The request lacks all that Engine.IO asks for: a refusal is an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/socket.io/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the server answers; raise with the last line of its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
            raise FailedError(f"the server did not start: {lines[-1][:160]} (all of it: {log})")
        time.sleep(0.05)


@contextlib.contextmanager
def running(server: Server) -> Iterator[tuple[int, int]]:
    """Run a server in a session of its own; gives the session's id and the port."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{server.name}.log"
    port = free_port()
    command = shlex.split(server.command.replace("{port}", str(port)))
    with log.open("wb") as output, pinned(0):
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise FailedError(f"the server did not start: {error}") from None
    try:
        await_answer(process, port, log)
        yield process.pid, port
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and its children, at first politely."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)


def resident_kib(session: int) -> int:
    """Resident memory of all processes of a session, in KiB."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a process may end while it is looked at
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return total


def outcome(line: str) -> dict[str, float]:
    """Read the generator's line of JSON, and raise what it complains about."""
    try:
        result = json.loads(line)
    except ValueError:
        raise FailedError("the load generator ended without a result") from None
    if result["error"]:
        raise FailedError(result["error"])
    return result


def traffic(load: Path, port: int, scenario: Scenario, seconds: float) -> dict[str, float]:
    """Let the clients work for some seconds; returns the figure and the generator's own load."""
    command = [load, "--port", str(port), "--seconds", str(seconds), "--scenario", *scenario.options.split()]
    with pinned(1):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise FailedError("the load generator got stuck") from None
    result = outcome(done.stdout)
    if not result[scenario.figure]:
        raise FailedError("nothing arrived")
    return {"figure": result[scenario.figure] / result["seconds"], "load": result["load"]}


def settled_memory(load: Path, session: int, port: int, clients: int) -> int:
    """Resident memory of the server in KiB half a second after so many clients are there; they leave then."""
    command = [load, "--port", str(port), "--scenario", "idle", "--clients", str(clients), "--seconds", "600"]
    with pinned(1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        line = process.stdout.readline() if process.stdout else ""
        try:
            if not line.startswith("connected"):
                outcome(line)
            time.sleep(0.5)
            return resident_kib(session)
        finally:
            process.kill()


def memory(load: Path, session: int, port: int, scenario: Scenario) -> dict[str, float]:
    """By how much each idle client makes the server larger; the first ten fill caches and do not count."""
    before = settled_memory(load, session, port, 10)
    after = settled_memory(load, session, port, scenario.clients)
    if after <= before:
        raise FailedError("the memory did not grow")
    return {"figure": (after - before) / (scenario.clients - 10), "load": 0.0}


def measure(load: Path, server: Server, scenario: Scenario, seconds: float) -> dict[str, float]:
    """One measurement with a fresh server.

    Raises:
        FailedError: The figure does not count, with the reason.
    """
    with running(server) as (session, port):
        if scenario.figure == "kib":
            return memory(load, session, port, scenario)
        return traffic(load, port, scenario, seconds)
