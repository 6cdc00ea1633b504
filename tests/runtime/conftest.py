"""A server on a loop whose clock stands until a test moves it, and clients that live in memory.

Handler threads are real. A test waits for them by what they did (`settle`, `until`), never for a time.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carboy.config import Config
from carboy.runtime.client import Client
from carboy.runtime.connection import Connection
from carboy.runtime.draining import drain
from carboy.runtime.handlers import Handler
from carboy.runtime.message import Message
from carboy.runtime.server import Server
from carboy.socketio.packets import ACK, CONNECT, DISCONNECT, EVENT

sys.path.insert(0, str(Path(__file__).parent))

PATIENCE = 10.0  # real seconds after which a condition that does not come true fails the test


class ManualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is moved by the test."""

    moment = 1000.0

    def time(self) -> float:
        """Returns where the test has moved the clock."""
        return self.moment

    def turn(self) -> None:
        """Runs one round: what is ready, and what threads have asked for."""
        self.call_soon(self.stop)
        self.run_forever()

    def until(self, condition: Callable[[], Any]) -> None:
        """Runs rounds until a condition is true."""
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up, "the condition did not come true"
            self.turn()
            time.sleep(0)

    def advance(self, seconds: float) -> None:
        """Moves the clock and runs what has become due."""
        self.moment += seconds
        self.turn()
        self.turn()


class Wire:
    """The far end of a connection, which keeps what it is given: a transport in memory.

    Attributes:
        packets: the Engine.IO packets that were written, with their type digit.
        writes: how many messages each write had.
        ready: whether it takes output; else the connection has to keep it.
        unsent: bytes that it reports as written but not gone.
        stalled: whether it reports that its output piles up.
        closed: the code that it was closed with.
    """

    def __init__(self, name: str = "websocket") -> None:
        self.name = name
        self.packets: list[bytes] = []
        self.writes: list[int] = []
        self.ready = True
        self.unsent = 0
        self.stalled = False
        self.closed: int | None = None
        self.released = 0
        self.hurried = 0
        self.reading = True
        self.receiver: Any = None

    def bind(self, receiver: Any) -> None:
        """Notes who takes what comes."""
        self.receiver = receiver

    def write(self, messages: list[Message]) -> bool:
        """Keeps what is written, if the wire is ready."""
        if not self.ready:
            return False
        self.writes.append(len(messages))
        for message in messages:
            self.packets += message.packets()
        return True

    def backlog(self) -> int:
        """Returns what the test has set."""
        return self.unsent

    def close(self, code: int) -> None:
        """Notes the code."""
        self.closed = code

    def release(self) -> None:
        """Counts."""
        self.released += 1

    def hurry(self) -> None:
        """Counts."""
        self.hurried += 1

    def pause_reading(self) -> None:
        """Notes that nothing is read."""
        self.reading = False

    def resume_reading(self) -> None:
        """Notes that it is read."""
        self.reading = True


class Peer:
    """A client: its end of the wire, and the packets that it got."""

    def __init__(self, world: World, environ: dict[str, Any], transport: str) -> None:
        self.world = world
        self.wire = Wire(transport)
        self.connection: Connection = world.server.open_session(environ, transport)
        self.wire.bind(self.connection)
        self.connection.open(self.wire)
        self._read = 0

    def send(self, type: int, namespace: str = "/", number: int | None = None, data: Any = None) -> None:
        """Sends a packet; its consequences come with the next round."""
        text, binaries = self.world.server.codec.encode(type, namespace, number, data, b"4")
        if text is not None:
            self.connection.receive_text(text)
        for binary in binaries:
            self.connection.receive_binary(binary)

    def emit(self, event: Any, *arguments: Any, namespace: str = "/", number: int | None = None) -> None:
        """Sends an event."""
        self.send(EVENT, namespace, number, [event, *arguments])

    def acknowledge(self, number: int, *arguments: Any, namespace: str = "/") -> None:
        """Answers an event of the server."""
        self.send(ACK, namespace, number, list(arguments))

    def ask(self, namespace: str = "/", auth: Any = None) -> None:
        """Sends a CONNECT."""
        self.send(CONNECT, namespace, None, auth)

    def join(self, namespace: str = "/", auth: Any = None) -> Client:
        """Joins a namespace, with everything that follows from it; returns the server's side."""
        self.ask(namespace, auth)
        self.world.settle()
        self.received()
        return self.connection.clients[namespace]

    def leave(self, namespace: str = "/") -> None:
        """Leaves a namespace."""
        self.send(DISCONNECT, namespace)

    def received(self) -> list[tuple[Any, ...]]:
        """Returns the Socket.IO packets since the last call: (type, namespace, id, data)."""
        new, self._read = self.wire.packets[self._read :], len(self.wire.packets)
        decode = self.world.server.codec.decode_text
        return [decode(packet, 1) for packet in new if packet[:1] == b"4"]

    def events(self) -> list[list[Any]]:
        """Returns the events among them: name and arguments."""
        return [data for type, _, _, data in self.received() if type == EVENT]


