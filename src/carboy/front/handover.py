"""How a socket leaves the WSGI server that accepted it, so that no thread is held while it is open.

The server keeps its socket object, around one end of a socket pair: it writes its own response into that and closes it, so
that nothing is raised through middleware and its accounting stays right. The real socket goes on to the hub.
"""

from __future__ import annotations

import _socket
import socket
import ssl
from typing import Any

SOCKET_KEYS = ("werkzeug.socket", "gunicorn.socket")
"""Where servers show the socket in the environment: Werkzeug's, and gunicorn's sync and gthread workers."""

KEPT = "carboy.kept"


def find_socket(environ: dict[str, Any]) -> socket.socket | None:
    """Returns the socket of a request, or None if the server does not show it or speaks anything but HTTP/1.1 on it."""
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return None
    for key in SOCKET_KEYS:
        shown = environ.get(key)
        if isinstance(shown, socket.socket):
            return shown
    return None


def can_move(shown: socket.socket | None) -> bool:
    """Returns whether a socket can be taken out of its server: a plain one can, a TLS one cannot."""
    return shown is not None and not isinstance(shown, ssl.SSLSocket)


def take_socket(shown: socket.socket, environ: dict[str, Any]) -> socket.socket:
    """Takes the socket of a request away from its server.

    Args:
        shown: the server's socket object.
        environ: the environment of the request, which keeps the other end of the pair open while the server needs it.

    Returns:
        The socket, non-blocking.
    """
    ours = socket.socket(fileno=shown.detach())
    ours.setblocking(False)
    stand_in, environ[KEPT] = socket.socketpair()
    _socket.socket.__init__(shown, stand_in.family, stand_in.type, stand_in.proto, stand_in.detach())
    return ours
