"""Socket.IO for Flask applications, with the names and the semantics of Flask-SocketIO."""

from __future__ import annotations

import importlib.metadata as _metadata
import warnings as _warnings

from carboy.exceptions import ConnectionRefusedError

from .extension import SocketIO
from .functions import call, call_async, close_room, disconnect, emit, join_room, leave_room, rooms, send
from .middleware import _SocketIOMiddleware as _SocketIOMiddleware
from .namespace import Namespace
from .session import ManagedSession as _ManagedSession  # noqa: F401 (a name that Flask-SocketIO has)
from .test_client import SocketIOTestClient

__all__ = [
    "ConnectionRefusedError",
    "Namespace",
    "SocketIO",
    "SocketIOTestClient",
    "call",
    "call_async",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "rooms",
    "send",
]


def _warn_of_other_distribution() -> None:
    """Warn if Flask-SocketIO is installed beside Carboy.

    A warning and no error: while this runs, Carboy's files have won, so the application works, and the other
    may be here because a third distribution requires it, which its user cannot help. The danger comes when
    either is upgraded or removed, and takes files of the other with it.
    """
    try:
        _metadata.distribution("Flask-SocketIO")
    except _metadata.PackageNotFoundError:
        return
    _warnings.warn(
        "the distributions Flask-SocketIO and carboy are both installed, and both bring the package "
        "flask_socketio, whose files overwrite one another; run `pip uninstall flask-socketio`, and then "
        "`pip install --force-reinstall --no-deps carboy`",
        stacklevel=3,
    )


_warn_of_other_distribution()
