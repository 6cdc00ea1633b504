"""Which handler answers which event of which namespace, and what its signature takes.

A signature is read once, at registration; nothing is ever called to find out whether it fits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from carboy.socketio.packets import RESERVED_EVENTS

if TYPE_CHECKING:
    from carboy.runtime.client import Client

Invoke = Callable[["Client", str, tuple[Any, ...]], Any]

LIFECYCLE_EVENTS = frozenset({"connect", "disconnect"})
ANY = "*"


class Handler:
    """A function that answers events, and what the server knows of it.

    Args:
        function: what the application wrote; its signature is read here.
        invoke: calls it with (client, event, arguments) in the contexts of the framework; for a coroutine
            function the result is awaited.

    Attributes:
        is_async: whether it is a coroutine function, which runs on the loop.
        overran: see `handler_threads.Pace`.
    """

    __slots__ = ("function", "invoke", "is_async", "overran")

    def __init__(self, function: Callable[..., Any], invoke: Invoke) -> None:
        self.function = function
        self.invoke = invoke
        self.is_async = is_coroutine_function(function)
        self.overran = 0


class Handlers:
    """The handlers of a server by namespace and event; the last one registered counts.

    Attributes:
        named: those of the main namespace by the name of the event; none for a name that a client must not
            send, and no catch-all.
    """

    def __init__(self) -> None:
        self._functions: dict[tuple[str, str], tuple[Handler, bool]] = {}  # what `find` returns
        self._classes: dict[str, Callable[[str], Handler]] = {}
        self._namespaces: set[str] = set()
        self.named: dict[str, Handler] = {}

    def register(self, namespace: str, event: str, handler: Handler) -> None:
        """Registers a handler for one event; "*" stands for any event, or any namespace."""
        self._functions[namespace, event] = handler, event == ANY
        if namespace == "/" and event != ANY and event not in RESERVED_EVENTS:
            self.named[event] = handler
        self._namespaces.add(namespace)

    def register_namespace(self, namespace: str, resolve: Callable[[str], Handler]) -> None:
        """Registers a class for every event of a namespace that no function answers.

        Args:
            namespace: its name, or "*" for any.
            resolve: gives the handler for the name of an event.
        """
        self._classes[namespace] = resolve
        self._namespaces.add(namespace)

    def find(self, namespace: str, event: str) -> tuple[Handler, bool] | None:
        """Looks a handler up in Flask-SocketIO's order.

        That is: the event, the catch-all event, both for any namespace, the class.

        Args:
            namespace: where the event came.
            event: its name; a client that names it "*" reaches the catch-all, with the event's name as for
                others.

        Returns:
            The handler, and whether the event's name goes before the arguments (it does for a catch-all);
            None if nobody answers.
        """
        found = self._functions.get((namespace, event))  # the hot path
        return self._find_general(namespace, event) if found is None else found

    def _find_general(self, namespace: str, event: str) -> tuple[Handler, bool] | None:
        names = (event,) if event in LIFECYCLE_EVENTS else (event, ANY)
        for place in (namespace, ANY):
            for name in names:
                if (found := self._functions.get((place, name))) is not None:
                    return found
        resolve = self._classes.get(namespace) or self._classes.get(ANY)
        return None if resolve is None else (resolve(event), False)

    def accepts(self, namespace: str) -> bool:
        """Returns whether anything is registered for a namespace."""
        return namespace in self._namespaces or ANY in self._namespaces


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Returns whether a call gives a coroutine; partials and objects with an async `__call__` included."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def positional_bounds(function: Callable[..., Any]) -> tuple[int, float]:
    """Reads how many positional arguments a function takes.

    Args:
        function: any callable.

    Returns:
        The least and the greatest number; the latter is infinite with `*args`. A signature that cannot be
        read takes anything.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, float("inf")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = sum(1 for parameter in positional if parameter.default is parameter.empty)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return least, float("inf")
    return least, len(positional)