class World:
    """A server, its loop, its clients, and what was logged, from warnings upwards."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.loop = ManualLoop()
        self.lines: list[logging.LogRecord] = []
        logger = logging.Logger("world", logging.WARNING)  # noqa: LOG001
        logger.addHandler(_Keep(self.lines))
        self.server = Server(Config.from_options({"logger": logger, **options}))
        self.hub = self.server.hub
        self.hub.attach(self.loop)

    def peer(self, transport: str = "websocket", **environ: Any) -> Peer:
        """Opens an engine session."""
        return Peer(self, {"REMOTE_ADDR": "192.0.2.1", **environ}, transport)

    def on(self, event: str, namespace: str = "/") -> Callable[[Any], Any]:
        """Registers a handler, which is called with the client and the arguments."""

        def register(function: Any) -> Any:
            handler = Handler(function, lambda client, event, arguments: function(client, *arguments))
            self.server.handlers.register(namespace, event, handler)
            return function

        return register

    def turn(self) -> None:
        """Runs one round of the loop."""
        self.loop.turn()

    def until(self, condition: Callable[[], Any]) -> None:
        """Runs the loop until a condition is true."""
        self.loop.until(condition)

    def advance(self, seconds: float) -> None:
        """Moves the clock."""
        self.loop.advance(seconds)

    def hand_off(self) -> None:
        """Lets the time go by after which a thread inside a handler is no longer waited for."""
        for _ in range(6):
            self.advance(0.006)

    def settle(self) -> None:
        """Runs the loop until handlers, outbox and loop have nothing left to do."""
        self.loop.until(lambda: not self.hub.threads.active and not self.hub.outbox.pending and self._idle())
        self.turn()

    def settle_loop(self) -> None:
        """Runs the loop until outbox and loop have nothing left to do, whatever handlers do."""
        self.loop.until(lambda: not self.hub.outbox.pending and self._idle())

    def _idle(self) -> bool:
        return not self.loop._ready

    def warnings(self) -> list[str]:
        """Returns the lines of the log from warnings upwards."""
        return [line.getMessage() for line in self.lines if line.levelno >= logging.WARNING]

    def tracebacks(self) -> list[BaseException]:
        """Returns the exceptions that were logged with their traceback."""
        return [line.exc_info[1] for line in self.lines if line.exc_info]

    def close(self) -> None:
        """Stops the server; a second time changes nothing."""
        if self.loop.is_closed():
            return
        draining = self.loop.create_task(drain(self.server, 0.0))
        self.loop.until(draining.done)
        draining.result()
        self.hub.detach()
        self.loop.close()


class _Keep(logging.Handler):
    def __init__(self, lines: list[logging.LogRecord]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record)


@pytest.fixture
def lines() -> list[logging.LogRecord]:
    """What was logged with `logger`."""
    return []


@pytest.fixture
def logger(lines: list[logging.LogRecord]) -> logging.Logger:
    """A logger as an application may have one; no other logger knows it."""
    logger = logging.Logger("application", logging.INFO)  # noqa: LOG001
    logger.addHandler(_Keep(lines))
    return logger


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Makes worlds from options of the server."""
    worlds: list[World] = []

    def make(**options: Any) -> World:
        worlds.append(World(options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with the default options."""
    return make_world()


@pytest.fixture
def wire() -> type[Wire]:
    """The transport in memory."""
    return Wire


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    """A loop whose clock stands."""
    made = ManualLoop()
    yield made
    made.close()
