"""The HTTP request that is being answered: its body, and the wait for its answer or its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from carboy.engineio.payloads import decode_jsonp
from carboy.exceptions import PacketError

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


def payload_of(environ: dict[str, Any], jsonp: int | None, body: bytes) -> bytes:
    """Returns the payload that the body of a POST brings.

    Args:
        environ: the WSGI environment of the request.
        jsonp: the index of the callback that a JSONP request names; None for any other.
        body: the body.

    Raises:
        PacketError: if it is of another version of the protocol, or no form of JSONP.
    """
    if environ.get("CONTENT_TYPE", "").lower().startswith("application/octet-stream"):
        raise PacketError("a body of Engine.IO v3 (application/octet-stream)")
    return body if jsonp is None else decode_jsonp(body)
