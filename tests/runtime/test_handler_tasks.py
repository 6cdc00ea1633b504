"""Coroutine functions behave as if each ran in a task of its own, though those that do not wait share one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from carboy.runtime.handler_tasks import HandlerTasks

word: ContextVar[str] = ContextVar("word", default="none")


class Spawned:
    """Handler tasks on a loop that a test turns, with what they have spawned."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.tasks: list[asyncio.Task[None]] = []
        self.start = HandlerTasks(self._spawn).start
        self.seen: list[Any] = []

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self.loop.create_task(coroutine))

    async def see(self, what: Any) -> None:
        """Note that this call ran, without waiting."""
        self.seen.append(what)

    async def see_after(self, gate: asyncio.Future[Any], what: Any) -> None:
        """Note that this call ran, once a future is done."""
        await gate
        self.seen.append(what)

    def settle(self) -> None:
        """Run what is ready."""
        for _ in range(4):
            self.loop.turn()


@pytest.fixture
def spawned(loop: Any) -> Iterator[Spawned]:
    """Handler tasks that have nothing to do yet."""
    spawned = Spawned(loop)
    yield spawned
    for task in spawned.tasks:
        task.cancel()
    spawned.settle()


def test_calls_that_do_not_wait_share_a_task(spawned: Spawned) -> None:
    """They run in order, in the next round of the loop and in one task; a later call gets a new one."""
    for number in range(5):
        spawned.start(spawned.see, number)
    assert spawned.seen == []
    spawned.settle()
    assert spawned.seen == [0, 1, 2, 3, 4]
    assert len(spawned.tasks) == 1
    assert spawned.tasks[0].done()
    spawned.start(spawned.see, 5)
    spawned.settle()
    assert spawned.seen[-1] == 5


def test_call_that_waits_delays_nobody(spawned: Spawned) -> None:
    """What stands behind a call that waits runs in another task, in order; the call goes on when it can."""
    first, second = spawned.loop.create_future(), spawned.loop.create_future()
    spawned.start(spawned.see, "a")
    spawned.start(spawned.see_after, first, "first")
    spawned.start(spawned.see, "b")
    spawned.start(spawned.see_after, second, "second")
    spawned.start(spawned.see, "c")
    spawned.settle()
    assert spawned.seen == ["a", "b", "c"]
    second.set_result(None)
    spawned.settle()
    first.set_result(None)
    spawned.settle()
    assert spawned.seen == ["a", "b", "c", "second", "first"]
    assert all(task.done() for task in spawned.tasks)


def test_call_after_one_that_waits_is_taken(spawned: Spawned) -> None:
    """A call that comes while the last one before it waits is not forgotten."""
    gate = spawned.loop.create_future()
    spawned.start(spawned.see_after, gate, "late")
    spawned.settle()
    spawned.start(spawned.see, "now")
    spawned.settle()
    assert spawned.seen == ["now"]


def test_call_may_start_another(spawned: Spawned) -> None:
    """A call that starts one runs to its end before that one begins."""

    async def nest() -> None:
        spawned.start(spawned.see, "inner")
        spawned.seen.append("outer")

    spawned.start(nest)
    spawned.settle()
    assert spawned.seen == ["outer", "inner"]


def test_each_call_has_its_own_context(spawned: Spawned) -> None:
    """A context variable that one call sets is not set for the next, and stays set while the call waits."""
    gate = spawned.loop.create_future()

    async def speak(said: str, *, wait: bool) -> None:
        spawned.seen.append(word.get())
        word.set(said)
        if wait:
            await gate
            spawned.seen.append(word.get())

    async def wait() -> None:
        await speak("one", wait=True)

    async def pass_by() -> None:
        await speak("two", wait=False)

    spawned.start(wait)
    spawned.start(pass_by)
    spawned.start(pass_by)
    spawned.settle()
    gate.set_result(None)
    spawned.settle()
    assert spawned.seen == ["none", "none", "none", "one"]


def test_task_of_a_call_that_waits_is_its_own(spawned: Spawned) -> None:
    """`current_task` is the same before and after waiting, and another one for each call that waits."""
    gate = spawned.loop.create_future()

    async def look() -> None:
        before = asyncio.current_task()
        await gate
        assert asyncio.current_task() is before
        spawned.seen.append(before)

    for _ in range(3):
        spawned.start(look)
    spawned.settle()
    gate.set_result(None)
    spawned.settle()
    assert len(set(spawned.seen)) == 3


def test_timeout_ends_only_the_call_that_set_it(spawned: Spawned) -> None:
    """`asyncio.wait_for` as the first thing of a call cancels what it waits for, and nothing else."""
    gate = spawned.loop.create_future()

    async def hurry() -> None:
        try:
            await asyncio.wait_for(asyncio.sleep(3600), 1)
        except asyncio.TimeoutError:
            spawned.seen.append("timeout")

    spawned.start(hurry)
    spawned.start(spawned.see_after, gate, "patient")
    spawned.settle()
    spawned.loop.advance(1.1)
    spawned.settle()
    gate.set_result(None)
    spawned.settle()
    assert spawned.seen == ["timeout", "patient"]


def test_cancelled_call_can_clean_up_and_wait_again(spawned: Spawned) -> None:
    """A cancellation arrives where the call waits; what it does then, it does to the end."""
    gate = spawned.loop.create_future()

    async def resist() -> None:
        try:
            await spawned.loop.create_future()
        except asyncio.CancelledError:
            await gate
            spawned.seen.append("cleaned up")
            raise

    spawned.start(resist)
    spawned.settle()
    (task,) = spawned.tasks
    task.cancel()
    spawned.settle()
    assert not task.done()
    gate.set_result(None)
    spawned.settle()
    assert spawned.seen == ["cleaned up"]
    assert task.cancelled()


def test_cancellation_meets_a_call_that_gives_the_loop_a_turn(spawned: Spawned) -> None:
    """Where there is nothing else to be cancelled, the call itself learns of it."""

    async def give_a_turn() -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            spawned.seen.append("cancelled")

    spawned.start(give_a_turn)
    spawned.loop.turn()
    spawned.tasks[0].cancel()
    spawned.settle()
    assert spawned.seen == ["cancelled"]


def test_exception_of_what_is_awaited_is_raised_in_the_call(spawned: Spawned) -> None:
    """A future that fails, fails where it is awaited."""
    gate = spawned.loop.create_future()

    async def take() -> None:
        with pytest.raises(KeyError):
            await gate
        spawned.seen.append("taken")

    spawned.start(take)
    spawned.settle()
    gate.set_exception(KeyError("x"))
    spawned.settle()
    assert spawned.seen == ["taken"]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
def test_exception_costs_the_calls_behind_nothing(spawned: Spawned, error: type[BaseException]) -> None:
    """Whatever a call lets out before it has waited, the next one runs."""

    async def fail() -> None:
        raise error

    spawned.start(fail)
    spawned.start(spawned.see, "next")
    spawned.settle()
    assert spawned.seen == ["next"]
