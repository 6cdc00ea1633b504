"""Worker processes: they are replaced when they end, restarted one by one, and all end with the first."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import carboy

SCRIPT = Path(__file__).parent / "prefork_script.py"
SECONDS = 20.0

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


class Run:
    """One run of the script.

    Attributes:
        process: the first process.
        port: where the workers listen.
    """

    def __init__(self, count: int, how: str = "") -> None:
        source = str(Path(carboy.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(count), how],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        self.lines: list[str] = []
        self.port = 0

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        self.lines.append(self.process.stdout.readline().rstrip("\n"))
        return self.lines[-1]

    def serves(self) -> None:
        """Wait until all workers serve."""
        self.port = int(self.line().removeprefix("serves "))

    def ask(self, word: bytes = b"who") -> int:
        """Return the process id of whoever answers."""
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.sendall(word)
            return int(connection.recv(20))

    def workers(self) -> set[int]:
        """Return the worker processes that live."""
        found = set()
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.add(int(status.parent.name))
        return found

    def signal(self, number: int) -> None:
        """Send a signal to the first process."""
        self.process.send_signal(number)

    def rest(self) -> list[str]:
        """Wait for the end, and return the lines that it still prints."""
        output, _ = self.process.communicate(timeout=SECONDS)
        return output.splitlines()


@contextmanager
def run(count: int = 2, how: str = "") -> Iterator[Run]:
    """Run the script for the time of a block."""
    running = Run(count, how)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_workers_and_the_code_behind_runs_once(number: int) -> None:
    """In the first process."""
    with run(3) as running:
        running.serves()
        assert len(running.workers()) == 3
        assert running.ask() in running.workers()
        running.signal(number)
        assert running.rest() == [f"ended {running.process.pid}"]
        assert running.process.returncode == 0


def test_signal_right_before_the_first_process_waits_is_not_overslept() -> None:
    """Python calls its handler between two bytecodes, and the wait is a single one."""
    with run(1, "is told at the last moment") as running:
        running.serves()
        assert running.rest() == [f"ended {running.process.pid}"]


def test_stop_in_a_worker_ends_all() -> None:
    """Whichever process of a server is asked."""
    with run() as running:
        running.serves()
        running.ask(b"stop")
        assert running.rest() == [f"ended {running.process.pid}"]


def test_worker_that_dies_is_replaced() -> None:
    """One line tells it, and the others go on."""
    with run() as running:
        running.serves()
        before = running.workers()
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        assert f"process {victim} has ended (signal 9); another takes its place" in running.line()
        until(lambda: len(running.workers()) == 2)
        assert running.workers() & before == before - {victim}
        running.signal(signal.SIGTERM)
        assert len(running.rest()) == 1


def test_workers_are_restarted_one_after_another() -> None:
    """The address is served all the time, without a line."""
    with run() as running:
        running.serves()
        before = running.workers()
        running.signal(signal.SIGHUP)
        until(lambda: bool(running.ask()) and not running.workers() & before)
        until(lambda: len(running.workers()) == 2)
        running.signal(signal.SIGTERM)
        assert running.rest() == [f"ended {running.process.pid}"]


def test_workers_that_cannot_serve_are_not_started_forever() -> None:
    """The reason is told, and `run` raises."""
    with run(1, "fails") as running:
        lines = running.rest()
        assert sum("no way to serve" in line for line in lines) >= 3
        assert lines[-2].startswith("error 3 worker processes ended before they served")


def test_worker_that_does_not_end_is_killed() -> None:
    """After the time that it is given."""
    with run(1, "hangs") as running:
        running.serves()
        running.signal(signal.SIGTERM)
        assert running.rest() == [f"ended {running.process.pid}"]


def test_second_interrupt_does_not_wait() -> None:
    """It is handed on to the workers, which may be busy."""
    with run(1, "hangs") as running:
        running.serves()
        (worker,) = running.workers()
        running.signal(signal.SIGINT)
        time.sleep(0.1)
        running.signal(signal.SIGINT)
        assert running.rest() == [f"ended {running.process.pid}"]
        assert not Path(f"/proc/{worker}").exists()


def test_workers_end_when_the_first_process_is_killed() -> None:
    """Nobody else could stop them."""
    with run() as running:
        running.serves()
        workers = running.workers()
        running.process.kill()
        running.process.wait()
        assert len(workers) == 2
        until(lambda: not any(_lives(worker) for worker in workers))


def test_run_works_outside_the_main_thread() -> None:
    """Where no signal can be handled; `stop` ends it."""
    with run(2, "in a thread") as running:
        running.serves()
        assert running.rest() == [f"ended {running.process.pid}"]


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
