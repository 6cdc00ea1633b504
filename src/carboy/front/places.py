"""Bounds how many threads of a WSGI server wait at once, so that some are free for everything else."""

from __future__ import annotations

import threading


class Places:
    """A number of places, of which threads take one each without waiting.

    Args:
        bound: how many there are.

    Attributes:
        bound: how many there are.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._free = bound
        self._lock = threading.Lock()

    @property
    def available(self) -> bool:
        """Whether one is free."""
        return self._free > 0

    def acquire(self) -> bool:
        """Takes a place; False if none is free."""
        with self._lock:
            taken = self._free > 0
            self._free -= taken
            return taken

    def release(self) -> None:
        """Gives a place back."""
        with self._lock:
            self._free += 1
