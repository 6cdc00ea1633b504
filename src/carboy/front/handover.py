"""How a socket leaves the WSGI server that accepted it, so that no thread is held while it is open.

The server keeps its socket object, around one end of a socket pair: it writes its own response into that and
closes it, so that nothing is raised through middleware and its accounting stays right. The real socket goes
on to the hub.
"""

from __future__ import annotations

import _socket
import io
import socket
import ssl
from collections.abc import Iterator
from typing import Any

SOCKET_KEYS = ("werkzeug.socket", "gunicorn.socket")
"""Where servers show the socket in the environment: Werkzeug's, and gunicorn's sync and gthread workers."""

OF_THE_REQUEST = frozenset({*SOCKET_KEYS, "wsgi.early_hints", "wsgi.file_wrapper"})
"""What of an environment is of no use once the request has been answered, and holds memory of its server."""


class Remains:
    """The body of a response whose socket has left: empty.

    It keeps the far end of the stand-in open until the server has written its response into it.

    Args:
        far: that end.
    """

    def __init__(self, far: socket.socket) -> None:
        self._far = far

    def __iter__(self) -> Iterator[bytes]:
        """Returns the parts of the body, of which there are none."""
        return iter(())

    def close(self) -> None:
        """Lets the stand-in go (called by the server once it has written all)."""
        self._far.close()

    __del__ = close  # a middleware that is a generator may forget to call it


def find_socket(environ: dict[str, Any]) -> socket.socket | None:
    """Returns the socket of a request; None if the server shows none, or it is not one of HTTP/1.1."""
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return None
    for key in SOCKET_KEYS:
        shown = environ.get(key)
        if isinstance(shown, socket.socket):
            return shown
    return None


def can_move(shown: socket.socket) -> bool:
    """Returns whether a socket can be taken out of its server: a plain one can, a TLS one cannot."""
    return not isinstance(shown, ssl.SSLSocket)


def take_socket(shown: socket.socket) -> tuple[socket.socket, Remains]:
    """Takes the socket of a request away from its server.

    Args:
        shown: the server's socket object.

    Returns:
        The socket, non-blocking, and the body that the request is to be answered with.
    """
    near, far = socket.socketpair()
    # Servers read until the peer has closed before they close; this one has.
    far.shutdown(socket.SHUT_WR)
    ours = socket.socket(fileno=shown.detach())
    ours.setblocking(False)
    _socket.socket.__init__(shown, near.family, near.type, near.proto, near.detach())
    return ours, Remains(far)


def lasting(environ: dict[str, Any]) -> dict[str, Any]:
    """Returns the environment that a session keeps: without what belonged to the request alone."""
    kept = {name: value for name, value in environ.items() if name not in OF_THE_REQUEST}
    kept["wsgi.input"] = io.BytesIO()
    return kept
