"""How a server ends: clients are told, handlers under way finish, all within a bound."""

from __future__ import annotations

import asyncio

from carboy.engineio.states import SessionInput
from carboy.runtime.connection import GOING_AWAY
from carboy.runtime.server import Server

TICK = 0.01


async def drain(server: Server, timeout: float) -> bool:
    """Closes every session and waits for the handlers.

    Clients get a clean close without a DISCONNECT packet, so that they come back (Node behaviour of `io.close()`).

    Args:
        server: the server; its hub runs on this loop.
        timeout: seconds for the handlers, disconnect handlers included.

    Returns:
        Whether all handlers have finished.
    """
    hub = server.hub
    deadline = hub.now() + timeout
    for connection in tuple(server.connections.values()):
        connection.close(SessionInput.SERVER_CLOSED, GOING_AWAY)
    while (hub.threads.active or hub.tasks or hub.outbox.pending) and hub.now() < deadline:
        await asyncio.sleep(TICK)
    finished = not (hub.threads.active or hub.tasks)
    if not finished:
        server.log.warning("Handlers were still running after %s seconds (option shutdown_timeout)", timeout)
    hub.threads.stop()
    return finished
