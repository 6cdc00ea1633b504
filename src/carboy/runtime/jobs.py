"""How the application's code is run: plain functions on handler threads, coroutine functions on the loop.

The jobs of one connection start in the order of arrival, whatever they are: a coroutine waits until the plain
functions before it have started, a plain function until the coroutines before it have begun. With
`async_handlers=False` each waits until the one before it has ended. What waits is counted for back-pressure.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from carboy.runtime.client import Client
from carboy.runtime.connection import Connection
from carboy.runtime.handlers import LIFECYCLE_EVENTS, Handler
from carboy.runtime.hub import Hub

Done = Callable[[Client, Any, Any, "BaseException | None"], None]
"""What to do after a handler: called with the client, the job's token, the result and the exception."""

Job = tuple[Client, Handler, Any, tuple[Any, ...], Done, Any]


class Jobs:
    """Runs handlers for clients.

    Args:
        hub: where the threads and the loop are.
        max_queued: how much of one connection may wait before it is not read.
        one_at_a_time: whether a connection's jobs run strictly one after another.
    """

    def __init__(self, hub: Hub, max_queued: int, *, one_at_a_time: bool) -> None:
        self._hub = hub
        self._max_queued = max_queued
        self._one_at_a_time = one_at_a_time

    def start(
        self,
        client: Client,
        handler: Handler,
        event: Any,
        arguments: tuple[Any, ...],
        done: Done,
        token: Any = None,
    ) -> None:
        """Runs a handler when its turn comes; only in the loop's thread, or anywhere for in-memory clients.

        Args:
            client: whose event it is.
            handler: what answers it.
            event: the name of the event.
            arguments: the handler's arguments.
            done: called after the handler, in the thread in which it ran.
            token: passed to `done`.
        """
        connection = client.connection
        job = (client, handler, event, arguments, done, token)
        if connection.inline:
            _run_here(job)
            return
        if self._one_at_a_time or handler.is_async or connection.queue is not None or connection.beginning:
            self._arrange(connection, job)
        else:  # the hot path
            connection.submitted += 1
            self._hub.threads.submit(handler, connection, self._run, *job)
        if connection.submitted - connection.started + connection.held >= self._max_queued:
            connection.review()

    def start_apart(self, client: Client, handler: Handler, arguments: tuple[Any, ...], done: Done) -> None:
        """Runs a function that belongs to no event, ahead of the client's jobs that wait for one another.

        A handler may wait for what it does. Arguments as for `start`; the name of the event is None.
        """
        connection = client.connection
        job = (client, handler, None, arguments, done, None)
        if connection.inline:
            _run_here(job)
        elif handler.is_async:
            connection.held += 1
            self._hub.handler_tasks.start(self._run_coroutine, job)
        else:
            connection.submitted += 1
            self._hub.threads.submit(handler, connection, self._run, *job)

    # Whose turn it is; in the loop's thread

    def _arrange(self, connection: Connection, job: Job) -> None:
        """Puts a job behind those of its connection, and begins what may begin."""
        if connection.queue is not None:
            connection.queue.append(job)
            connection.held += 1
        elif self._one_at_a_time:
            connection.queue = deque()
            self._begin(connection, job)
        elif job[1].is_async and connection.submitted == connection.started:
            self._begin(connection, job)  # nothing is before it: the way of an application of coroutines
        else:
            connection.queue = deque((job,))
            connection.held += 1
            self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Begins the jobs at the head of the queue as far as their order allows."""
        queue = connection.queue
        while queue and not connection.marked:
            handler = queue[0][1]
            if handler.is_async and connection.submitted != connection.started:
                self._mark(connection, handler)
            elif connection.beginning and not handler.is_async:
                return  # the last of those coroutines calls again
            else:
                self._begin_first(connection)
        if not queue:
            connection.queue = None

    def _mark(self, connection: Connection, handler: Handler) -> None:
        """Puts a job behind the plain ones that have not started: when its turn comes, they have."""
        connection.marked = True
        connection.submitted += 1
        self._hub.threads.submit(handler, connection, self._hub.outbox.put, self._pass, connection)

    def _pass(self, connection: Connection) -> None:
        """Begins the coroutine at the head of the queue, since the plain jobs before it have started."""
        connection.marked = False
        self._begin_first(connection)
        self._advance(connection)
        if connection.paused:
            connection.review()

    def _next(self, connection: Connection) -> None:
        """Begins the next job, the one before it having ended (`async_handlers=False`)."""
        if connection.queue:
            self._begin_first(connection)
        else:
            connection.queue = None

    def _begin_first(self, connection: Connection) -> None:
        assert connection.queue
        connection.held -= 1
        self._begin(connection, connection.queue.popleft())

    def _begin(self, connection: Connection, job: Job) -> None:
        handler = job[1]
        if handler.is_async:
            connection.held += 1
            connection.beginning += 1
            self._hub.handler_tasks.start(self._run_in_turn, job)
        else:
            connection.submitted += 1
            run = self._run_and_next if self._one_at_a_time else self._run
            self._hub.threads.submit(handler, connection, run, *job)

    # A plain function, on a handler thread

    def _run(
        self,
        client: Client,
        handler: Handler,
        event: Any,
        arguments: tuple[Any, ...],
        done: Done,
        token: Any,
    ) -> None:
        if client.connection.paused:
            self.started(client.connection)
        if client.dismissed and _is_dropped(event):
            return
        try:
            result = handler.invoke(client, event, arguments)
        except BaseException as error:  # noqa: BLE001 (a handler may raise anything, SystemExit included)
            done(client, token, None, error)
        else:
            done(client, token, result, None)

    def started(self, connection: Connection) -> None:
        """Lets a connection be read again once few enough of its jobs wait; called when one has started."""
        if connection.waiting <= connection.resume_at:
            self._hub.outbox.put(connection.review)

    def _run_and_next(self, client: Client, *rest: Any) -> None:
        try:
            self._run(client, *rest)
        finally:
            self._hub.outbox.put(self._next, client.connection)

    # A coroutine function, on the loop

    def _run_in_turn(self, job: Job) -> Coroutine[Any, Any, None]:
        """Returns the coroutine of a job that begins now, and no sooner."""
        connection = job[0].connection
        connection.beginning -= 1
        if self._one_at_a_time:
            return self._run_coroutine_and_next(job)
        if not connection.beginning and connection.queue is not None:
            # Not now: this one has begun when it has given the loop back.
            self._hub.loop.call_soon(self._advance, connection)
        return self._run_coroutine(job)

    async def _run_coroutine_and_next(self, job: Job) -> None:
        try:
            await self._run_coroutine(job)
        finally:
            self._hub.outbox.put(self._next, job[0].connection)

    async def _run_coroutine(self, job: Job) -> None:
        client, handler, event, arguments, done, token = job
        connection = client.connection
        try:
            if client.dismissed and _is_dropped(event):
                return
            result = await handler.invoke(client, event, arguments)
        except BaseException as error:  # as above
            done(client, token, None, error)
            if isinstance(error, asyncio.CancelledError):  # the server stops
                raise
        else:
            done(client, token, result, None)
        finally:
            connection.held -= 1
            if connection.paused:
                connection.review()


def _is_dropped(event: Any) -> bool:
    """Returns whether a job is dropped once the server has disconnected the client: its events are (Node)."""
    return event is not None and event not in LIFECYCLE_EVENTS


def _run_here(job: Job) -> None:
    """Runs a handler in the caller's thread; its exception is kept for the in-memory client to raise."""
    client, handler, event, arguments, done, token = job
    try:
        result = handler.invoke(client, event, arguments)
        if handler.is_async:
            result = complete(result)
    except BaseException as error:  # noqa: BLE001 (as above)
        done(client, token, None, error)
    else:
        done(client, token, result, None)


def complete(awaitable: Awaitable[Any]) -> Any:
    """Runs an awaitable to its end in the caller's thread; in another one where a loop is running already.

    Args:
        awaitable: what a coroutine function returned.

    Returns:
        Its result.
    """

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, wait()).result()
