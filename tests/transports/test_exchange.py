"""The wait for an answer or the end of its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from carboy.transports.exchange import wait_for


class Request:
    """A request that ends when its future does."""

    def __init__(self) -> None:
        self.end: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def read(self, limit: int) -> bytes:
        """Return no body."""
        return b""

    async def gone(self) -> bool:
        """Wait for the end."""
        return await self.end


ENDS: list[tuple[Callable[[asyncio.Future[bytes], asyncio.Future[bool]], None], bool]] = [
    (lambda answer, end: answer.set_result(b""), False),
    (lambda answer, end: end.set_result(True), True),
    (lambda answer, end: end.set_result(False), False),
    (lambda answer, end: end.set_exception(ConnectionError()), True),
]


@pytest.mark.parametrize(("happens", "gone"), ENDS, ids=["answer", "left", "hurried", "broken"])
def test_wait_tells_whether_the_peer_has_gone(
    happens: Callable[[asyncio.Future[bytes], asyncio.Future[bool]], None], gone: bool
) -> None:
    """Not if there is an answer, or it is only to return."""

    async def test() -> None:
        request, answer = Request(), asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(wait_for(answer, request))
        await asyncio.sleep(0)
        happens(answer, request.end)
        assert await asyncio.wait_for(waiting, 5) is gone

    asyncio.run(test())
