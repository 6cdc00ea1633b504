"""Polls that hold a thread of their server, as their socket cannot leave it: few for long, many for a moment.

With more clients than threads every poll that waits keeps somebody else's request from being read, so then
they take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from carboy.transports.rewriting import Reply

TURN = 0.1
"""Seconds that a poll waits while there are more than `few`."""


class HeldPolls:
    """The polls of one server that hold a thread; all in the hub's thread.

    Args:
        few: how many may wait for all of their time.
        poll_time: seconds that a poll waits.
    """

    def __init__(self, few: int, poll_time: float) -> None:
        self._few = few
        self._poll_time = poll_time
        self._held = 0

    async def hold(self, task: asyncio.Task[Reply], give_up: Callable[[], None]) -> Reply:
        """Waits for the reply to a poll.

        Args:
            task: what becomes the reply.
            give_up: has it return with nothing, when the time is up.
        """
        now = asyncio.get_running_loop().time
        began = now()
        self._held += 1
        try:
            while not task.done():
                patience = self._poll_time if self._held <= self._few else TURN
                left = began + patience - now()
                if left <= 0:
                    give_up()
                    break
                await asyncio.wait((task,), timeout=min(left, TURN))
        finally:
            self._held -= 1
        return await task
