"""A server under attack: its log, and what it keeps of its clients."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import serving

SECONDS = 5.0


class Lines(logging.Handler):
    """What was logged, by us, by uvicorn or by asyncio."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        """The lines, without tracebacks."""
        return [record.getMessage() for record in self.records]

    @property
    def tracebacks(self) -> list[str]:
        """The lines that have a traceback."""
        return [record.getMessage() for record in self.records if record.exc_info]


class Target:
    """A server under attack.

    Attributes:
        site: the server.
        lines: its log.
    """

    def __init__(self, site: serving.Site, lines: Lines) -> None:
        self.site = site
        self.lines = lines
        self.server = site.server

    def begin(self) -> None:
        """Forget what was before."""
        self.site.forget()
        self.server.log._quiet.clear()
        self.lines.records.clear()

    def end_polling(self) -> None:
        """End the sessions that were left open on purpose; the bystander's is on a websocket."""
        self.site.call(self._end_polling)

    def _end_polling(self) -> None:
        for connection in tuple(self.server.connections.values()):
            if connection.session.transport == "polling":
                connection.transport_lost(connection.transport, "the test is over")

    def kept(self) -> dict[str, Any]:
        """Return what the server keeps of its clients, in the loop's thread."""
        server, state = self.server, self.site.embedded._uvicorn.server_state
        return {
            "sessions": dict(server.connections),
            "rooms": server.adapter.namespaces(),
            "leaving": dict(server.lifecycle.leaving),
            "timers": [item for bucket in server.hub.timers._buckets.values() for item in bucket],
            "coroutines": set(server.hub.tasks),
            "unconnected": server.admission.unconnected,
            "handshakes": server.admission.handshakes,
            "connections": set(state.connections),
            "requests": set(state.tasks),
        }

    def skip(self, seconds: float) -> None:
        """Let time pass at once, for all that is on the timer wheel."""
        hub = self.server.hub
        before = hub.now
        hub.now = lambda: before() + seconds  # type: ignore[method-assign]
        self.site.call(hub._turn_wheel)

    def wait_for_nothing(self, seconds: float = SECONDS) -> None:
        """Wait until nothing is kept, and fail with what is."""
        deadline = time.monotonic() + seconds
        while any((kept := self.site.call(self.kept)).values()):
            if time.monotonic() > deadline:
                left = {name: value for name, value in kept.items() if value}
                raise AssertionError(f"kept after the end: {left}")
            time.sleep(0.002)

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something that becomes true in the loop's thread."""
        self.site.wait_until(condition, what, SECONDS)
