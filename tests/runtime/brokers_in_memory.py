"""A broker in memory that a test controls, and buses on it whose clock the test moves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from carboy.exceptions import BrokerError
from carboy.runtime.broker_bus import BrokerBus
from carboy.runtime.log import Log

PATIENCE = 10.0  # real seconds after which a condition that does not come true fails the test


def until(condition: Callable[[], Any]) -> None:
    """Waits until threads have made a condition true."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "the condition did not come true"
        time.sleep(0.001)


class ManualClockLoop(asyncio.SelectorEventLoop):
    """A loop in a thread of its own whose clock is moved by the test."""

    moment = 1000.0

    def time(self) -> float:
        """Returns where the test has moved the clock."""
        return self.moment


class Broker:
    """A broker in memory.

    Attributes:
        up: whether it can be reached.
        mute: whether it takes what is published and brings it to nobody.
        largest: bytes that a message may have.
        fail_after: messages that it takes of the next publish before that fails, None for all.
        attempts: how often somebody has tried to connect.
        published: the messages that it took.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.drivers: list[MemoryDriver] = []
        self.up = True
        self.mute = False
        self.largest = 1_000_000
        self.fail_after: int | None = None
        self.attempts = 0
        self.published: list[tuple[str, bytes]] = []

    def driver(self) -> MemoryDriver:
        """Makes a driver."""
        return MemoryDriver(self)

    def cut(self) -> None:
        """Goes down, with all connections."""
        self.up = False
        for driver in tuple(self.drivers):
            driver.lose()

    def take(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Brings messages to whoever subscribes to their channels."""
        if any(len(message) > self.largest for _, message in messages):
            raise BrokerError("a message is too large")
        with self.lock:
            count, self.fail_after = self.fail_after, None
            for channel, message in messages[:count]:
                self.published.append((channel, message))
                for driver in () if self.mute else self.drivers:
                    if channel in driver.channels:
                        driver.arrive(message)
        if count is not None:
            raise BrokerError("it has taken some")


class MemoryDriver:
    """A driver for `Broker`; see `carboy.adapters.driver.Driver`."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.channels: Sequence[str] = ()
        self.connected = False
        self.arrived: list[bytes] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.event = asyncio.Event()
        self.defect: Exception | None = None

    async def connect(self, channels: Sequence[str]) -> None:
        """Subscribes."""
        self.broker.attempts += 1
        self.loop = asyncio.get_running_loop()
        if not self.broker.up:
            raise BrokerError("memory:// is down")
        self.event, self.arrived = asyncio.Event(), []
        self.connected, self.channels = True, tuple(channels)
        with self.broker.lock:
            if self not in self.broker.drivers:
                self.broker.drivers.append(self)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Hands messages to the broker."""
        if not self.connected:
            raise BrokerError("memory:// is down")
        self.broker.take(messages)

    async def receive(self) -> Sequence[bytes]:
        """Waits for messages."""
        while not self.arrived:
            if self.defect is not None:
                error, self.defect = self.defect, None
                raise error
            if not self.connected:
                raise BrokerError("memory:// is down")
            self.event.clear()
            await self.event.wait()
        messages, self.arrived = self.arrived, []
        return messages

    async def close(self) -> None:
        """Unsubscribes."""
        self.connected = False
        with self.broker.lock:
            if self in self.broker.drivers:
                self.broker.drivers.remove(self)

    def arrive(self, message: bytes) -> None:
        """Takes a message, from any thread."""
        self.arrived.append(message)
        self.wake()

    def lose(self) -> None:
        """Loses the connection, from any thread."""
        self.connected = False
        with self.broker.lock:
            self.broker.drivers.remove(self)
        self.wake()

    def wake(self) -> None:
        """Wakes whoever receives."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.event.set)


class Node:
    """A bus and what it has received.

    Attributes:
        got: the messages.
        trouble: what the receiver raises, if anything.
    """

    def __init__(self, broker: Broker, log: Log, kept: int = 1000) -> None:
        self.loops: list[ManualClockLoop] = []
        self.got: list[bytes] = []
        self.trouble: Exception | None = None
        self.bus = BrokerBus(broker.driver, "memory://", "channel", log, kept, self._make_loop)

    def _make_loop(self) -> ManualClockLoop:
        self.loops.append(ManualClockLoop())
        return self.loops[-1]

    def receive(self, message: bytes) -> None:
        """Takes a message, as the bus delivers it."""
        self.got.append(message[message.index(b'"text"') :])
        if self.trouble is not None:
            raise self.trouble

    def start(self, *, listen: bool = True) -> None:
        """Begins, and waits until it is connected and knows the others."""
        self.bus.start(self.receive, lambda node: None, listen=listen)
        self.greet()

    def greet(self) -> None:
        """Waits until it is connected, and lets the others answer."""
        until(lambda: self.bus.connected)
        until(lambda: self.advance(0.3) or (self.bus.wait(0.001) and self.bus._settled.is_set()))

    def advance(self, seconds: float) -> None:
        """Moves the clock, and waits until what became due has been done."""
        loop = self.loops[-1]
        loop.moment += seconds
        for _ in range(3):
            done = threading.Event()
            loop.call_soon_threadsafe(done.set)
            assert done.wait(PATIENCE)

    def say(self, text: str, node: str | None = None) -> None:
        """Publishes a message."""
        self.bus.publish(b'{"method":"x","text":"%b"}' % text.encode(), node)

    def texts(self) -> list[str]:
        """Returns what it has received."""
        return [message.decode()[8:-2] for message in self.got]

    def hears(self, *texts: str) -> None:
        """Waits until it has received so much, and makes sure that it is this."""
        until(lambda: len(self.got) >= len(texts))
        assert self.texts() == list(texts)
