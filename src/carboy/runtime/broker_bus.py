"""The bus over a message broker: one thread with a loop of its own, which any process may have.

It needs no hub, so that a task queue's worker or a script has it too, and nothing that the broker does delays
a heartbeat. It starts with the first message or listener, never before a fork. What the broker loses
while it is down comes again as far as the ledgers remember it. It does not know what messages mean.
"""

from __future__ import annotations

import asyncio
import multiprocessing.util  # noqa: F401  (it ends buses)
import os
import random
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4
from weakref import WeakSet, ref

from carboy.adapters.bus import Receive
from carboy.adapters.driver import Driver
from carboy.adapters.ledgers import Answer, Ledgers
from carboy.exceptions import BrokerError
from carboy.runtime.log import Log

BATCH = 500
"""Messages that are published at once."""

FIRST_DELAY, LONGEST_DELAY = 0.1, 30.0
"""Seconds between two attempts to connect; it doubles, less a random part of up to a half."""

ECHO_TIME = 5.0
"""Seconds in which the broker must bring our own greeting back; then the connection counts as dead."""

IDLE_TIME = 20.0
"""Seconds without a message after which the connection is tried."""

TICK = 1.0
"""Seconds between two looks at what is missing."""

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of messages that are kept, at most."""

CLOSE_TIME = 5.0
"""Seconds in which what was published must reach the broker when the process ends."""


class BrokerBus:
    """Carries messages over a broker.

    Args:
        make_driver: makes the driver; at once, since it checks its options, and again in a child.
        broker: what the log calls the broker, without its password.
        channel: the channel of the cluster.
        log: where it tells what happens.
        max_messages: messages that are kept, at most: those that wait for the broker, and as many that were
            sent, for those who missed them.

    Attributes:
        node: the name of this process in the cluster.
        lost: messages of ours that were given up before the broker had them.
        connected: whether messages go out and come in now.
        error: why they do not, or None.
    """

    complete = False  # processes of Flask-SocketIO do not tell that they are there

    def __init__(
        self, make_driver: Callable[[], Driver], broker: str, channel: str, log: Log, max_messages: int
    ) -> None:
        self._make_driver = make_driver
        self._broker = broker
        self._channel = channel
        self._log = log
        self._max_messages = max_messages
        self._reset()
        _buses.add(self)

    def _reset(self) -> None:
        """Begins anew, also in a child after a fork, whose locks may be held by threads that it has not."""
        self.node = uuid4().hex
        self._driver = self._make_driver()
        self.lost = 0
        self.connected = False
        self.error: str | None = None
        self._listens = False
        self._receive: Receive | None = None
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._ledgers = Ledgers(self.node, self._max_messages, MAX_BYTES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failed = False
        self._closing = False
        self._settled = threading.Event()  # connected, or failed to
        self._heard_at = 0.0
        self._told_missed = 0

    # What other threads call

    def start(self, receive: Receive, gone: Callable[[str], None], *, listen: bool = True) -> None:
        """Begins; see `Bus.start`. A node that ends is not heard of here."""
        if self._thread is not None and (self._listens or not listen):
            return  # the usual case: called with each message
        with self._lock:
            self._receive = receive
            if listen and not self._listens:
                self._listens = True
                self._settled.clear()
                self._call(self._connect_anew)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="carboy-bus", daemon=True)
                self._thread.start()
                self._close_at_exit()

    def wait(self, timeout: float) -> bool:
        """Waits until it is connected, or has failed to; see `Bus.wait`."""
        self._settled.wait(timeout)
        return self.connected

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Sends a message; see `Bus.publish`."""
        with self._lock:
            was_idle = not self._waiting
            self._append(node, self._ledgers.stamp(message, node))
            if was_idle:
                self._call(self._wake_publisher)

    def nodes(self) -> frozenset[str]:
        """Returns the other nodes that listen; see `Bus.nodes`."""
        return self._ledgers.nodes()

    def forget(self, node: str) -> None:
        """Forgets a node that is silent, until it is heard again."""
        self._ledgers.forget(node)

    @property
    def waiting(self) -> int:
        """Messages that wait for the broker."""
        return len(self._waiting)

    @property
    def missed(self) -> int:
        """Messages of other nodes that never came."""
        return self._ledgers.missed

    def close(self, timeout: float = CLOSE_TIME) -> None:
        """Sends what was published and ends; see `Bus.close`."""
        thread, self._closing = self._thread, True
        if thread is None:
            return
        with self._lock:
            self._call(self._wake_publisher)
        thread.join(timeout)
        if self._waiting:
            self._log.warning(
                "%d messages have not reached %s, and are lost with this process",
                len(self._waiting),
                self._broker,
            )
            self._call(self._stop)
        with suppress(ValueError):
            _buses.discard(self)

    def _name(self, node: str | None) -> str:
        """Returns the name of the channel of one node, or of all."""
        return self._channel if node is None else f"{self._channel}.{node}"

    def _append(self, node: str | None, message: bytes) -> None:
        self._waiting.append((self._name(node), message))
        self._waiting_bytes += len(message)
        while len(self._waiting) > self._max_messages or self._waiting_bytes > MAX_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
            self.lost += 1
            self._log.rarely(
                "queue full",
                "Too many messages wait for %s: the oldest are lost (option max_queue_messages)",
                self._broker,
            )

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(function)

    def _close_at_exit(self) -> None:
        """Closes when the process ends; children of multiprocessing and of Celery do so without `atexit`."""
        for name in ("multiprocessing.util", "billiard.util"):
            if name in sys.modules:
                sys.modules[name].Finalize(None, _close, (ref(self),), exitpriority=100)

    # The thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  (a defect, which costs no more than the bus)
            self._log.exception("The message queue is no longer served", error=error)
            self._settled.set()

    async def _serve(self) -> None:
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self._echoed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        driver = self._driver
        delay = FIRST_DELAY
        try:
            while not self._is_over():
                self._again.clear()
                try:
                    await self._connect(driver)
                    delay = FIRST_DELAY
                    await self._carry(driver)
                except BrokerError as error:
                    self._tell(error)
                    await self._pause(delay)
                    delay = min(2 * delay, LONGEST_DELAY)
        finally:
            self.connected = False
            await driver.close()
            self._loop = None

    def _is_over(self) -> bool:
        # With messages left a first attempt to connect is made, however short the process lives.
        return self._closing and (not self._waiting or self._failed)

    async def _connect(self, driver: Driver) -> None:
        own = self._name(self.node)
        await driver.connect([self._channel, own] if self._listens else [own])

    async def _carry(self, driver: Driver) -> None:
        """Carries messages until the connection fails, or is to be made anew."""
        tasks = [
            asyncio.ensure_future(work)
            for work in (self._listen(driver), self._send(driver), self._watch(driver), self._again.wait())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self.connected = False
        for task in done:
            task.result()

    async def _listen(self, driver: Driver) -> None:
        now = asyncio.get_running_loop().time
        while True:
            for data in await driver.receive():
                self._heard_at = now()
                self._handle(*self._ledgers.take(data, now(), listens=self._listens))
            self._echoed.set()

    def _handle(self, deliver: list[bytes], answers: list[Answer]) -> None:
        for node, answer in answers:
            self._put(node, answer)
        for message in deliver:
            if self._receive is not None:
                self._receive(message)
        if self._ledgers.missed > self._told_missed:
            self._told_missed = self._ledgers.missed
            self._log.warning(
                "%d messages of other processes have never come through %s", self._told_missed, self._broker
            )

    def _put(self, node: str | None, message: bytes) -> None:
        """Puts a message without a number behind all others, since what it says counts after them."""
        with self._lock:
            self._append(node, message)
        self._wake.set()

    async def _send(self, driver: Driver) -> None:
        await self._try(driver)
        self._connected()
        self._put(None, self._ledgers.hello(listens=self._listens))
        while True:
            while self._waiting:
                await self._send_batch(driver)
            if self._closing:
                return
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()

    async def _try(self, driver: Driver) -> None:
        """Makes sure that what is published comes back."""
        self._echoed.clear()
        await driver.publish([(self._name(self.node), self._ledgers.hello())])
        try:
            await asyncio.wait_for(self._echoed.wait(), ECHO_TIME)
        except asyncio.TimeoutError:
            raise BrokerError(f"what is published does not come back within {ECHO_TIME:g} seconds") from None

    async def _send_batch(self, driver: Driver) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._waiting_bytes -= sum(len(message) for _, message in batch)
        try:
            await driver.publish(batch)
        except BaseException:
            with self._lock:  # some may have gone out: who hears them twice knows them by their numbers
                self._waiting.extendleft(reversed(batch))
                self._waiting_bytes += sum(len(message) for _, message in batch)
            raise

    async def _watch(self, driver: Driver) -> None:
        """Asks for what is missing, and tries the connection when nothing has come for a while."""
        now = asyncio.get_running_loop().time
        self._heard_at = now()
        while True:
            await asyncio.sleep(TICK)
            self._handle(*self._ledgers.tick(now()))
            if now() - self._heard_at >= IDLE_TIME:
                await self._try(driver)

    def _connected(self) -> None:
        if self._failed:
            self._log.warning("Connected to %s again; %d messages waited", self._broker, len(self._waiting))
        else:
            self._log.info("Connected to %s, channel %s", self._broker, self._channel)
        self.connected, self._failed, self.error = True, False, None
        self._settled.set()

    def _tell(self, error: BrokerError) -> None:
        if not self._failed and not self._closing:
            self._log.warning(
                "No connection to %s: %s. This process goes on alone and tries again", self._broker, error
            )
        self._failed, self.error = True, str(error)
        self._settled.set()

    async def _pause(self, delay: float) -> None:
        if self._closing:
            return
        self._wake.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until_closing(), delay * (1 - random.random() / 2))  # noqa: S311

    async def _until_closing(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()

    def _wake_publisher(self) -> None:
        self._wake.set()

    def _connect_anew(self) -> None:
        self._again.set()

    def _stop(self) -> None:
        for task in asyncio.all_tasks():
            task.cancel()


def _close(bus: ref[BrokerBus]) -> None:
    found = bus()
    if found is not None:
        found.close()


_buses: WeakSet[BrokerBus] = WeakSet()


def _after_fork() -> None:
    for bus in tuple(_buses):
        bus._reset()  # noqa: SLF001


if hasattr(os, "register_at_fork"):  # everywhere but on Windows
    os.register_at_fork(after_in_child=_after_fork)
