"""What threads want done on the loop, in strict order: one wake-up a batch, however many items.

Nothing here waits, so it may be called from anywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

Item = tuple[Callable[..., Any], tuple[Any, ...]]


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
        self._items: deque[Item] = deque()
        self._awake = False

    @property
    def pending(self) -> bool:
        """Whether a call waits."""
        return bool(self._items)

    def put(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Adds one call, behind all that were put before."""
        self._items.append((function, arguments))
        if not self._awake:
            self._awake = True
            self._wake()

    def put_first(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Puts back the rest of the call that is being drained, so that nothing overtakes it."""
        self._items.appendleft((function, arguments))

    def clear(self) -> None:
        """Drops every call that waits."""
        self._items.clear()

    def drain(self, may_go_on: Callable[[], bool]) -> bool:
        """Makes the calls; only the loop does this.

        Args:
            may_go_on: asked after each call; False leaves the rest for the next round.

        Returns:
            Whether everything is done; if not, the caller has to see to the next round.
        """
        self._awake = False  # before the first look: what is put from here on asks for a round of its own
        items = self._items
        while items:
            function, arguments = items.popleft()
            try:
                function(*arguments)
            except Exception as error:  # noqa: BLE001 (a defect must not cost the others)
                self._failed(error)
            if not may_go_on():
                self._awake = bool(items)
                return not items
        return True
