"""Tasks end, also those that forget a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from carboy.adapters.cancelling import cancel


def test_task_that_forgets_a_cancellation_ends_all_the_same() -> None:
    """It is cancelled again."""

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def scene() -> None:
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(cancel([task]), 5)
        assert task.cancelled()
        await cancel([])

    asyncio.run(scene())
