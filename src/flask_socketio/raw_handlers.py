"""Handlers in python-socketio's way, with the sid first, and what applications reach as `server.handlers`.

Nothing is kept here: whatever is read or changed is the server's own registry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import update_wrapper
from typing import Any, TypeVar

from carboy.exceptions import NotConnectedError
from carboy.runtime.client import Client
from carboy.runtime.handlers import ANY, Handler, Handlers, Invoke, positional_bounds
from carboy.runtime.server import Server

from .namespace import Namespace

Function = Callable[..., Any]
Value = TypeVar("Value")


class RawHandler(Handler):
    """A function that is called with the sid first, and without contexts.

    Args:
        function: what the application wrote.
        namespace: where it is registered.
        event: for which event; where one of them is "*", its name goes before the sid.
    """

    __slots__ = ()

    def __init__(self, function: Function, namespace: str, event: str) -> None:
        super().__init__(function, _raw(function, event == ANY, namespace == ANY))


class FaceHandler:
    """A function that was registered with a SocketIO object, as python-socketio knows it.

    It is called with what a `RawHandler` is called with, and runs in the contexts of the client.

    Args:
        handler: the function as it is registered.
        runtime: the server.
        namespace: where it is registered.
        event: for which event.

    Attributes:
        handler: as above.
    """

    def __init__(self, handler: Handler, runtime: Server, namespace: str, event: str) -> None:
        update_wrapper(self, handler.function)
        self.handler = handler
        self._runtime = runtime
        self._namespace = namespace
        self._event = event

    def __call__(self, sid: str, *args: Any) -> Any:
        """Answer an event of a client; one that is not there is ignored."""
        event, namespace = self._event, self._namespace
        if event == ANY:
            event, sid, args = sid, args[0], args[1:]
        if namespace == ANY:
            namespace, sid, args = sid, args[0], args[1:]
        try:
            client = self._runtime.client(sid, namespace)
        except NotConnectedError:
            return None
        return self.handler.invoke(client, event, (event, *args) if self._event == ANY else args)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaceHandler) and other.handler is self.handler

    def __hash__(self) -> int:
        return hash(self.handler)

    def __repr__(self) -> str:
        return f"<handler {self.handler.function!r}>"


class _Registered(MutableMapping[str, Value]):
    """A part of the registry, which can be iterated over while it changes."""

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class FunctionHandlers(_Registered[MutableMapping[str, Function]]):
    """The functions by namespace and event; a namespace may be given a dict.

    Args:
        runtime: the server.
    """

    def __init__(self, runtime: Server) -> None:
        self._runtime = runtime

    def __getitem__(self, namespace: str) -> MutableMapping[str, Function]:
        if namespace not in self._runtime.handlers.functions():
            raise KeyError(namespace)
        return _EventHandlers(self._runtime, namespace)

    def __setitem__(self, namespace: str, functions: Mapping[str, Function]) -> None:
        given = dict(functions)  # it may be the one that is replaced
        with suppress(KeyError):
            del self[namespace]
        _EventHandlers(self._runtime, namespace).update(given)

    def __delitem__(self, namespace: str) -> None:
        self._runtime.handlers.unregister(namespace)

    def __iter__(self) -> Iterator[str]:
        return iter(self._runtime.handlers.functions())


class _EventHandlers(_Registered[Function]):
    """The functions of one namespace by event."""

    def __init__(self, runtime: Server, namespace: str) -> None:
        self._runtime = runtime
        self._namespace = namespace

    def __getitem__(self, event: str) -> Function:
        handler = self._handlers()[event]
        if isinstance(handler, RawHandler):
            return handler.function
        return FaceHandler(handler, self._runtime, self._namespace, event)

    def __setitem__(self, event: str, function: Function) -> None:
        handler = handler_of(function, self._namespace, event)
        self._runtime.handlers.register(self._namespace, event, handler)

    def __delitem__(self, event: str) -> None:
        self._runtime.handlers.unregister(self._namespace, event)

    def __iter__(self) -> Iterator[str]:
        return iter(self._handlers())

    def _handlers(self) -> dict[str, Handler]:
        return self._runtime.handlers.functions().get(self._namespace, {})


class NamespaceHandlers(_Registered[Any]):
    """The objects of class-based namespaces, of Flask-SocketIO's kind and of python-socketio's, by namespace.

    Args:
        handlers: the registry.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def __getitem__(self, namespace: str) -> Any:
        # What answers an event that has no method is `trigger_event` of the object.
        return getattr(self._handlers.classes()[namespace](ANY).function, "__self__", None)

    def __setitem__(self, namespace: str, value: Any) -> None:
        resolve = value.resolver() if isinstance(value, Namespace) else _raw_resolver(value)
        self._handlers.register_namespace(namespace, resolve)

    def __delitem__(self, namespace: str) -> None:
        self._handlers.unregister_namespace(namespace)

    def __iter__(self) -> Iterator[str]:
        return iter(self._handlers.classes())


def handler_of(function: Function, namespace: str, event: str) -> Handler:
    """Return what has to be registered for a function that is called with the sid first.

    Args:
        function: the function; what was read from `server.handlers` is put back as it was registered.
        namespace: where it is to be registered.
        event: for which event.
    """
    return function.handler if isinstance(function, FaceHandler) else RawHandler(function, namespace, event)


def _raw(function: Function, named: bool, anywhere: bool) -> Invoke:
    """Return what calls a handler in python-socketio's way: namespace and event first where they were "*"."""
    most = _most(function)

    def invoke(client: Client, event: str, arguments: tuple[Any, ...]) -> Any:
        head: tuple[Any, ...] = (client.namespace, client.sid) if anywhere else (client.sid,)
        if event == "connect":
            given = arguments if most > len(head) + 1 else arguments[:1]
        elif event == "disconnect":
            given = arguments if most > len(head) else ()
        else:
            given = arguments
            if named:
                head, given = (arguments[0], *head), arguments[1:]
        return function(*head, *given)

    return invoke


def _most(function: Function) -> float:
    """Return how many arguments a function takes; all, if what it wraps was read from `server.handlers`."""
    within = inspect.unwrap(function, stop=lambda found: isinstance(found, FaceHandler))
    return float("inf") if isinstance(within, FaceHandler) else positional_bounds(function)[1]


def _raw_resolver(value: Any) -> Callable[[str], Handler]:
    """Return what resolves the events of an object of python-socketio's kind: all go to `trigger_event`."""
    trigger = value.trigger_event

    def invoke(client: Client, event: str, arguments: tuple[Any, ...]) -> Any:
        return trigger(event, client.sid, *arguments)

    handler = Handler(trigger, invoke)
    return lambda event: handler
