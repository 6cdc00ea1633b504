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
from carboy.front import prefork
from carboy.front.prefork import WorkerProcesses
from carboy.runtime.log import Log

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


def test_worker_takes_leave_when_it_serves_no_more() -> None:
    """Its process ends without what Python does at an exit, so that the first one's is done once."""
    with run(1, "takes leave") as running:
        running.serves()
        running.signal(signal.SIGTERM)
        assert running.rest() == ["takes leave", f"ended {running.process.pid}"]


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


class OnPaper:
    """Workers that are processes in name only.

    Attributes:
        workers: what is tested, with two of them that serve.
        forked: the process ids that were given away, in order.
        told: who was told to end.
        room: whether the system has room for one more.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forked: list[int] = []
        self.told: list[int] = []
        self.room = True
        self.workers = WorkerProcesses(2, [], Log(), 0.0, lambda: None, lambda: None)
        monkeypatch.setattr(os, "fork", self.fork)
        monkeypatch.setattr(prefork, "_kill", lambda process, number: self.told.append(process))
        self.start(2)
        self.serve(*self.forked)

    def fork(self) -> int:
        """Give away the next id, which is no process's."""
        if not self.room:
            raise BlockingIOError("no room")
        self.forked.append(2**30 + len(self.forked))
        return self.forked[-1]

    def start(self, count: int = 1) -> None:
        """Have workers started that are due."""
        self.workers._due = [0.0] * count
        self.workers._start_due()

    def serve_newest(self) -> int:
        """Have the worker that was forked last tell that it serves; return its id."""
        self.serve(self.forked[-1])
        return self.forked[-1]

    def serve(self, *processes: int) -> None:
        """Have workers tell that they serve."""
        for process in processes:
            self.workers._take(process)

    def end(self, *processes: int) -> None:
        """Have workers end."""
        for process in processes:
            self.workers._ended(process, 0)

    def restart(self) -> None:
        """Ask for a restart."""
        self.workers._take(prefork.RESTART)

    @property
    def alive(self) -> list[int]:
        """The workers that have not ended."""
        return sorted(self.workers._born)


def test_stop_during_a_restart_starts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when the worker that was replaced ends, nor when its successor serves only now."""
    paper = OnPaper(monkeypatch)
    first, second = paper.forked
    paper.restart()
    third = paper.serve_newest()
    paper.workers._take(prefork.STOP)
    paper.end(first)
    assert paper.alive == [second, third]
    paper.end(second, third)
    assert len(paper.forked) == 3


def test_restart_during_a_restart_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the last of the old workers ends: there are as many as before."""
    paper = OnPaper(monkeypatch)
    first, second = paper.forked
    paper.restart()
    third = paper.serve_newest()
    paper.restart()
    paper.end(first)
    fourth = paper.serve_newest()
    paper.restart()
    paper.end(second)
    assert paper.alive == [third, fourth]
    paper.restart()
    assert len(paper.alive) == 3


def test_worker_that_has_ended_before_its_news_is_read_serves_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be waited for at each restart."""
    paper = OnPaper(monkeypatch)
    first, second = paper.forked
    paper.end(second)
    paper.serve(second)
    paper.start()
    third = paper.serve_newest()
    paper.restart()
    paper.serve_newest()
    paper.end(first)
    paper.serve_newest()
    assert paper.told == [first, third]


def test_worker_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a second; the others go on, signals are taken, and one line tells it."""
    paper = OnPaper(monkeypatch)
    paper.room = False
    paper.end(paper.forked[0])
    paper.start()
    assert len(paper.workers._due) == 1
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
    paper.restart()
    paper.room = True
    paper.start()
    assert len(paper.alive) == 2
    assert [line.partition(":")[0] for line in caplog.messages[1:]] == [
        "No worker process can be started",
        "The restart ends here",
    ]
