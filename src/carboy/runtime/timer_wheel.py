"""One wheel for all timeouts of a process: an idle client costs no task, no thread and no timer of its own.

The wheel only says when it wants to be turned; the hub owns the clock and the one timer behind it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol


class Timed(Protocol):
    """What can be put on the wheel.

    Attributes:
        due_tick: where on the wheel it is; -1 while it is on none. Only the wheel writes it.
    """

    due_tick: int

    def expire(self, now: float) -> float | None:
        """Does what is due at `now` (seconds) and returns when to be called again, or None for never."""


class TimerWheel:
    """Items by the tick in which they fall due.

    Args:
        failed: told of an exception in an item, which is a defect of ours; the others are called all the
            same.
        tick: the resolution in seconds; nothing is called early, and nothing more than one tick late.
    """

    def __init__(self, failed: Callable[[BaseException], None], tick: float = 0.02) -> None:
        self._failed = failed
        self._tick = tick
        self._buckets: dict[int, set[Timed]] = {}
        self._order: list[int] = []

    def schedule(self, item: Timed, when: float) -> None:
        """Puts an item on the wheel, or moves it, to be called at `when` (seconds)."""
        tick = int(when / self._tick) + 1
        if item.due_tick == tick:
            return
        self.cancel(item)
        item.due_tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {item}
            heapq.heappush(self._order, tick)
        else:
            bucket.add(item)

    def comes(self, item: Timed, when: float) -> bool:
        """Tells whether an item is called at `when` (seconds) or before, as it stands."""
        return 0 <= item.due_tick <= int(when / self._tick) + 1

    def cancel(self, item: Timed) -> None:
        """Takes an item off the wheel; one that is on none is left alone."""
        if item.due_tick >= 0:
            bucket = self._buckets.get(item.due_tick)
            if bucket is not None:
                bucket.discard(item)
            item.due_tick = -1

    def next_due(self) -> float | None:
        """Returns when the wheel wants to be turned (seconds), or None if nothing is on it."""
        while self._order:
            if self._buckets[self._order[0]]:
                return self._order[0] * self._tick
            del self._buckets[heapq.heappop(self._order)]
        return None

    def turn(self, now: float) -> None:
        """Calls every item that is due at `now` (seconds); one that wants to be called again is put back."""
        while self._order and self._order[0] * self._tick <= now:
            tick = heapq.heappop(self._order)
            for item in self._buckets.pop(tick):
                if item.due_tick == tick:  # else it was moved, or taken off, by one before it
                    item.due_tick = -1
                    again = self._expire(item, now)
                    if again is not None:
                        self.schedule(item, max(again, now))

    def _expire(self, item: Timed, now: float) -> float | None:
        try:
            return item.expire(now)
        except Exception as error:  # noqa: BLE001 (a defect must not stop the wheel)
            self._failed(error)
            return None
