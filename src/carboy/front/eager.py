"""Runs a coroutine in the caller until it has to wait, which on the fast path it hardly ever does.

It must not cancel: what runs here comes to its end when what it waits for does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Done = Callable[[Any, "BaseException | None"], None]


class EagerRun:
    """One coroutine that is run at once, and on in the callbacks of the futures that it awaits.

    Unlike a task (also an eager one of Python 3.12) it costs no round of the loop, is in no set of all tasks,
    and copies no context. Hence `asyncio.current_task` finds nothing, and what needs a task
    (`asyncio.timeout`) cannot be used inside.

    Args:
        coroutine: what is run; it may await futures, and whatever is made of them.
        done: called once with its result, or with its exception.
        waiting: where a future stands for it while it waits, so that a stop can wait for it too.
    """

    __slots__ = ("_coroutine", "_done", "_waiting", "_whole")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], done: Done, waiting: set[Any]) -> None:
        self._coroutine = coroutine
        self._done = done
        self._waiting = waiting
        self._whole: asyncio.Future[None] | None = None
        self._step()

    @property
    def waits(self) -> bool:
        """Whether it is not done."""
        return self._whole is not None and not self._whole.done()

    def _step(self, _: object = None) -> None:
        result, error = None, None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            result = end.value
        except BaseException as raised:  # noqa: BLE001  # `done` is told
            error = raised
        else:
            self._wait_for(awaited)
            return
        if self._whole is not None:
            self._waiting.discard(self._whole)
            self._whole.cancel()  # only that it is over counts
        self._done(result, error)

    def _wait_for(self, awaited: Any) -> None:
        awaited._asyncio_future_blocking = False  # noqa: SLF001  # what tasks say to a future they wait for
        awaited.add_done_callback(self._step)
        if self._whole is None:
            self._whole = asyncio.get_running_loop().create_future()
            self._waiting.add(self._whole)
