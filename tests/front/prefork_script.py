"""Serves with worker processes whose site is small: it answers each connection with its process id.

python prefork_script.py COUNT [how workers misbehave]
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from operator import methodcaller
from typing import Any

from carboy.front.listening import listen
from carboy.front.prefork import WorkerProcesses
from carboy.runtime.log import Log

COUNT, HOW = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""


class Site:
    """What each worker runs."""

    def __init__(self) -> None:
        self.stopped = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM, or `stop`."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: os._exit(3))
        if HOW == "fails":
            raise RuntimeError("no way to serve")
        workers.tell_ready(0)
        while not self.stopped or HOW == "hangs":
            if select.select([sockets[0]], [], [], 0.02)[0]:
                with suppress(BlockingIOError):
                    self.answer(sockets[0].accept()[0])

    def answer(self, connection: socket.socket) -> None:
        """Answer one connection."""
        with connection:
            word = connection.recv(10)
            if word == b"stop":
                workers.stop()
            connection.sendall(str(os.getpid()).encode())

    def stop(self) -> None:
        """Begin to stop."""
        self.stopped = True


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)


def tell_served() -> None:
    """Print where it listens."""
    say(f"serves {sockets[0].getsockname()[1]}")
    served.set()
    if HOW == "is told at the last moment":
        select.select = signal_and_select


def leave() -> None:
    """Print a line in the worker."""
    if HOW == "takes leave":
        say("takes leave")


def signal_and_select(*arguments: Any, select_now: Any = select.select) -> Any:
    """Get SIGTERM and wait for files, with no chance for Python to call the signal's handler in between."""
    select.select = select_now
    calls = partial(ctypes.CDLL(None).kill, os.getpid(), signal.SIGTERM), partial(select_now, *arguments)
    return list(map(methodcaller("__call__"), calls))[1]


served = threading.Event()
sockets = listen("127.0.0.1", 0, None)
workers = WorkerProcesses(
    COUNT,
    sockets,
    Log(True),
    -4.0 if HOW == "hangs" else 0.0,
    tell_served,
    leave,
)
try:
    if HOW == "in a thread":
        thread = threading.Thread(target=workers.run, args=(Site(),))
        thread.start()
        served.wait(20)
        workers.stop()
        thread.join()
    else:
        workers.run(Site())
except RuntimeError as error:
    say(f"error {error}")
say(f"ended {os.getpid()}")
