"""How the code of the application is run: plain functions on handler threads, coroutine functions on the loop.

Events start in the order of arrival. With `async_handlers=False` one connection's jobs run strictly one after another.
Jobs that wait are counted per connection; at the bound the connection is not read.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from carboy.runtime.client import Client
from carboy.runtime.handlers import Handler
from carboy.runtime.hub import Hub

Done = Callable[[Client, Any, Any, "BaseException | None"], None]
"""What to do after a handler: called with the client, the job's token, the handler's result and its exception."""

Job = tuple[Client, Handler, Any, tuple[Any, ...], Done, Any]


class Jobs:
    """Runs handlers for clients.

    Args:
        hub: where the threads and the loop are.
        max_queued: jobs of one connection that may wait.
        one_at_a_time: whether a connection's jobs run strictly one after another.
    """

    def __init__(self, hub: Hub, max_queued: int, *, one_at_a_time: bool) -> None:
        self._hub = hub
        self._max_queued = max_queued
        self._one_at_a_time = one_at_a_time

    def start(
        self, client: Client, handler: Handler, event: Any, arguments: tuple[Any, ...], done: Done, token: Any = None
    ) -> None:
        """Runs a handler, now or when its turn comes; only in the loop's thread, or anywhere for in-memory clients.

        Args:
            client: whose event it is.
            handler: what answers it.
            event: the name of the event.
            arguments: the handler's arguments.
            done: called after the handler, in the thread in which it ran.
            token: passed to `done`.
        """
        connection = client.connection
        if connection.inline:
            _run_here((client, handler, event, arguments, done, token))
            return
        connection.submitted += 1
        job = (client, handler, event, arguments, done, token)
        if self._one_at_a_time and connection.queue is not None:
            connection.queue.append(job)
        else:
            if self._one_at_a_time:
                connection.open_queue()
            self._submit(job)
        if connection.submitted - connection.started >= self._max_queued and not connection.paused:
            connection.pause(self._max_queued)

    def _submit(self, job: Job) -> None:
        client, handler = job[0], job[1]
        if handler.is_async:
            self._hub.spawn(self._run_coroutine(job))
        else:
            self._hub.threads.submit(handler, client.connection, self._run, job)

    def _run(self, job: Job) -> None:
        client, handler, event, arguments, done, token = job
        connection = client.connection
        if connection.paused:
            self._resume(connection)
        try:
            result = handler.invoke(client, event, arguments)
        except BaseException as error:  # a handler may raise anything, SystemExit included; the thread goes on
            done(client, token, None, error)
        else:
            done(client, token, result, None)
        if self._one_at_a_time:
            self._hub.outbox.put(self._next, connection)

    async def _run_coroutine(self, job: Job) -> None:
        client, handler, event, arguments, done, token = job
        connection = client.connection
        try:
            result = await handler.invoke(client, event, arguments)
        except BaseException as error:
            done(client, token, None, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            done(client, token, result, None)
        finally:
            self._hub.threads.count(connection)
            if connection.paused:
                self._resume(connection)
            if self._one_at_a_time:
                self._hub.outbox.put(self._next, connection)

    def _next(self, connection: Any) -> None:
        if connection.queue:
            self._submit(connection.queue.popleft())
        else:
            connection.queue = None

    def _resume(self, connection: Any) -> None:
        if connection.submitted - connection.started <= self._max_queued // 2:
            self._hub.outbox.put(connection.resume)


def _run_here(job: Job) -> None:
    """Runs a handler in the caller's thread, to completion; its exception is kept for the in-memory client to raise."""
    client, handler, event, arguments, done, token = job
    try:
        result = handler.invoke(client, event, arguments)
        if handler.is_async:
            result = _complete(result)
    except BaseException as error:
        done(client, token, None, error)
    else:
        done(client, token, result, None)


def _complete(awaitable: Awaitable[Any]) -> Any:
    """Runs an awaitable to its end in the caller's thread; in a thread of its own where a loop is running already."""

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, wait()).result()
