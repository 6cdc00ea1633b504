"""Ports for servers of the tests, which nobody else takes between the choice and the start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

HOST = "127.0.0.1"
CHOICE = range(10_000, 30_000)
"""Below those that systems hand out by themselves, to clients and to whoever asks for any port."""


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    while True:
        port = random.choice(CHOICE)  # other processes of the tests choose too
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            return port
