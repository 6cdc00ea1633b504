"""What a server sends for the application: events, with and without an acknowledgement.

It is the base of `Server`. The caller encodes in its own thread and takes its snapshot of the recipients; the
loop does the rest. Only `call` and `call_async` wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any

from carboy.adapters.local import LocalAdapter
from carboy.exceptions import BlockingCallError
from carboy.runtime.acks import NOBODY, Ack, Answer, Answered, Lost
from carboy.runtime.client import Client
from carboy.runtime.cluster import Cluster
from carboy.runtime.hub import Hub
from carboy.runtime.log import Log
from carboy.runtime.message import Message
from carboy.runtime.unreached import tell_unreached
from carboy.socketio.packets import EVENT, Codec


class Emitting:
    """The part of a server that sends.

    Args:
        hub: whose outbox carries what is sent.
        adapter: who receives it.
        codec: encodes it.
        max_acks: acknowledgements that one client may owe.

    Attributes:
        log: where it tells what happens.
        cluster: the other processes, if there are any.
        find_others: joins them where this is a worker that has served nobody yet, which sets `cluster`.
        memory_connections: in-memory connections that are open; their clients are served in the caller's
            thread.
    """

    log: Log

    def __init__(
        self, hub: Hub, adapter: LocalAdapter[Client], codec: Codec, max_acks: int = sys.maxsize
    ) -> None:
        self._max_acks = max_acks
        self.hub = hub
        self.adapter = adapter
        self.codec = codec
        self.cluster: Cluster | None = None
        self.find_others: Callable[[], None] | None = None
        self.memory_connections = 0
        self._memory_lock = threading.RLock()
        self._ack_numbers: dict[str, Iterator[int]] = {}

    def emit(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable] | None = None,
        skip: Collection[str] = (),
        volatile: bool = False,
        everywhere: bool = True,
    ) -> None:
        """Sends an event. Never waits.

        Args:
            event: its name.
            arguments: what the client's handler is called with.
            namespace: the namespace.
            rooms: rooms or sids, of which one is enough; None means everybody, an empty one nobody.
            skip: sids that are left out.
            volatile: whether it is dropped for clients that cannot take it now.
            everywhere: whether clients of other processes are meant too.

        Raises:
            TypeError: if the arguments cannot be encoded.
            ValueError: if they contain themselves.
        """
        cluster = self.others() if everywhere else None
        if cluster is not None and rooms is not None:
            rooms = tuple(rooms)  # they are read twice
        recipients = self.adapter.recipients(namespace, rooms, skip)
        if self.log.progress:
            self.log.info("Sending the event %r in %r to %d clients here", event, namespace, len(recipients))
        if recipients:
            encoded = self.codec.encode(EVENT, namespace, None, [event, *arguments], b"4")
            self._distribute(Client.send, recipients, Message(*encoded, volatile))
        elif self.cluster is None and not self.memory_connections and not self.hub.running:
            tell_unreached(event, self.log)
        if cluster is not None and cluster.is_elsewhere(namespace, rooms):
            cluster.emit(event, arguments, namespace, rooms, skip, volatile=volatile)

    def emit_with_ack(
        self,
        event: str,
        arguments: Sequence[Any],
        answered: Answered,
        lost: Lost,
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable] | None = None,
        skip: Collection[str] = (),
        timeout: float | None = None,
        everywhere: bool = True,
    ) -> int:
        """Sends an event that each recipient is asked to acknowledge. Never waits.

        Args:
            event: its name.
            arguments: what the client's handler is called with.
            answered: called for each answer with the client (None for one of another process) and its
                arguments.
            lost: called for each answer that will not come, with the client (None if there is none, or none
                here) and why.
            namespace: the namespace.
            rooms: as in `emit`.
            skip: as in `emit`.
            timeout: seconds after which an answer counts as lost, None for no limit.
            everywhere: as in `emit`.

        Returns:
            How many clients of this process are asked.

        Raises:
            TypeError: if the arguments cannot be encoded.
            ValueError: if they contain themselves.
        """
        rooms = None if rooms is None else tuple(rooms)
        recipients = self.adapter.recipients(namespace, rooms, skip)
        cluster = self.others() if everywhere else None
        elsewhere = cluster is not None and cluster.is_elsewhere(namespace, rooms)
        if self.log.progress:
            self.log.info(
                "Sending the event %r in %r to %d clients here, for an answer",
                event,
                namespace,
                len(recipients),
            )
        if recipients:
            ack = self._ask(recipients, event, arguments, namespace, answered, lost)
            if timeout is not None and self.hub.running:
                self.hub.outbox.put(ack.start_timeout, timeout)
        elif not elsewhere:
            if self.cluster is None and not self.memory_connections and not self.hub.running:
                tell_unreached(event, self.log)
            self.on_loop(lost, None, NOBODY)
        if cluster is not None and elsewhere:
            cluster.ask(event, arguments, namespace, rooms, skip, answered, lost, timeout)
        return len(recipients)

    def call(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable],
        timeout: float | None = 60,
        everywhere: bool = True,
    ) -> list[Any]:
        """Sends an event and waits for the acknowledgement; the first counts if several clients are asked.

        Args:
            event: its name.
            arguments: what the client's handler is called with.
            namespace: the namespace.
            rooms: as in `emit`, but not everybody.
            timeout: seconds to wait, None for no limit.
            everywhere: as in `emit`.

        Returns:
            The arguments of the acknowledgement.

        Raises:
            TimeoutError: if none comes in time, and at once when none can come any more.
            BlockingCallError: in the loop's thread, which must not wait.
        """
        if self.hub.is_here:
            raise BlockingCallError(
                "call() would block the event loop; in a coroutine write `await call_async(...)`"
            )
        with self._asking(event, arguments, namespace, tuple(rooms), everywhere) as answer:
            answer.wait(timeout)
        return answer.result()

    async def call_async(
        self,
        event: str,
        arguments: Sequence[Any] = (),
        *,
        namespace: str = "/",
        rooms: Iterable[Hashable],
        timeout: float | None = 60,
        everywhere: bool = True,
    ) -> list[Any]:
        """The form of `call` that a coroutine awaits, on any loop; same arguments, result and errors."""
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()

        def notify() -> None:
            _settle_soon(loop, settled)

        with self._asking(event, arguments, namespace, tuple(rooms), everywhere, notify) as answer:
            await asyncio.wait((settled,), timeout=timeout)
        return answer.result()

    @contextlib.contextmanager
    def _asking(
        self,
        event: str,
        arguments: Sequence[Any],
        namespace: str,
        rooms: tuple[Hashable, ...],
        everywhere: bool,
        notify: Callable[[], None] | None = None,
    ) -> Iterator[Answer]:
        """Asks for one answer, and gives up on it at the end."""
        recipients = self.adapter.recipients(namespace, rooms)
        cluster = self.others() if everywhere else None
        elsewhere = cluster is not None and cluster.is_elsewhere(namespace, rooms)
        answer = Answer(event, len(recipients) + elsewhere, notify)
        asked = (answer.answered, answer.lost)
        ack = self._ask(recipients, event, arguments, namespace, *asked)
        number: int | None = None
        try:
            if cluster is not None and elsewhere:
                number = cluster.ask(event, arguments, namespace, rooms, (), *asked, None)
            elif not recipients:
                answer.lost(None, NOBODY)
            yield answer
        finally:
            if not answer.settled:
                self.on_loop(ack.give_up)
            if cluster is not None and number is not None:
                cluster.acks.give_up(number)

    def _ask(
        self,
        recipients: tuple[Client, ...],
        event: str,
        arguments: Sequence[Any],
        namespace: str,
        answered: Answered,
        lost: Lost,
    ) -> Ack:
        numbers = self._ack_numbers.setdefault(namespace, itertools.count())  # in one step, from any thread
        ack = Ack(self.hub, next(numbers) if recipients else 0, answered, lost, self._max_acks)
        encoded = self.codec.encode(EVENT, namespace, ack.number, [event, *arguments], b"4")
        self._distribute(ack.send, recipients, Message(*encoded))
        return ack

    def _distribute(
        self, send: Callable[[Client, Message], None], recipients: tuple[Client, ...], message: Message
    ) -> None:
        if self.memory_connections:
            recipients = self._serve_inline(send, recipients, message)
        if len(recipients) == 1:
            self.hub.outbox.put(send, recipients[0], message)
        elif recipients:
            self.hub.outbox.put(self.hub.fan_out, send, recipients, message)

    def _serve_inline(
        self, send: Callable[[Client, Message], None], recipients: tuple[Client, ...], message: Message
    ) -> tuple[Client, ...]:
        """Serves the in-memory clients among the recipients in the caller's thread and returns the others."""
        with self._memory_lock:
            for client in recipients:
                if client.connection.inline:
                    send(client, message)
        return tuple(client for client in recipients if not client.connection.inline)

    def others(self) -> Cluster | None:
        """Returns the other processes, found now if they can be, for what the application does."""
        if self.cluster is None and self.find_others is not None:
            self.find_others()
        return self.cluster

    def on_loop(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function on the loop; where there is none, here, as for in-memory clients."""
        if self.hub.running:
            self.hub.outbox.put(function, *arguments)
        else:
            with self._memory_lock:
                function(*arguments)


def _settle_soon(loop: asyncio.AbstractEventLoop, settled: asyncio.Future[None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop of the coroutine has ended
        loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: asyncio.Future[None]) -> None:
    if not settled.done():
        settled.set_result(None)
