"""The HTTP request that is being answered, and the wait for its answer or its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Exchange(Protocol):
    """The HTTP request that is being answered."""

    async def read(self, limit: int) -> bytes:
        """Reads the body.

        Args:
            limit: bytes; what is longer is not read.

        Raises:
            LimitError: if it is longer.
            ConnectionError: if the peer has gone.
        """

    def gone(self) -> Awaitable[bool]:
        """Returns True when the peer has gone, or False when the request is to return with what there is."""


async def wait_for(
    answer: asyncio.Future[Result], exchange: Exchange, ended: Callable[[bool], None]
) -> Result:
    """Waits for an answer.

    Args:
        answer: the answer.
        exchange: the request.
        ended: called if the request ends first, with whether the peer has gone; it sees to the answer.

    Returns:
        The answer.
    """
    gone = asyncio.ensure_future(exchange.gone())

    def tell(_: object) -> None:
        if not answer.done():
            ended(gone.cancelled() or gone.exception() is not None or gone.result())

    gone.add_done_callback(tell)
    try:
        return await answer
    finally:
        gone.remove_done_callback(tell)
        gone.cancel()
