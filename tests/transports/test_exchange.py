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


ENDS: list[tuple[Callable[[asyncio.Future[bool]], None], bool]] = [
    (lambda end: end.set_result(True), True),
    (lambda end: end.set_result(False), False),
    (lambda end: end.set_exception(ConnectionError()), True),
]


@pytest.mark.parametrize(("happens", "gone"), ENDS, ids=["left", "hurried", "broken"])
def test_end_of_a_request_is_told_and_decides_on_the_answer(
    happens: Callable[[asyncio.Future[bool]], None], gone: bool
) -> None:
    """Whoever is told sees to the answer; a request that only is to return has not gone."""

    async def test() -> None:
        request, answer = Request(), asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(wait_for(answer, request, answer.set_result))
        await asyncio.sleep(0)
        happens(request.end)
        assert await asyncio.wait_for(waiting, 5) is gone

    asyncio.run(test())


def test_answer_that_is_there_first_counts() -> None:
    """The request is not waited for any longer, and nobody is told of its end."""

    async def test() -> None:
        request, answer = Request(), asyncio.get_running_loop().create_future()
        told: list[bool] = []
        waiting = asyncio.ensure_future(wait_for(answer, request, told.append))
        await asyncio.sleep(0)
        answer.set_result(b"")
        assert await asyncio.wait_for(waiting, 5) == b""
        await asyncio.sleep(0)
        assert (request.end.cancelled(), told) == (True, [])

    asyncio.run(test())
