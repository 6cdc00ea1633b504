"""What all drivers share: deadlines, the watch over an idle connection, what has arrived, and errors' texts.

A driver is a subclass that opens, sends, probes and ends a connection with the broker's own client library,
hands what comes to `_deliver` and what goes wrong to `_fail`.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from typing import Any

from carboy.adapters.broker_url import BrokerURL
from carboy.adapters.cancelling import cancel
from carboy.exceptions import BrokerError

# What the text of an error tells, and what to do about it. The first that is found counts.
HINTS = (
    (
        r"certificate|ssl|tls|wrong.?version",
        "check the certificates, and whether the broker speaks TLS on this port",
    ),
    (
        r"auth|password|credential|access.?refused|WRONGPASS|NOAUTH|NOPERM|denied|not allowed|permission",
        "check the user name and the password in the URL, and what that user may do",
    ),
    (r"name or service|name resolution|getaddrinfo|nodename|no address", "check the host name in the URL"),
    (r"no such file|ENOENT", "check the path in the URL, and that the broker runs"),
    (
        r"refused|reset|unreachable|not ready|no route|call failed|unable to connect|bootstrap|no servers",
        "check that it runs at this host and port",
    ),
    (r"no answer|timed? ?out", "check that it runs, the host and port, and that no firewall drops packets"),
    (r"too large|max.*payload|MessageSizeTooLarge", "raise the size that the broker allows for one message"),
)


class BrokerDriver(ABC):
    """A driver; see `carboy.adapters.driver.Driver` for its four methods.

    Args:
        url: where the broker is.
        timeout: seconds in which it must have connected, have taken a batch of messages, and, when nothing
            else comes from it, have answered a probe.
    """

    def __init__(self, url: BrokerURL, timeout: float) -> None:
        self.url = url
        self._timeout = timeout
        self._arrived: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._error: str | None = f"{url} is not connected"
        self._heard = False
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    # The port

    async def connect(self, channels: Sequence[str]) -> None:
        """Connects and subscribes."""
        await self.close()
        self._arrived, self._error = [], None
        try:
            await self._in_time(self._open(channels), self._timeout)
        except BaseException as error:
            self._fail(error)
            await self._give_up()
            if isinstance(error, Exception):
                raise BrokerError(self._error) from None  # what it came from may quote the password
            raise
        self._spawn(self._watch())

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publishes messages, and returns when the broker has them."""
        if self._error is not None:
            raise BrokerError(self._error)
        try:
            await self._in_time(self._send(messages), self._timeout)
        except BaseException as error:  # also when cancelled: the answers that were not read would mislead
            self._fail(error)
            if isinstance(error, Exception):
                raise BrokerError(self._error) from None
            raise

    async def receive(self) -> Sequence[bytes]:
        """Waits for messages."""
        while not self._arrived:
            if self._error is not None:
                raise BrokerError(self._error)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        messages, self._arrived = self._arrived, []
        self._heard = True
        return messages

    async def close(self) -> None:
        """Ends the connection."""
        self._fail(BrokerError("the connection was closed"))
        await self._give_up()

    # What a driver does in its own way

    @abstractmethod
    async def _open(self, channels: Sequence[str]) -> None:
        """Connects and subscribes; any exception means that it did not."""

    @abstractmethod
    async def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publishes, and waits until the broker has confirmed all."""

    @abstractmethod
    async def _probe(self) -> None:
        """Has the broker answer something, on the connection that receives."""

    @abstractmethod
    async def _end(self) -> None:
        """Ends what `_open` began, however far it came; may raise, and be called twice."""

    # What drivers call

    def _deliver(self, message: bytes) -> None:
        """Takes a message that has come."""
        self._arrived.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: BaseException) -> None:
        """Takes note that the connection is of no use any more; the first reason counts."""
        if self._error is None:
            self._error = self._describe(error)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something beside the connection, as long as that lasts; its failure is the connection's."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    async def _watch(self) -> None:
        """Notices a connection over which nothing comes any more."""
        while True:
            await asyncio.sleep(self._timeout / 2)
            self._heard = False
            try:
                await self._in_time(self._probe(), self._timeout / 2)
            except TimeoutError:
                if not self._heard:  # else the answer waits behind many messages
                    raise

    async def _in_time(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        try:
            await asyncio.wait_for(work, seconds)
        except asyncio.TimeoutError:  # not the builtin one before Python 3.11
            raise TimeoutError(f"no answer within {seconds:g} seconds") from None

    async def _give_up(self) -> None:
        tasks, self._tasks = self._tasks, []
        await cancel(tasks)
        # A task of its own: a library that is cut off may fail in any way, and even raise a CancelledError.
        ending = asyncio.ensure_future(self._end())
        await asyncio.wait([ending], timeout=self._timeout)
        if ending.cancel():
            await asyncio.wait([ending])
        elif not ending.cancelled():
            ending.exception()  # it may be gone already, which is what is wanted

    def _describe(self, error: BaseException) -> str:
        text = self.url.without_secrets(str(error).strip().rstrip(".") or type(error).__name__)
        reasons = (
            f"{text} {error.__cause__ or error.__context__}"  # some libraries keep the reason to themselves
        )
        hint = next((hint for found, hint in HINTS if re.search(found, reasons, re.IGNORECASE)), None)
        return f"{self.url}: {text}" + (f"; {hint}" if hint else "")
