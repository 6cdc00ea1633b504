"""Carries bytes between a socket that cannot be moved and the hub's, on a thread of the server."""

from __future__ import annotations

import math
import select
import socket
import ssl
from collections.abc import Callable
from time import monotonic

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
    # The hub may let a client wait for as long as it likes.
    ways = (_Way(ours, shown, SEND_TIME), _Way(shown, ours, math.inf))
    with ours:
        try:
            for end in (shown, ours):
                end.setblocking(False)
            while not stopping() and _carry_once(ways):
                pass
        except OSError:
            pass  # one side is gone; closing ours tells the hub
        finally:
            shown.settimeout(SEND_TIME)  # the server has yet to write its response


class _Way:
    """One direction, in which at most one chunk is under way, so that neither holds up the other.

    Args:
        source: where bytes come from.
        target: where they go.
        patience: seconds that the target may take to accept a chunk.

    Attributes:
        chunk: what the target has not accepted yet.
        ended: whether the source has ended.
        needs_room: whether it waits until it can write, and not until it can read.
    """

    def __init__(self, source: socket.socket, target: socket.socket, patience: float) -> None:
        self._source = source
        self._target = target
        self._patience = patience
        self._deadline = math.inf
        self.chunk = b""
        self.ended = False
        self.needs_room = False

    @property
    def waits_for(self) -> socket.socket:
        """The socket that it can do nothing with yet."""
        return self._target if self.chunk else self._source

    @property
    def has_decrypted(self) -> bool:
        """Whether there is something to read that the socket does not show."""
        source = self._source
        return not self.chunk and isinstance(source, ssl.SSLSocket) and source.pending() > 0

    @property
    def is_late(self) -> bool:
        """Whether the target has taken too long."""
        return bool(self.chunk) and monotonic() > self._deadline

    def go_on(self) -> None:
        """Carries what can be carried without waiting."""
        try:
            if not self.chunk:
                self._read()
            if self.chunk:
                self.chunk = self.chunk[self._target.send(self.chunk) :]
            self.needs_room = bool(self.chunk)
        except BlockingIOError:
            self.needs_room = bool(self.chunk)
        except ssl.SSLWantReadError:  # on TLS either may need either
            self.needs_room = False
        except ssl.SSLWantWriteError:
            self.needs_room = True

    def _read(self) -> None:
        self.chunk = self._source.recv(CHUNK)
        self.ended = not self.chunk
        self._deadline = monotonic() + self._patience


def _carry_once(ways: tuple[_Way, _Way]) -> bool:
    """Carries what is there, or waits for it; False once a side has ended and nothing is under way."""
    ended = any(way.ended for way in ways)
    active = [way for way in ways if way.chunk or not ended]
    if not active:
        return False
    if any(way.is_late for way in active):
        raise TimeoutError
    readable, writable, _ = select.select(
        [way.waits_for for way in active if not way.needs_room],
        [way.waits_for for way in active if way.needs_room],
        (),
        0 if any(way.has_decrypted for way in active) else LOOK_EVERY,
    )
    for way in active:
        if way.has_decrypted or way.waits_for in (writable if way.needs_room else readable):
            way.go_on()
    return True
