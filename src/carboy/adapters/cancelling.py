"""How tasks are ended for good."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

PAUSE = 0.05
"""Seconds after which a task that goes on is cancelled again."""


async def cancel(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancels tasks until they have ended, however they do.

    Once is not enough: before Python 3.12 `asyncio.wait_for` forgets a cancellation that comes together with
    the result.

    Args:
        tasks: the tasks.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=PAUSE)
