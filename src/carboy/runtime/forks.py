"""What happens to objects in a child that was forked: it has its parent's files, but none of its threads.

What they do then is theirs to know, and none may rely on another having been told before it.
"""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """What has threads, locks, files or a loop, which a child must not use."""

    def forked(self) -> None:
        """Begins anew in a child; must not wait for a lock, which a thread of the parent may have held."""


_told: WeakSet[Inherited] = WeakSet()
_kept: list[Any] = []


def tell_of_forks(inherited: Inherited) -> None:
    """Has an object told in each child, as long as it lives.

    Args:
        inherited: the object, which is not kept alive.
    """
    _told.add(inherited)


def keep_for_good(*parents: Any) -> None:
    """Keeps what is the parent's, and has sockets, from ever being collected in the child.

    Its end would take them out of the selector that both processes share.

    Args:
        *parents: the objects.
    """
    _kept.extend(parents)


def _tell() -> None:
    for inherited in tuple(_told):
        inherited.forked()


if hasattr(os, "register_at_fork"):  # everywhere but on Windows
    os.register_at_fork(after_in_child=_tell)
