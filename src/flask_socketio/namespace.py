"""Class-based namespaces: the method `on_<event>` answers the event.

This module knows the SocketIO object by its methods only. It enters no context; `_handle_event` does that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any

from carboy.runtime.client import Client
from carboy.runtime.handlers import ANY, Handler, is_coroutine_function
from carboy.runtime.jobs import complete

from .context import current_event
from .dispatch import current_client, dispatch


class Namespace:
    """Base of a namespace that is written as a class, of which there is one instance.

    A method `error(exception)`, if there is one, is called for exceptions that no error handler took, in the
    contexts of the event; what it returns is the acknowledgement.

    Args:
        namespace: its name, "/" by default; "*" is any namespace without handlers of its own.

    Attributes:
        namespace: its name.
        socketio: the SocketIO object; None before it was registered.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or "/"
        self.socketio: Any = None

    @property
    def server(self) -> Any:
        """The server, with the methods that python-socketio's has."""
        return None if self.socketio is None else self.socketio.server

    def _set_socketio(self, socketio: Any) -> None:
        self.socketio = socketio

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the method that answers an event. Override it for dispatching of another kind.

        Args:
            event: the name of the event.
            *args: the client's sid, and the arguments of the event.

        Returns:
            What the method returned; None where there is none.
        """
        handler = getattr(self, f"on_{event}", None)
        if handler is None:
            return None
        client = current_client()
        known = client is not None and client.sid == args[0]
        namespace = client.namespace if client is not None and known else self.namespace
        return self.socketio._handle_event(handler, event, namespace, *args)  # noqa: SLF001 (overridden by subclasses)

    def resolver(self) -> Callable[[str], Handler]:
        """Return the function that gives a server the handler for the name of an event.

        Only events that have a method are remembered, because clients choose the names.
        """
        known: dict[str, Handler] = {}
        generic = self._handler(self.trigger_event)

        def resolve(event: str) -> Handler:
            found = known.get(event)
            if found is None:
                method = getattr(self, f"on_{event}", None)
                if method is None or generic.is_async:
                    return generic
                found = known[event] = self._handler(method)
            return found

        return resolve

    def emit(
        self,
        event: str,
        data: Any = None,
        room: Any = None,
        include_self: bool = True,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        """Send an event to the clients of this namespace.

        Args:
            event: its name.
            data: what is sent, as in `SocketIO.emit`.
            room: whom it reaches, everybody by default.
            include_self: whether the client whose event is being handled is among them.
            namespace: another namespace.
            callback: called with each client's acknowledgement.
            **options: more of `SocketIO.emit`: `to`, `skip_sid`, `timeout`, `volatile`.
        """
        to = options.pop("to", None)
        self.socketio.emit(
            event,
            data,
            to=room if to is None else to,
            include_self=include_self,
            namespace=self._place(namespace),
            callback=callback,
            **options,
        )

    def send(
        self,
        data: Any,
        room: Any = None,
        include_self: bool = True,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        """Send a message to the clients of this namespace.

        Args:
            data: the message, as in `SocketIO.send`.
            room: whom it reaches, everybody by default.
            include_self: whether the client whose event is being handled is among them.
            namespace: another namespace.
            callback: called with each client's acknowledgement.
            **options: more of `SocketIO.send`: `json`, `to`, `skip_sid`.
        """
        to = options.pop("to", None)
        self.socketio.send(
            data,
            to=room if to is None else to,
            include_self=include_self,
            namespace=self._place(namespace),
            callback=callback,
            **options,
        )

    def call(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client and wait for its acknowledgement.

        Args:
            event: its name.
            data: what is sent, as in `SocketIO.emit`.
            to: the client's sid.
            sid: the same under another name.
            namespace: another namespace.
            timeout: seconds to wait, None for no limit.
            ignore_queue: only a client of this process is meant.

        Returns:
            None, the argument of the acknowledgement, or a tuple of several.

        Raises:
            TimeoutError: if none comes in time, or none can come any more.
        """
        target = sid if to is None else to
        place = self._place(namespace)
        return self.socketio.call(
            event, data, to=target, namespace=place, timeout=timeout, ignore_queue=ignore_queue
        )

    def enter_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Put a client into a room."""
        self.server.enter_room(sid, room, namespace=self._place(namespace))

    def leave_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Take a client out of a room."""
        self.server.leave_room(sid, room, namespace=self._place(namespace))

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Empty a room."""
        self.socketio.close_room(room, namespace=self._place(namespace))

    def rooms(self, sid: str, namespace: str | None = None) -> list[Hashable]:
        """Return the rooms of a client, its own first."""
        found: list[Hashable] = self.server.rooms(sid, namespace=self._place(namespace))
        return found

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the dict that the server keeps for a client."""
        found: dict[str, Any] = self.server.get_session(sid, namespace=self._place(namespace))
        return found

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the dict that the server keeps for a client."""
        self.server.save_session(sid, session, namespace=self._place(namespace))

    def session(self, sid: str, namespace: str | None = None) -> AbstractContextManager[dict[str, Any]]:
        """Return a context manager that gives the dict kept for a client, and saves it at the end."""
        found: AbstractContextManager[dict[str, Any]] = self.server.session(
            sid, namespace=self._place(namespace)
        )
        return found

    def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Disconnect a client."""
        self.server.disconnect(sid, namespace=self._place(namespace))

    def _place(self, namespace: str | None) -> str:
        """Return the namespace that is meant: where this is for any namespace, that of the event at hand."""
        if namespace or self.namespace != ANY:
            return namespace or self.namespace
        here = current_event()
        return "/" if here is None else here.namespace

    def _handler(self, function: Callable[..., Any]) -> Handler:
        return Handler(function, self._invoke if is_coroutine_function(function) else self._invoke_plain)

    def _invoke(self, client: Client, event: str, arguments: tuple[Any, ...]) -> Any:
        return dispatch(client, self.trigger_event, event, client.sid, *arguments)

    def _invoke_plain(self, client: Client, event: str, arguments: tuple[Any, ...]) -> Any:
        """Dispatch an event on a handler thread; a coroutine that comes back after all is run to its end."""
        result = dispatch(client, self.trigger_event, event, client.sid, *arguments)
        return complete(result) if inspect.iscoroutine(result) else result
