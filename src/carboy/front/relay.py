"""Carries bytes between a socket that cannot be moved and the hub's, on a thread of the server."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable

CHUNK = 65536

SEND_TIME = 30.0
"""Seconds that a peer may take to accept bytes."""

LOOK_EVERY = 1.0
"""Seconds between two looks at whether the server stops."""


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
