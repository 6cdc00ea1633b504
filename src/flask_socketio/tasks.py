"""Background tasks: functions in threads of their own, and sleeping in them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any

from carboy.exceptions import BlockingCallError
from carboy.runtime.handlers import is_coroutine_function
from carboy.runtime.server import Server


def start_task(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> threading.Thread:
    """Run a function in a thread of its own, a daemon, without any context of Flask.

    Args:
        target: the function; a coroutine function runs on a loop of that thread.
        args: its arguments.
        kwargs: its keyword arguments.

    Returns:
        The thread, which runs.
    """

    def run() -> None:
        if is_coroutine_function(target):
            asyncio.run(target(*args, **kwargs))
        else:
            target(*args, **kwargs)

    # A fresh context, since some builds of Python hand the caller's to threads, with a request that will be
    # over.
    task = threading.Thread(target=Context().run, args=(run,), name="carboy-task", daemon=True)
    task.start()
    return task


def sleep(server: Server | None, seconds: float) -> None:
    """Sleep.

    Args:
        server: the server whose loop must not be blocked, if there is one.
        seconds: how long.

    Raises:
        BlockingCallError: in a coroutine on that loop.
    """
    if server is not None and server.hub.is_here:
        raise BlockingCallError(
            "sleep() would block the event loop; in a coroutine write `await asyncio.sleep(...)`"
        )
    time.sleep(seconds)
