"""What applications reach as `socketio.server`: the methods of python-socketio's Server, over ours.

Nothing is decided here: every method is a translation. `manager` and `eio` are in `views.py`, `handlers` and
`namespace_handlers` in `raw_handlers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

from carboy.exceptions import NotConnectedError
from carboy.runtime.server import Server

from .context import current_event
from .emitting import ask, not_everybody, resolve_rooms
from .raw_handlers import FunctionHandlers, NamespaceHandlers, handler_of
from .targets import answer_arguments, answer_value, skipped_sids
from .tasks import sleep, start_task
from .views import Engine, Environs, Manager, environ_of

LEAVE_TIME = 1.0
"""Seconds for which `disconnect` waits for the disconnect handler of another client."""


class SocketIOServer:
    """The server behind a SocketIO object, as python-socketio's users know it. It has no contexts of Flask.

    Args:
        runtime: the server.
        async_mode: what is reported as such.
        legacy_falsy_to: whether an empty `to` means everybody.

    Attributes:
        manager: who is in which room.
        eio: the engine sessions and the options.
        environ: the environs of the handshakes, by the id of the engine session.
        async_mode: the value of that option; it changes nothing.
        handlers: the functions by namespace and event; what is changed there counts from the next event on.
        namespace_handlers: the objects of class-based namespaces by namespace, to be changed as well.
        logger: where the server tells what happens.
    """

    def __init__(self, runtime: Server, async_mode: str = "threading", legacy_falsy_to: bool = False) -> None:
        self._runtime = runtime
        self._legacy_falsy_to = legacy_falsy_to
        self.async_mode = async_mode
        self.async_handlers = runtime.config.async_handlers
        self.manager = Manager(runtime, self.emit)
        self.eio = Engine(runtime, async_mode)
        self.handlers = FunctionHandlers(runtime)
        self.namespace_handlers = NamespaceHandlers(runtime.handlers)
        self.logger = runtime.log.logger

    @property
    def environ(self) -> Mapping[str, dict[str, Any]]:
        """The environs of the handshakes, by the id of the engine session."""
        return Environs(self._runtime)

    # Sending

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event; see `SocketIO.emit`. A callback is called without any context."""
        runtime, place, arguments = self._runtime, namespace or "/", answer_arguments(data)
        rooms = resolve_rooms(runtime, room if to is None else to, event, self._legacy_falsy_to)
        skip = skipped_sids(skip_sid)
        if callback is None:
            runtime.emit(
                event, arguments, namespace=place, rooms=rooms, skip=skip, everywhere=not ignore_queue
            )
        else:
            ask(runtime, event, arguments, callback, place, rooms, skip, None, everywhere=not ignore_queue)

    def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send the event "message"; see `emit`."""
        self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    def call(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client and wait for its acknowledgement; see `SocketIO.call`."""
        target = sid if to is None else to
        rooms = not_everybody(
            resolve_rooms(self._runtime, target, event, legacy_falsy_to=False, function="call")
        )
        answer = self._runtime.call(
            event,
            answer_arguments(data),
            namespace=namespace or "/",
            rooms=rooms,
            timeout=timeout,
            everywhere=not ignore_queue,
        )
        return answer_value(answer)

    # Rooms and clients

    def enter_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Put a client into a room."""
        self._runtime.enter_room(sid, room, namespace or "/")

    def leave_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Take a client out of a room; an unknown one is in none."""
        with suppress(NotConnectedError):
            self._runtime.leave_room(sid, room, namespace or "/")

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Empty a room."""
        self._runtime.close_room(room, namespace or "/")

    def rooms(self, sid: str, namespace: str | None = None) -> list[Hashable]:
        """Return the rooms of a client, its own first; none of an unknown one."""
        return self.manager.get_rooms(sid, namespace or "/")

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client; an unknown one is ignored.

        Another one's disconnect handler has run when this returns, unless that takes longer than a second or
        the caller is a coroutine: what is put in the place of a client is not cleared away with it.
        """
        here = current_event()
        patience = 0.0 if here is not None and here.sid == sid else LEAVE_TIME
        place = namespace or "/"
        self._runtime.disconnect(sid, place, everywhere=not ignore_queue, patience=patience)

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """Return what carries a client: "polling" or "websocket"."""
        name: str = self._runtime.client(sid, namespace or "/").connection.session.transport
        return name

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return the environ of a client's handshake, None for an unknown one."""
        try:
            return environ_of(self._runtime.client(sid, namespace or "/").connection)
        except NotConnectedError:
            return None

    # Sessions: a dict for each client of a namespace, which has nothing to do with Flask's

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the dict that is kept for a client."""
        client = self._runtime.client(sid, namespace or "/")
        if client.session is None:
            client.session = {}
        return client.session

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the dict that is kept for a client."""
        self._runtime.client(sid, namespace or "/").session = session

    @contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[dict[str, Any]]:
        """Give the dict that is kept for a client, and save it at the end."""
        client = self._runtime.client(sid, namespace or "/")
        session = self.get_session(sid, namespace)
        yield session
        client.session = session

    # Handlers that get the sid, and no contexts

    def on(
        self, event: str, handler: Callable[..., Any] | None = None, namespace: str | None = None
    ) -> Callable[..., Any]:
        """Register a handler that is called with the sid first: (sid, environ[, auth]), (sid[, reason])."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            place = namespace or "/"
            self._runtime.handlers.register(place, event, handler_of(function, place, event))
            return function

        return decorate if handler is None else decorate(handler)

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Register a handler as `on` does, for the event that has the function's name."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])
        return lambda function: self.on(function.__name__, *args, **kwargs)(function)

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register an object with a `namespace` and a method `trigger_event(event, sid, *arguments)`."""
        if hasattr(namespace_handler, "_set_server"):
            namespace_handler._set_server(self)  # noqa: SLF001 (what python-socketio's server calls)
        self.namespace_handlers[namespace_handler.namespace or "/"] = namespace_handler

    # Tasks

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Thread:
        """Run a function in a thread of its own; see `SocketIO.start_background_task`."""
        return start_task(target, args, kwargs)

    def sleep(self, seconds: float = 0) -> None:
        """Sleep; see `SocketIO.sleep`."""
        sleep(self._runtime, seconds)

    # The end, and what has no counterpart

    def shutdown(self) -> None:
        """Leave the message queue. The server itself ends with what serves it; see `SocketIO.stop`."""
        self._runtime.leave()

    def handle_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Refuse: the server does not take single requests."""
        raise NotImplementedError(
            "Carboy takes no single WSGI requests; serve the application with socketio.run()"
        )

    def instrument(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: there is no support for the admin UI."""
        raise NotImplementedError("Carboy does not support the Socket.IO Admin UI")
