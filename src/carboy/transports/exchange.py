"""The HTTP request that is being answered, and the wait for its answer or its end."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


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

    async def gone(self) -> bool:
        """Returns True when the peer has gone, or False when the request is to return with what there is."""


async def wait_for(answer: asyncio.Future[Any], exchange: Exchange) -> bool:
    """Waits for an answer or the end of its request, whichever comes first.

    Args:
        answer: the answer.
        exchange: the request.

    Returns:
        Whether the peer has gone.
    """
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return gone.done() and not gone.cancelled() and (gone.exception() is not None or gone.result())
