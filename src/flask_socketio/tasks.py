"""Background tasks: functions in threads of their own, and sleeping in them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any

import click
from flask.helpers import get_debug_flag

from carboy.exceptions import BlockingCallError
from carboy.runtime.handlers import is_coroutine_function
from carboy.runtime.server import Server


def start_task(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> threading.Thread:
    """Run a function in a thread of its own, a daemon, without any context of Flask.

    In the process that only watches the sources for `flask run --debug` it does not run: what is started
    while the application is imported would be done twice.

    Args:
        target: the function; a coroutine function runs on a loop of that thread.
        args: its arguments.
        kwargs: its keyword arguments.

    Returns:
        The thread, which runs.
    """
    only_watches = _only_watches()

    def run() -> None:
        if only_watches:
            return
        if is_coroutine_function(target):
            asyncio.run(target(*args, **kwargs))
        else:
            target(*args, **kwargs)

    # A fresh context, since some builds of Python hand the caller's to threads, with a request that will be
    # over.
    task = threading.Thread(target=Context().run, args=(run,), name="carboy-task", daemon=True)
    task.start()
    return task


def _only_watches() -> bool:
    """Tell whether this is the reloader's parent under `flask run`, whose child serves."""
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "run" or os.environ.get("WERKZEUG_RUN_MAIN") == "true":
        return False
    reload = context.params.get("reload")
    return get_debug_flag() if reload is None else bool(reload)


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
