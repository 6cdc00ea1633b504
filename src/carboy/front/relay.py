"""Carries bytes between a socket that cannot be moved and the hub's: each on one thread of the server, which is why they are few."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable

CHUNK = 65536

MAX_RELAYS = 64
"""Threads that carry websockets, at most, where nothing else bounds the threads of the server."""

SEND_TIME = 30.0
"""Seconds that a peer may take to accept bytes."""

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the server stops."""


class Relays:
    """Counts the threads that carry bytes.

    Args:
        threads: the threads that the server has; None for any number.
    """

    def __init__(self, threads: int | None) -> None:
        # One thread is left for everything else.
        self.bound = MAX_RELAYS if threads is None else max(0, min(MAX_RELAYS, threads - 1))
        self._free = self.bound
        self._lock = threading.Lock()

    @property
    def available(self) -> bool:
        """Whether one more may begin."""
        return self._free > 0

    def acquire(self) -> bool:
        """Takes a place; False if there is none."""
        with self._lock:
            taken = self._free > 0
            self._free -= taken
            return taken

    def release(self) -> None:
        """Gives a place back."""
        with self._lock:
            self._free += 1


def relay(shown: socket.socket, ours: socket.socket, stopping: Callable[[], bool] = lambda: False) -> None:
    """Carries bytes both ways until either side ends.

    Args:
        shown: the server's socket, on TLS.
        ours: our end of the pair whose other end the hub has.
        stopping: whether the server stops, which ends it too.
    """
    shown.settimeout(SEND_TIME)
    with ours:
        try:
            while not stopping() and _carry_once(shown, ours):
                pass
        except (OSError, ssl.SSLError):
            pass  # one side is gone; closing ours tells the hub


def _carry_once(shown: socket.socket, ours: socket.socket) -> bool:
    """Carries what is there, or waits for it; False if a side has ended."""
    decrypted = isinstance(shown, ssl.SSLSocket) and shown.pending() > 0
    readable, _, _ = select.select((shown, ours), (), (), 0 if decrypted else LOOK_EVERY)
    if ours in readable and not _carry(ours, shown):
        return False
    return _carry(shown, ours) if decrypted or shown in readable else True


def _carry(source: socket.socket, target: socket.socket) -> bool:
    data = source.recv(CHUNK)
    target.sendall(data)
    return bool(data)
