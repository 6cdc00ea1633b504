"""What all attacks share: a server whose log is read, a client beside the attacker, and a look at what is left."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "front"), str(HERE.parent / "e2e")]

import serving  # found by the line above under every import mode

SECONDS = 5.0
LOGGERS = ("uvicorn.error", "asyncio")


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
        deadline = time.monotonic() + SECONDS
        while not self.site.call(condition):
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            time.sleep(0.002)


@pytest.fixture(scope="module")
def make_target() -> Iterator[Callable[..., Target]]:
    """Serve with options; every server of a file ends with it."""
    ends: list[Any] = []
    handler = Lines()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)

    def make(prepare: Callable[[Any], Any] = lambda server: None, **options: Any) -> Target:
        logger = logging.Logger("under attack")  # noqa: LOG001  # nobody else's
        logger.addHandler(handler)
        server = serving.make_server(logger=logger, **options)
        prepare(server)
        serve = serving.serve(server)
        ends.append(serve)
        target = Target(serve.__enter__(), handler)
        target.begin()
        return target

    yield make
    for serve in reversed(ends):
        serve.__exit__(None, None, None)
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(handler)


@pytest.fixture(scope="module")
def shared(make_target: Callable[..., Target]) -> Target:
    """One server with the default options for all tests of a file."""
    return make_target()


@pytest.fixture
def target(shared: Target) -> Iterator[Target]:
    """That server with a client beside the attacker, which notices nothing; afterwards nothing is left."""
    shared.begin()
    with shared.site.websocket() as bystander:
        yield shared
        began = time.monotonic()
        bystander.send_text('421["echo",1]')
        assert bystander.read_text() == "431[1]"
        assert time.monotonic() - began < 1
    shared.wait_for_nothing()
    assert shared.lines.tracebacks == []
