"""Carries bytes between a connection that cannot move to another worker, being TLS, and one end of a pair."""

from __future__ import annotations

import asyncio
import socket
from typing import Any


class Pump(asyncio.Protocol):
    """One side; what it reads the other side writes.

    Args:
        connections: uvicorn's set of connections, which a stop waits for.

    Attributes:
        transport: its connection; None while it is made.
        other: the other side.
    """

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self._early = b""
        self.transport: Any = None
        self.other: Pump = self

    @classmethod
    async def begin(cls, transport: asyncio.Transport, connections: set[Any]) -> socket.socket:
        """Puts a pump on a connection.

        Args:
            transport: the connection, which does not read.
            connections: uvicorn's set of connections.

        Returns:
            The end from which its bytes are read; nothing but the end if the connection is lost meanwhile.
        """
        near, far = socket.socketpair()
        near.setblocking(False)
        outer, inner = cls(connections), cls(connections)
        outer.other, inner.other = inner, outer
        outer.connection_made(transport)
        transport.set_protocol(outer)  # before anything is awaited: the end of a connection is told only once
        await asyncio.get_running_loop().connect_accepted_socket(lambda: inner, near)
        # Not `is_closing`, which stays false on Python 3.10 when a connection on TLS is lost.
        if outer in connections:
            transport.resume_reading()
        else:
            inner.transport.close()
        return far

    def connection_made(self, transport: Any) -> None:
        """Takes the connection."""
        self.transport = transport
        self._connections.add(self)
        if self._early:
            transport.write(self._early)

    def data_received(self, data: bytes) -> None:
        """Hands bytes over."""
        self.other.write(data)

    def write(self, data: bytes) -> None:
        """Writes, now or once the connection is made.

        Args:
            data: what the other side has read.
        """
        if self.transport is None:  # Python 3.10 hands over all of a read on TLS, even after `pause_reading`
            self._early += data
        else:
            self.transport.write(data)

    def pause_writing(self) -> None:
        """Has the other side wait until this one's peer reads."""
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Has the other side go on."""
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Ends the other side, behind what it has to write."""
        self._connections.discard(self)
        if self.other.transport is not None:
            self.other.transport.close()

    def shutdown(self) -> None:
        """Ends both (called by uvicorn when it stops)."""
        self.transport.close()
