"""Carries bytes between a socket that cannot be moved and the hub's, on one thread."""

from __future__ import annotations

import select
import socket
import ssl

CHUNK = 65536


def relay(shown: socket.socket, ours: socket.socket) -> None:
    """Carries bytes both ways until either side ends.

    Args:
        shown: the server's socket, on TLS.
        ours: our end of the pair whose other end the hub has.
    """
    shown.settimeout(None)
    with ours:
        try:
            while _carry_once(shown, ours):
                pass
        except (OSError, ssl.SSLError):
            pass  # one side is gone; closing ours tells the hub


def _carry_once(shown: socket.socket, ours: socket.socket) -> bool:
    readable: list[socket.socket] = []
    if not (isinstance(shown, ssl.SSLSocket) and shown.pending()):
        readable, _, _ = select.select((shown, ours), (), ())
    if ours in readable:
        data = ours.recv(CHUNK)
        if not data:
            return False
        shown.sendall(data)
    if shown in readable or not readable:
        data = shown.recv(CHUNK)
        if not data:
            return False
        ours.sendall(data)
    return True
