"""Starts applications as processes of their own and stops them; it knows nothing of Socket.IO.

`CARBOY_SERVER_PYTHON` names the interpreter that runs them (the one of the tests, if unset).
`RUN_OPTIONS` (JSON) adds options to their `socketio.run()`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ports import HOST, free_port

APPLICATIONS = Path(__file__).parent / "applications"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
TRACEBACK = "Traceback (most recent call last)"


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition, and fail with what was waited for when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(POLL_SECONDS)


def is_served(place: int | Path) -> bool:
    """Tell whether something accepts connections on a loopback port, or on a Unix socket."""
    family, address = (
        (socket.AF_INET, (HOST, place)) if isinstance(place, int) else (socket.AF_UNIX, str(place))
    )
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(address) == 0


class Server:
    """One running application.

    Attributes:
        port: the loopback port it was told to listen on.
        url: its base address.
        unix_socket: the path it listens on instead of the port, if any.
        returncode: its exit status once it has ended, else None.
    """

    def __init__(
        self, command: list[str], environment: dict[str, str], unix_socket: Path | None, standard_input: bool
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.unix_socket = unix_socket
        self._read = 0
        self._final_log: str | None = None
        self._output = tempfile.NamedTemporaryFile(prefix="carboy-e2e-", suffix=".log")  # noqa: SIM115
        command = [part.replace("{port}", str(self.port)) for part in command]
        self._process = subprocess.Popen(
            command,
            env={**environment, "PORT": str(self.port)},
            stdin=subprocess.PIPE if standard_input else subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def process_id(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, None while the process runs."""
        return self._process.poll()

    def log(self) -> str:
        """Return all that the process has printed so far."""
        if self._final_log is not None:
            return self._final_log
        try:
            return Path(self._output.name).read_text(errors="replace")
        except FileNotFoundError:  # another thread has just stopped it
            assert self._final_log is not None  # which is set before the file goes
            return self._final_log

    def unexpected_tracebacks(self, allowed: str | None = None) -> list[str]:
        """Return the tracebacks logged since the last call.

        Args:
            allowed: a regular expression; a traceback that it is found in is not returned.
        """
        log = self.log()
        fresh, self._read = log[self._read :], len(log)
        found = [TRACEBACK + text[:3000] for text in fresh.split(TRACEBACK)[1:]]
        return [text for text in found if allowed is None or not re.search(allowed, text)]

    def answers(self) -> bool:
        """Tell whether something accepts connections where the application should listen."""
        if self.returncode is not None:
            raise AssertionError(f"the application ended with status {self.returncode}:\n{self.log()}")
        return is_served(self.unix_socket or self.port)

    def reads(self, path: str) -> bytes | None:
        """Return what a page holds, or None when it does not answer just now."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    def write(self, text: str) -> None:
        """Write to the standard input of the application."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send a signal to the application's own process."""
        self._process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the application to end by itself, and return its exit status."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.log()}") from None

    def stop(self) -> None:
        """End the whole process group, politely first.

        Raises:
            AssertionError: SIGTERM did not end it in time, and SIGKILL had to.
        """
        try:
            if self.returncode is None:
                self._signal_group(signal.SIGTERM)
                self.wait()
        finally:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
            self._final_log = self.log()
            self._output.close()
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


RUNNING: list[Server] = []


def server_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a server: ours, with the package where the tests themselves find it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    specification = importlib.util.find_spec("flask_socketio")
    if "CARBOY_SERVER_PYTHON" not in environment and specification is not None and specification.origin:
        folder = str(Path(specification.origin).parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, environment.get("PYTHONPATH")]))
    return {**environment, **(extra or {})}


def server_python() -> str:
    """Return the interpreter that runs the applications."""
    return os.environ.get("CARBOY_SERVER_PYTHON") or sys.executable


@contextmanager
def serve(
    application: str | Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    unix_socket: Path | None = None,
    standard_input: bool = False,
) -> Iterator[Server]:
    """Run an application until the block ends.

    Args:
        application: the file, or the name of one in `applications`; empty when the arguments say what to run.
        *arguments: the command line that follows; `{port}` stands for the port.
        environment: variables on top of our own.
        unix_socket: where it listens, when that is not `PORT`.
        standard_input: whether the test writes to it.

    Yields:
        The server, once it accepts connections.
    """
    path = [str(APPLICATIONS / application)] if application else []
    command = [server_python(), *path, *arguments]
    server = Server(command, server_environment(environment), unix_socket, standard_input)
    RUNNING.append(server)
    try:
        wait_until(server.answers, f"{command} answers", START_SECONDS)
        yield server
    finally:
        server.stop()
