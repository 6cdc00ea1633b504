"""What the arguments of `emit` mean: which values are sent, and whom they reach.

Pure functions over what users pass; they send nothing and look at no context.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

MANY = (list, tuple, set, frozenset)


def event_arguments(args: tuple[Any, ...], function: str = "emit") -> list[Any]:
    """Turn the data given to `emit` into the arguments of the client's handler.

    Args:
        args: nothing, or one value: None for no argument, a tuple for several, anything else for one.
        function: what was called, for the error.

    Returns:
        The arguments.

    Raises:
        TypeError: if there is more than one value.
    """
    if not args:
        return []
    if len(args) > 1:
        raise TypeError(
            f"{function}() takes one value as its data, not {len(args)} (which gives multiple values for"
            f" 'to'); put several arguments into a tuple: {function}(event, (a, b))"
        )
    return answer_arguments(next(iter(args)))


def answer_arguments(data: Any) -> list[Any]:
    """Turn one value into arguments: None into none, a tuple into several, anything else into one."""
    if data is None:
        return []
    return list(data) if isinstance(data, tuple) else [data]


def rooms_of(to: Any) -> list[Hashable] | None:
    """Return the rooms that `to` names.

    Args:
        to: None for everybody; a sid or any hashable room; a collection of rooms, whose union counts.
            Text and bytes are always one room.

    Returns:
        The rooms, none for an empty text or collection; None for everybody.
    """
    if to is None:
        return None
    if isinstance(to, (str, bytes)):
        return [to] if to else []
    if isinstance(to, MANY) or hasattr(to, "__len__") or hasattr(to, "__next__"):
        return list(to)
    return [to]


def skipped_sids(skip_sid: Any) -> Collection[str]:
    """Return the sids that are left out.

    Args:
        skip_sid: None, one sid, or a collection of them.
    """
    if not skip_sid:
        return ()
    return (skip_sid,) if isinstance(skip_sid, str) else tuple(skip_sid)


def answer_value(arguments: list[Any]) -> Any:
    """Return what `call` gives for an acknowledgement: None, its one argument, or a tuple of several."""
    if not arguments:
        return None
    return arguments[0] if len(arguments) == 1 else tuple(arguments)
