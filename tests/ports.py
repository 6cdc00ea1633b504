"""Ports for servers of the tests, which nobody else takes between the choice and the start."""

from __future__ import annotations

import itertools
import os
import random
import socket
from contextlib import suppress

HOST = "127.0.0.1"

FIRST, COUNT = 10_000, 2_000
"""The ports of the first of ten processes that run tests at the same time, and how many each has.

They lie below those that systems hand out by themselves, to clients and to whoever asks for any port.
"""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
# Another run of the tests begins elsewhere among them.
_ports = itertools.cycle(range(FIRST + _worker * COUNT, FIRST + (_worker + 1) * COUNT))
next(itertools.islice(_ports, random.randrange(COUNT), None))


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that is not returned again soon."""
    for port in _ports:
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            return port
    raise AssertionError("a cycle has no end")
