"""Log lines for people: plain sentences, and never a flood of them.

What peers do wrong is told once per kind and interval, with the number of times that it was not told.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

TEXT = "%.100r"
"""How a line shows what a peer has written: quoted, and not in any length."""

QUIET_FOR = 10.0
"""Seconds for which a kind of line is not repeated."""


class Log:
    """The log of one server.

    Args:
        option: the value of the option `logger`: True for progress, False for warnings and errors, or a
            logger.
        name: the name of the logger that is used otherwise.
        clock: tells the time in seconds, by which lines are repeated.

    Attributes:
        logger: where the lines go.
        progress: whether each client and event is told of, as the option and the logger's level were at the
            start.
    """

    def __init__(
        self, option: Any = False, name: str = "carboy", clock: Callable[[], float] = monotonic
    ) -> None:
        given = isinstance(option, logging.Logger)
        self.logger: logging.Logger = option if given else _logger(name, progress=bool(option))
        self.progress = bool(option) and self.logger.isEnabledFor(logging.INFO)
        self._clock = clock
        self._lock = threading.Lock()
        self._quiet: dict[str, tuple[float, int]] = {}

    def info(self, message: str, *args: Any) -> None:
        """Tells about progress."""
        self.logger.info(message, *args)

    def warning(self, message: str, *args: Any) -> None:
        """Tells about something that the application or the operator should look at."""
        self.logger.warning(message, *map(_without_frames, args))

    def exception(self, message: str, *args: Any, error: BaseException) -> None:
        """Tells about an exception, with its traceback."""
        self.logger.error(message, *args, exc_info=(type(error), error, error.__traceback__))

    def rarely(self, kind: str, message: str, *args: Any) -> None:
        """Warns, unless a line of the same kind was written a moment ago.

        Args:
            kind: what is counted together; from a fixed set, never from a peer.
            message: the line, with placeholders as in `logging`.
            *args: what goes into them.
        """
        now = self._clock()
        with self._lock:
            until, untold = self._quiet.get(kind, (0.0, 0))
            if now < until:
                self._quiet[kind] = until, untold + 1
                return
            self._quiet[kind] = now + QUIET_FOR, 0
        if untold:
            message += f" ({untold} more like this since the last such line)"
        self.logger.warning(message, *map(_without_frames, args))


def _without_frames(argument: Any) -> Any:
    """Turns an exception into its text: a handler that keeps lines would keep all frames of its traceback."""
    return str(argument) if isinstance(argument, BaseException) else argument


def _logger(name: str, *, progress: bool) -> logging.Logger:
    logger = logging.getLogger(name)
    if progress:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
            logger.addHandler(handler)
    return logger
