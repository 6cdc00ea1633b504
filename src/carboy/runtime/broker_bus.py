"""The bus over a message broker: one thread with a loop of its own, which any process may have.

It needs no hub, so that a task queue's worker or a script has it too, and nothing that the broker does delays
a heartbeat. It starts with the first message or listener, never before a fork. What the broker loses
while it is down comes again as far as the ledgers remember it. It does not know what messages mean.
"""

from __future__ import annotations

import asyncio
import multiprocessing.util  # noqa: F401  (it ends buses)
import random
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4
from weakref import ref

from carboy.adapters.bus import Receive
from carboy.adapters.cancelling import cancel
from carboy.adapters.driver import Driver
from carboy.adapters.ledgers import Answer, Ledgers
from carboy.exceptions import BrokerError
from carboy.runtime.broker_queue import BrokerQueue
from carboy.runtime.forks import keep_for_good, tell_of_forks
from carboy.runtime.log import Log

FIRST_DELAY, LONGEST_DELAY = 0.1, 30.0
"""Seconds between two attempts to connect; it doubles, less a random part of up to a half."""

ECHO_TIME = 5.0
"""Seconds in which the broker must bring our own greeting back; then the connection counts as dead."""

GREETING_TIME = 0.25
"""Seconds in which other nodes answer our greeting; then `nodes` names them."""

IDLE_TIME = 20.0
"""Seconds without a message after which the connection is tried."""

TICK = 1.0
"""Seconds between two looks at what is missing."""

CLOSE_TIME = 5.0
"""Seconds in which what was published must reach the broker when the process ends."""

MOMENT = 0.5
"""Seconds that the end of the process may take where there is no hope that it will."""


class BusLoop(asyncio.SelectorEventLoop):
    """A loop that needs no further thread, which a process that is about to end can no longer start."""

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """Resolves a name, in the bus's own thread, where nothing else has to go on meanwhile."""
        return socket.getaddrinfo(*args, **kwargs)

    def __del__(self) -> None:
        """Closes nothing: it is closed, or it lacked files to be made, and asyncio's own would raise."""


