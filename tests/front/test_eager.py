"""Coroutines that run in their caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from carboy.front.eager import EagerRun


class Ends:
    """What runs have come to.

    Attributes:
        all: results and exceptions.
        waiting: the set that the runs are given.
    """

    def __init__(self) -> None:
        self.all: list[tuple[Any, BaseException | None]] = []
        self.waiting: set[Any] = set()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> EagerRun:
        """Run a coroutine and note its end."""
        return EagerRun(coroutine, lambda result, error: self.all.append((result, error)), self.waiting)


def on_a_loop(test: Callable[[Ends], Awaitable[None]]) -> None:
    """Run a test on a loop."""

    async def run() -> None:
        await asyncio.wait_for(test(Ends()), 5)

    asyncio.run(run())


def test_coroutine_that_waits_for_nothing_is_done_at_once() -> None:
    """Its result is there when the call returns, and nothing is left for the loop to do."""

    async def inner() -> int:
        return 20

    async def outer() -> int:
        return await inner() + 1

    async def test(ends: Ends) -> None:
        assert not ends.run(outer()).waits
        assert ends.all == [(21, None)]
        assert not ends.waiting

    on_a_loop(test)


def test_coroutine_goes_on_when_what_it_waits_for_is_there() -> None:
    """It waits as often as it has to, and a stop can wait for it meanwhile."""

    async def sum_of(*futures: asyncio.Future[int]) -> int:
        return sum([await future for future in futures])

    async def test(ends: Ends) -> None:
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
        run = ends.run(sum_of(first, second))
        first.set_result(1)
        await asyncio.sleep(0)
        assert (run.waits, ends.all, len(ends.waiting)) == (True, [], 1)
        (stop,) = ends.waiting
        second.set_result(2)
        await asyncio.wait([stop])
        assert (run.waits, ends.all, ends.waiting) == (False, [(3, None)], set())

    on_a_loop(test)


def test_coroutine_gets_the_exception_of_what_it_waits_for() -> None:
    """What it does not handle is its end."""

    async def wait(future: asyncio.Future[None]) -> None:
        try:
            await future
        except KeyError:
            raise ValueError from None

    async def test(ends: Ends) -> None:
        future = asyncio.get_running_loop().create_future()
        ends.run(wait(future))
        future.set_exception(KeyError())
        await asyncio.sleep(0)
        ((result, error),) = ends.all
        assert result is None
        assert isinstance(error, ValueError)

    on_a_loop(test)


def test_coroutine_waits_for_threads_and_events() -> None:
    """Whatever is made of futures can be awaited inside."""

    async def wait(event: asyncio.Event) -> str:
        found = await asyncio.get_running_loop().run_in_executor(None, str, 1)
        await event.wait()
        return found

    async def test(ends: Ends) -> None:
        event = asyncio.Event()
        ends.run(wait(event))
        event.set()
        await asyncio.wait(tuple(ends.waiting))
        assert ends.all == [("1", None)]

    on_a_loop(test)
