"""What threads want done on the loop, in strict order: one wake-up a batch, however many items.

Nothing here waits, so it may be called from anywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

Call = tuple[Any, ...]
"""What to call, and what to call it with: flat, since many wait under load."""


class Outbox:
    """A queue of calls that the loop makes in the order in which they were put.

    Args:
        wake: asks the loop to call `drain`, from any thread.
        failed: told of an exception in a call, which is a defect of ours; the other calls are made all the
            same.
    """

    def __init__(self, wake: Callable[[], None], failed: Callable[[BaseException], None]) -> None:
        self._wake = wake
        self._failed = failed
        self._items: deque[Call] = deque()
        self._awake = False
        self._budget = 0

    @property
    def pending(self) -> bool:
        """Whether a call waits."""
        return bool(self._items)

    def put(self, *call: Any) -> None:
        """Adds one call, a function and its arguments, behind all that were put before."""
        self._items.append(call)
        if not self._awake:
            self._awake = True
            self._wake()

    def put_first(self, *call: Any) -> None:
        """Puts back the rest of the call that is being drained, so that nothing overtakes it."""
        self._items.appendleft(call)

    def clear(self) -> None:
        """Drops every call that waits."""
        self._items.clear()

    def drain(self, budget: int) -> bool:
        """Makes the calls; only the loop does this.

        Args:
            budget: how many may be made; a call that does the work of many says so with `spend`.

        Returns:
            Whether everything is done; if not, the caller has to see to the next round.
        """
        self._awake = False  # before the first look: what is put from here on asks for a round of its own
        self._budget = budget
        items = self._items
        while items:
            call = items.popleft()
            try:
                call[0](*call[1:])
            except Exception as error:  # noqa: BLE001 (a defect must not cost the others)
                self._failed(error)
            self._budget -= 1
            if self._budget <= 0:
                self._awake = bool(items)
                return not items
        return True

    def spend(self, calls: int) -> None:
        """Counts the call that is being made as so many more."""
        self._budget -= calls