class BrokerBus:
    """Carries messages over a broker.

    Args:
        make_driver: makes the driver; at once, since it checks its options, and again in a child.
        broker: what the log calls the broker, without its password.
        channel: the channel of the cluster.
        log: where it tells what happens.
        max_messages: messages that are kept, at most: those that wait for the broker, and as many that were
            sent, for those who missed them.
        make_loop: makes the loop, whose clock is the bus's.

    Attributes:
        node: the name of this process in the cluster.
        connected: whether messages go out and come in now.
        error: why they do not, or None.
    """

    complete = False  # processes of Flask-SocketIO do not tell that they are there

    def __init__(
        self,
        make_driver: Callable[[], Driver],
        broker: str,
        channel: str,
        log: Log,
        max_messages: int,
        make_loop: Callable[[], asyncio.AbstractEventLoop] = BusLoop,
    ) -> None:
        self._make_driver = make_driver
        self._make_loop = make_loop
        self._broker = broker
        self._channel = channel
        self._log = log
        self._max_messages = max_messages
        self._reset()
        tell_of_forks(self)

    def _reset(self) -> None:
        """Begins anew, also in a child after a fork, whose locks may be held by threads that it has not."""
        self.node = uuid4().hex
        self._driver = self._make_driver()
        self._queue = BrokerQueue(self.node, self._channel, self._max_messages, self._overflowed)
        self._receive: Receive | None = None
        self._starting = threading.Lock()
        self._told_missed = 0
        self._rest()

    def forked(self) -> None:
        """Begins anew in a child."""
        keep_for_good(dict(vars(self)))
        self._reset()

    def _rest(self) -> None:
        """Has no thread, as at first."""
        self.connected = self._listens = self._failed = self._closing = False
        self.error: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._wake = asyncio.Event()  # something waits, or the bus is to close
        self._again = asyncio.Event()  # other channels are wanted
        self._echoed = asyncio.Event()
        self._settled = threading.Event()  # connected and greeted, or failed to
        self._heard_at = 0.0

    # What other threads call

    def start(self, receive: Receive, gone: Callable[[str], None], *, listen: bool = True) -> None:
        """Begins; see `Bus.start`. Nobody waits for nodes here, so that `gone` is not called."""
        if self._thread is not None and (self._listens or not listen):
            return  # the usual case: called with each message
        with self._starting:
            self._receive = receive
            if listen and not self._listens:
                self._settled = threading.Event()  # another: a timer of the old connection may set that one
                self._listens = True
                self._call(self._again.set)
            if self._thread is None:
                self._begin()

    def wait(self, timeout: float) -> bool:
        """Waits until it is connected and greeted, or has failed to; see `Bus.wait`."""
        self._settled.wait(timeout)
        return self.connected

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Sends a message; see `Bus.publish`."""
        if self._queue.add(message, node):
            self._call(self._wake.set)

    def nodes(self) -> frozenset[str]:
        """Returns the other nodes that listen; see `Bus.nodes`."""
        return self._queue.ask(Ledgers.nodes)

    def forget(self, node: str) -> None:
        """Takes a node that is silent out of `nodes`, until it is heard again."""
        self._queue.ask(Ledgers.forget, node)

    @property
    def waiting(self) -> int:
        """Messages that wait for the broker."""
        return len(self._queue)

    @property
    def lost(self) -> int:
        """Messages of ours that were given up before the broker had them."""
        return self._queue.lost

    @property
    def missed(self) -> int:
        """Messages of other nodes that never came."""
        return self._queue.missed

    def close(self, timeout: float = CLOSE_TIME) -> None:
        """Sends what was published and ends; see `Bus.close`. A later `start` begins again."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._closing = True
        self._call(self._wake.set)
        if self.connected or (self._queue and not self._failed):
            thread.join(timeout)
        if thread.is_alive() and self._serving is not None:
            self._call(self._serving.cancel)
            thread.join(MOMENT)
        if self._queue:
            text = "%d messages have not reached %s, and are lost with this process"
            self._log.warning(text, len(self._queue), self._broker)
        if not thread.is_alive():
            self._rest()

    def _begin(self) -> None:
        """Starts the thread; where that fails, the next message tries again."""
        self._settled.clear()
        loop: asyncio.AbstractEventLoop | None = None
        try:
            loop = self._make_loop()
            thread = threading.Thread(target=self._run, args=(loop,), name="carboy-bus", daemon=True)
            thread.start()
        except (OSError, RuntimeError) as error:  # no file or thread is left, or the interpreter ends
            if loop is not None:
                loop.close()
            self.error = str(error)
            self._settled.set()
            text = "The connection to %s could not begin: %s. The next message to other processes tries again"
            self._log.rarely("bus", text, self._broker, error)
        else:
            self._thread = thread
            self._close_at_exit()

    def _call(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(function)

    def _overflowed(self) -> None:
        text = "Too many messages wait for %s: the oldest are lost (option max_queue_messages)"
        self._log.rarely("queue full", text, self._broker)

    def _close_at_exit(self) -> None:
        """Closes when the process ends; children of multiprocessing and of Celery do so without `atexit`."""
        for name in {"multiprocessing.util", "billiard.util"} & sys.modules.keys():
            sys.modules[name].Finalize(None, _close, (ref(self),), exitpriority=100)

    # The thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._serving = loop.create_task(self._serve())
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(self._serving)
        finally:
            self._settled.set()
            loop.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay = FIRST_DELAY
        try:
            while not self._is_over():
                self._again.clear()
                if not await self._carry():
                    await self._pause()
        finally:
            self._loop = None
            await self._driver.close()

    async def _carry(self) -> bool:
        """Carries messages while the connection lasts; returns False if it has failed."""
        own = self._queue.name(self.node)
        self._greeted = self._settled  # before it looks at `_listens`: who wants to listen later waits longer
        try:
            await self._driver.connect([self._channel, own] if self._listens else [own])
            await self._work()
        except BrokerError as error:
            self._tell(error)
        except Exception as error:  # noqa: BLE001  (a defect must not cost more than the connection)
            self._log.exception("The connection to %s has failed", self._broker, error=error)
            self._failed = True
            self._settled.set()
        else:
            return True
        finally:
            self.connected = False
        return False

    def _is_over(self) -> bool:
        # With messages left a first attempt to connect is made, however short the process lives.
        return self._closing and (not self._queue or self._failed)

    async def _work(self) -> None:
        """Carries messages until the connection fails, or is to be made anew."""
        works = self._listen(), self._send(), self._watch(), self._again.wait()
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(tasks)
        for task in done:
            task.result()

    async def _listen(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            before = self._queue.echoes
            for data in await self._driver.receive():
                self._heard_at = now()
                self._handle(*self._queue.ask(Ledgers.take, data, now()))
            if self._queue.echoes > before:
                self._echoed.set()

    def _handle(self, deliver: list[bytes], answers: list[Answer]) -> None:
        if answers:
            self._queue.add_answers(answers)
            self._wake.set()
        for message in deliver:
            try:
                assert self._receive is not None
                self._receive(message)
            except Exception as error:  # noqa: BLE001, PERF203 (a defect must not cost the other messages)
                self._log.exception("A message of another process could not be served", error=error)

    async def _send(self) -> None:
        await self._try()
        self._greet()
        while True:
            while self._queue:
                await self._send_batch()
            if self._closing:
                await self._driver.publish([(self._channel, self._queue.ask(Ledgers.bye))])
                return
            self._wake.clear()
            if not self._queue:
                await self._wake.wait()

    def _greet(self) -> None:
        loop = asyncio.get_running_loop()
        self._tell_connected()
        self._queue.add_answers(self._queue.ask(Ledgers.connected, loop.time(), listens=self._listens))
        loop.call_later(GREETING_TIME, self._greeted.set)

    async def _try(self) -> None:
        """Makes sure that what is published comes back."""
        self._echoed.clear()
        await self._driver.publish([(self._queue.name(self.node), self._queue.ask(Ledgers.hello))])
        try:
            await asyncio.wait_for(self._echoed.wait(), ECHO_TIME)
        except asyncio.TimeoutError:
            raise BrokerError(f"what is published does not come back within {ECHO_TIME:g} seconds") from None

    async def _send_batch(self) -> None:
        batch = self._queue.take_batch()
        try:
            await self._driver.publish(batch)
        except BaseException as error:
            if self._queue.put_back(batch, failed=isinstance(error, BrokerError)):
                size = len(batch[0][1])
                self._log.warning("%s refuses a message of %d bytes, which is lost", self._broker, size)
            raise
        self._queue.published(len(batch))

    async def _watch(self) -> None:
        """Asks for what is missing, and tries the connection when nothing has come for a while."""
        now = asyncio.get_running_loop().time
        self._heard_at = now()
        while True:
            await asyncio.sleep(TICK)
            self._handle(*self._queue.ask(Ledgers.tick, now()))
            self._tell_missed()
            if now() - self._heard_at >= IDLE_TIME:
                await self._try()

    async def _pause(self) -> None:
        """Waits before the next attempt to connect, less if the bus is to close."""
        if self._closing:
            return
        delay, self._delay = self._delay, min(2 * self._delay, LONGEST_DELAY)
        self._wake.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until_closing(), delay * (1 - random.random() / 2))  # noqa: S311

    async def _until_closing(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()

    # What the log tells

    def _tell_connected(self) -> None:
        if self._failed:
            self._log.warning("Connected to %s again; %d messages waited", self._broker, len(self._queue))
        else:
            self._log.info("Connected to %s, channel %s", self._broker, self._channel)
        self.connected, self._failed, self.error = True, False, None
        self._delay = FIRST_DELAY

    def _tell(self, error: BrokerError) -> None:
        if not self._failed and not self._closing:
            text = "No connection to the message queue %s. This process goes on alone and tries again"
            self._log.warning(text, error)
        self._failed, self.error = True, str(error)
        self._settled.set()

    def _tell_missed(self) -> None:
        missed = self._queue.missed
        if missed > self._told_missed:
            self._told_missed = missed
            text = "%d messages of other processes have never come through %s"
            self._log.warning(text, missed, self._broker)


def _close(bus: ref[BrokerBus]) -> None:
    found = bus()
    if found is not None:
        found.close()
