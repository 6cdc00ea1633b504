"""Which handler answers which event of which namespace, and what its signature takes.

A signature is read once, at registration; nothing is ever called to find out whether it fits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from threading import Lock
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

    They may be changed in any thread while the server works.

    Attributes:
        named: those of the main namespace by the name of the event; none for a name that a client must not
            send, and no catch-all.
    """

    def __init__(self) -> None:
        self._functions: dict[str, dict[str, tuple[Handler, bool]]] = {}  # what `find` returns
        self._classes: dict[str, Callable[[str], Handler]] = {}
        self._lock = Lock()  # for changes, so that `named` never differs; finding takes none
        self.named: dict[str, Handler] = {}

    def register(self, namespace: str, event: str, handler: Handler) -> None:
        """Registers a handler for one event; "*" stands for any event, or any namespace."""
        with self._lock:
            self._functions.setdefault(namespace, {})[event] = handler, event == ANY
            if namespace == "/" and event != ANY and event not in RESERVED_EVENTS:
                self.named[event] = handler

    def unregister(self, namespace: str, event: str | None = None) -> None:
        """Forgets the function of an event, or those of a whole namespace; never a class.

        Args:
            namespace: its name, as it was registered.
            event: the event, as it was registered; None for all, after which the namespace is unknown.

        Raises:
            KeyError: if there is none.
        """
        with self._lock:
            if event is None:
                del self._functions[namespace]
                if namespace == "/":
                    self.named.clear()
            else:
                del self._functions[namespace][event]
                if namespace == "/":
                    self.named.pop(event, None)

    def functions(self) -> dict[str, dict[str, Handler]]:
        """Returns the handlers by namespace and event, without classes, as they are at this moment."""
        with self._lock:
            return {
                namespace: {event: handler for event, (handler, _) in events.items()}
                for namespace, events in self._functions.items()
            }

    def register_namespace(self, namespace: str, resolve: Callable[[str], Handler]) -> None:
        """Registers a class for every event of a namespace that no function answers.

        Args:
            namespace: its name, or "*" for any.
            resolve: gives the handler for the name of an event.
        """
        self._classes[namespace] = resolve

    def unregister_namespace(self, namespace: str) -> None:
        """Forgets the class of a namespace.

        Raises:
            KeyError: if there is none.
        """
        del self._classes[namespace]

    def classes(self) -> dict[str, Callable[[str], Handler]]:
        """Returns what `register_namespace` was given, by namespace, as it is at this moment."""
        return self._classes.copy()

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
        events = self._functions.get(namespace)  # the hot path
        found = None if events is None else events.get(event)
        return self._find_general(namespace, event) if found is None else found

    def _find_general(self, namespace: str, event: str) -> tuple[Handler, bool] | None:
        names = (event,) if event in LIFECYCLE_EVENTS else (event, ANY)
        for place in (namespace, ANY):
            events = self._functions.get(place, {})
            for name in names:
                if (found := events.get(name)) is not None:
                    return found
        resolve = self._classes.get(namespace) or self._classes.get(ANY)
        return None if resolve is None else (resolve(event), False)

    def accepts(self, namespace: str) -> bool:
        """Returns whether anything is registered for a namespace."""
        known = self._functions, self._classes
        return any(namespace in registered or ANY in registered for registered in known)


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
