"""The sockets on which several processes listen: bound once, before there are any of them."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

BACKLOG = 2048


def listen(host: str, port: int, uds: str | None) -> list[socket.socket]:
    """Binds an address and listens, so that clients can wait for the first process.

    Args:
        host: the address, or a name with several.
        port: the port; 0 for any that is free.
        uds: the path of a Unix socket to listen on instead.

    Raises:
        OSError: if it cannot be bound.
    """
    listeners: list[socket.socket] = []
    try:
        if uds is not None:
            listeners.append(_bind_unix(uds))
        else:
            for family, address in _addresses(host, port):
                # One port for all addresses of a name.
                bound = listeners[0].getsockname()[1] if listeners else port
                listeners.append(_bind(family, (address[0], bound, *address[2:])))
        for listener in listeners:
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_unix(uds: str) -> socket.socket:
    path = Path(uds)
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()  # what an earlier server has left
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(uds)
        path.chmod(0o666)  # as uvicorn has it: who may connect, the directory says
    except BaseException:
        listener.close()
        raise
    return listener


def remove(uds: str | None) -> None:
    """Removes the Unix socket of a server that has ended."""
    if uds is not None:
        with suppress(OSError):
            os.unlink(uds)  # noqa: PTH108  # as it was given
