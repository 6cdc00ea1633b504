"""How a server ends: clients are told, handlers under way finish, all within a bound."""

from __future__ import annotations

import asyncio
from typing import Any

from carboy.engineio.close_codes import GOING_AWAY
from carboy.engineio.states import SessionInput
from carboy.runtime.server import Server

TICK = 0.01
"""Seconds between two looks at what is still under way."""

CANCEL_TIME = 1.0
"""Seconds that cancelled coroutines are given to clean up."""


async def drain(server: Server, timeout: float) -> bool:
    """Closes every session and waits for the handlers.

    Clients get a clean close without a DISCONNECT packet, so that they come back (Node behaviour of
    `io.close()`).

    Args:
        server: the server; its hub runs on this loop.
        timeout: seconds for the handlers, disconnect handlers included.

    Returns:
        Whether all handlers have finished.
    """
    hub = server.hub
    deadline = hub.now() + timeout
    while True:
        for connection in tuple(server.connections.values()):  # also those that still come in
            connection.close(SessionInput.SERVER_CLOSED, GOING_AWAY)
        busy = hub.threads.active or bool(hub.tasks) or hub.outbox.pending
        if not busy or hub.now() >= deadline:
            break
        await asyncio.sleep(TICK)
    if busy:
        server.log.warning("Handlers were still running after %s seconds (option shutdown_timeout)", timeout)
    hub.threads.stop()
    await _cancel(hub.tasks)
    for connection in tuple(server.connections.values()):
        connection.give_up_close()
    server.lifecycle.leaving.clear()
    return not busy


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancels the coroutines of handlers and lets them clean up, for a moment."""
    waited_for = tuple(tasks)
    for task in waited_for:
        task.cancel()
    if waited_for:
        await asyncio.wait(waited_for, timeout=CANCEL_TIME)
