"""The tasks in which coroutine functions run: one for all that do not wait, and one for each that does.

A task costs more than all else that an event does, and most handlers end without having waited for anything.
So one task takes the calls one after another; when one of them waits, the task is that call's alone until its
end, and another task takes the calls behind it. Each call has a context of its own, and what it sees of
asyncio (`current_task`, `timeout`, cancellation) is as if each had a task of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from types import coroutine
from typing import Any

CoroutineFunction = Callable[..., Coroutine[Any, Any, None]]


class HandlerTasks:
    """Starts coroutine functions in the order in which they come, at the next turn of the loop.

    Args:
        spawn: starts a coroutine as a task, and keeps the task until it is done.
    """

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._spawn = spawn
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._begun = False  # whether there is a task that will take what waits

    def start(self, function: CoroutineFunction, *arguments: Any) -> None:
        """Calls a coroutine function and runs what it returns; only in the loop's thread.

        Args:
            function: it tells about its exceptions itself; one that it lets out is lost.
            *arguments: what it is called with.
        """
        self._waiting.append((function, *arguments))
        if not self._begun:
            self._begun = True
            self._spawn(self._run())

    async def _run(self) -> None:
        waiting = self._waiting
        while waiting:
            call = waiting.popleft()
            step = copy_context().run
            try:
                running = call[0](*call[1:])
                awaited = step(running.send, None)
            except BaseException:  # noqa: BLE001, S112 (StopIteration is its end; see `start` for others)
                continue
            self._leave_the_rest()
            await _go_on(running, step, awaited)
            return
        self._begun = False

    def _leave_the_rest(self) -> None:
        """Has another task take what waits, since this one is taken."""
        if self._waiting:
            self._spawn(self._run())
        else:
            self._begun = False


@coroutine
def _go_on(
    running: Coroutine[Any, Any, None], step: Callable[..., Any], awaited: Any
) -> Generator[Any, Any, None]:
    """Runs a coroutine that waits to its end, within the current task.

    Args:
        running: the coroutine.
        step: calls a function in the coroutine's context.
        awaited: what it waits for.
    """
    while True:
        resume: Callable[[Any], Any] = running.send
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 (whatever is thrown into the task is meant for it)
            resume, value = running.throw, error
        try:
            awaited = step(resume, value)
        except StopIteration:
            return
