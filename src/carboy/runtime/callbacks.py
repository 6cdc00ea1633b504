"""How functions of the application are run for acknowledgements: like handlers, ahead of those that wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from carboy.runtime.client import Client
from carboy.runtime.events import Events
from carboy.runtime.handlers import Handler
from carboy.runtime.hub import Hub
from carboy.runtime.jobs import Jobs, complete
from carboy.runtime.log import Log

EVENT = "acknowledgement callback"

THREADS = 4
"""Threads for callbacks in a process without a hub, which serves no client, at most."""


class _Elsewhere:
    """The clients of other processes: nobody here counts what of theirs has started."""

    started = 0


class Callbacks:
    """Runs functions for acknowledgements.

    Args:
        hub: where the threads and the loop are.
        jobs: runs them for clients of this process.
        events: reports exceptions.
        log: where those are told that no client of this process has caused.
    """

    def __init__(self, hub: Hub, jobs: Jobs, events: Events, log: Log) -> None:
        self._hub = hub
        self._jobs = jobs
        self._events = events
        self._log = log
        self._elsewhere = _Elsewhere()
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def run(self, client: Client | None, callback: Callable[..., Any], arguments: Sequence[Any]) -> None:
        """Runs a function; where acknowledgements are dealt with.

        Args:
            client: whose acknowledgement it is; None for a client of another process.
            callback: the function.
            arguments: what it is called with.
        """
        handler = Handler(callback, lambda client, event, given: callback(*given))
        if client is not None:
            self._jobs.start_apart(client, handler, tuple(arguments), self._done)
        elif not self._hub.running:
            with suppress(RuntimeError):  # the process ends, and takes no further work
                self._threads().submit(self._run, handler, arguments)
        elif handler.is_async:
            self._hub.handler_tasks.start(self._run_coroutine, callback, arguments)
        else:
            self._hub.threads.submit(handler, self._elsewhere, self._run, handler, arguments)

    def _threads(self) -> ThreadPoolExecutor:
        """Returns the threads of this process; after a fork it has none of its parent's."""
        if self._pool is None or self._process != os.getpid():
            self._pool, self._process = ThreadPoolExecutor(THREADS, "carboy-callback"), os.getpid()
        return self._pool

    def _run(self, handler: Handler, arguments: Sequence[Any]) -> None:
        try:
            result = handler.function(*arguments)
            if handler.is_async:
                complete(result)
        except BaseException as error:  # noqa: BLE001 (a callback may raise anything, SystemExit included)
            self._tell(error)

    async def _run_coroutine(self, callback: Callable[..., Any], arguments: Sequence[Any]) -> None:
        try:
            await callback(*arguments)
        except Exception as error:  # noqa: BLE001 (as above)
            self._tell(error)

    def _done(self, client: Client, token: Any, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self._events.report(client, EVENT, error)

    def _tell(self, error: BaseException) -> None:
        self._log.exception("Exception in an %s for a client of another process", EVENT, error=error)
