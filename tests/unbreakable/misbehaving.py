"""A client that sends any bytes in any pieces, does not read, leaves by half: what no honest client does."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

import raw

WITHIN = 3.0
"""Seconds: one, and what a busy machine may add."""


@dataclass
class Outcome:
    """How the server took what was sent.

    Attributes:
        received: what it answered.
        closed: whether it closed the connection.
        seconds: how long it took to answer, or to close.
    """

    received: bytes
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The statuses of the HTTP answers."""
        return [int(part[:3]) for part in self.received.split(b"HTTP/1.1 ")[1:]]


class Misbehaving(raw.Client):
    """One connection of such a client."""

    def attack(
        self, pieces: bytes | Iterable[bytes], *, patience: float = WITHIN, enough: bytes = b""
    ) -> Outcome:
        """Send bytes, and read until the server closes or has said nothing for a while.

        Args:
            pieces: what to send, one write each.
            patience: seconds.
            enough: what ends the wait once it was read.
        """
        began = time.monotonic()
        answered = began
        received = bytearray()
        closed = False
        try:
            for piece in (pieces,) if isinstance(pieces, bytes) else pieces:
                self.socket.sendall(piece)
        except OSError:
            pass  # it has closed before all was sent
        self.socket.settimeout(patience)
        try:
            while not (enough and enough in received):
                data = self.socket.recv(65536)
                answered = time.monotonic()
                if not data:
                    closed = True
                    break
                received += data
        except ConnectionResetError:
            closed = True
        except TimeoutError:
            pass
        return Outcome(bytes(received), closed, answered - began)

    def end_writing(self) -> None:
        """Close one direction."""
        self.socket.shutdown(socket.SHUT_WR)


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end
