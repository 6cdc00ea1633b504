"""The functions for event handlers: `emit` and its like, which know whose event is being handled.

In an HTTP route, where there is no such client, they do what the method of the same name does.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from flask import Flask, current_app, has_app_context

from carboy.config import warn_of_option
from carboy.exceptions import NotConnectedError

from .context import AssignedClient, ClientContext, current_event
from .extension import SocketIO

# What `namespace` is when it was not given: None is given, and means "/".
_NOT_GIVEN: Any = object()

# Options that applications pass though nothing depends on them here.
_TAKEN_SILENTLY = frozenset({"silent"})


def emit(
    event: str,
    *args: Any,
    namespace: str | None = _NOT_GIVEN,
    to: Any = None,
    room: Any = None,
    broadcast: bool = False,
    **kwargs: Any,
) -> None:
    """Send an event to the client whose event is being handled, or to others.

    Args:
        event: its name.
        *args: the data, one value: None for no argument, a tuple for several, anything else for one.
        namespace: the namespace, by default the client's.
        to: a sid, a room, or a collection of them; by default the client itself.
        room: the same under another name.
        broadcast: whether it goes to everybody in the namespace, unless there is a `to`.
        **kwargs: more options of `SocketIO.emit`: `include_self`, `skip_sid`, `callback`, `timeout`,
            `volatile`, `ignore_queue`.

    Raises:
        RuntimeError: outside of any application context.
    """
    socketio, here = _current("emit")
    place, target = _addressee(socketio, here, namespace, room if to is None else to, broadcast)
    socketio.emit(event, *args, namespace=place, to=target, **_known(kwargs))


def send(
    message: Any,
    *,
    json: bool = False,
    namespace: str | None = _NOT_GIVEN,
    to: Any = None,
    room: Any = None,
    broadcast: bool = False,
    **kwargs: Any,
) -> None:
    """Send a message, which is an event with the name "message", or "json".

    Args:
        message: the message.
        json: whether the event is "json".
        namespace: as in `emit`.
        to: as in `emit`.
        room: as in `emit`.
        broadcast: as in `emit`.
        **kwargs: as in `emit`.

    Raises:
        RuntimeError: outside of any application context.
    """
    socketio, here = _current("send")
    place, target = _addressee(socketio, here, namespace, room if to is None else to, broadcast)
    socketio.send(message, json=json, namespace=place, to=target, **_known(kwargs))


def call(
    event: str,
    *args: Any,
    namespace: str | None = _NOT_GIVEN,
    to: Any = None,
    room: Any = None,
    timeout: float | None = 60,
    ignore_queue: bool = False,
) -> Any:
    """Send an event to the client whose event is being handled, or another, and wait for the acknowledgement.

    Args:
        event: its name.
        *args: the data, as in `emit`.
        namespace: the namespace, by default the client's.
        to: the sid of another client.
        room: the same under another name.
        timeout: seconds to wait, None for no limit.
        ignore_queue: only a client of this process is meant.

    Returns:
        None, the argument of the acknowledgement, or a tuple of several.

    Raises:
        ValueError: in an HTTP route, if there is no `to`.
        TimeoutError: if none comes in time, and at once when none can come any more.
        RuntimeError: outside of any application context, and in a coroutine; see `call_async`.
    """
    socketio, here = _current("call")
    place, target = _addressee(socketio, here, namespace, room if to is None else to, broadcast=False)
    return socketio.call(event, *args, namespace=place, to=target, timeout=timeout, ignore_queue=ignore_queue)


async def call_async(
    event: str,
    *args: Any,
    namespace: str | None = _NOT_GIVEN,
    to: Any = None,
    room: Any = None,
    timeout: float | None = 60,
    ignore_queue: bool = False,
) -> Any:
    """The form of `call` that a coroutine awaits, with the same arguments, result and errors."""
    socketio, here = _current("call_async")
    place, target = _addressee(socketio, here, namespace, room if to is None else to, broadcast=False)
    return await socketio.call_async(
        event, *args, namespace=place, to=target, timeout=timeout, ignore_queue=ignore_queue
    )


def join_room(room: Hashable, sid: str | None = None, namespace: str | None = None) -> None:
    """Put a client into a room; it is in force when this returns.

    Args:
        room: the name of the room.
        sid: the client, by default the one whose event is being handled; nothing happens if that one has
            left.
        namespace: the namespace, by default the client's.

    Raises:
        ValueError: if there is no client with that `sid`, or the room is another client's own.
        RuntimeError: where no event is being handled, if there is no `sid`.
    """
    socketio, client, place, own = _client("join_room", sid, namespace)
    try:
        socketio.server.enter_room(client, room, namespace=place)
    except NotConnectedError:
        if not own:
            raise


def leave_room(room: Hashable, sid: str | None = None, namespace: str | None = None) -> None:
    """Take a client out of a room; it is in force when this returns.

    Args:
        room: the name of the room.
        sid: the client, as in `join_room`.
        namespace: the namespace, by default the client's.

    Raises:
        RuntimeError: where no event is being handled, if there is no `sid`.
    """
    socketio, client, place, _ = _client("leave_room", sid, namespace)
    socketio.server.leave_room(client, room, namespace=place)


def close_room(room: Hashable, namespace: str | None = None) -> None:
    """Empty a room.

    Args:
        room: the name of the room.
        namespace: the namespace, by default that of the client whose event is being handled.

    Raises:
        ValueError: if the room is a client's own.
        RuntimeError: outside of any application context.
    """
    socketio, here = _current("close_room")
    socketio.close_room(room, namespace=namespace or _namespace_of(here))


def rooms(sid: str | None = None, namespace: str | None = None) -> list[Hashable]:
    """Return the rooms of a client, its own among them.

    Args:
        sid: the client, by default the one whose event is being handled; there are none of one that is not
            connected.
        namespace: the namespace, by default the client's.

    Raises:
        RuntimeError: where no event is being handled, if there is no `sid`.
    """
    socketio, client, place, _ = _client("rooms", sid, namespace)
    found: list[Hashable] = socketio.server.rooms(client, namespace=place)
    return found


def disconnect(sid: str | None = None, namespace: str | None = None, silent: bool = False) -> None:  # noqa: ARG001
    """Disconnect a client from its namespace; inside its connect handler this refuses it.

    Args:
        sid: the client, by default the one whose event is being handled; one that has left already is
            ignored.
        namespace: the namespace, by default the client's.
        silent: no longer used.

    Raises:
        RuntimeError: where no event is being handled, if there is no `sid`.
    """
    socketio, client, place, _ = _client("disconnect", sid, namespace)
    socketio.server.disconnect(client, namespace=place)


def _current(function: str) -> tuple[SocketIO, Any]:
    """Return the SocketIO object, and the request of the event that is being handled, if any."""
    here = current_event()
    if here is None and not has_app_context():
        raise RuntimeError(
            f"{function}() was called outside of any application context. In an event handler or an HTTP "
            "route it finds the server by itself; in a thread or a background task use the method "
            f"socketio.{function}(), or enter app.app_context()."
        )
    # The app itself: each look through Flask's proxy costs as much as all else here.
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    try:
        return app.extensions["socketio"], here
    except KeyError:
        raise RuntimeError("this application has no Socket.IO server: call socketio.init_app(app)") from None


def _addressee(
    socketio: SocketIO, here: Any, namespace: str | None, to: Any, broadcast: bool
) -> tuple[str | None, Any]:
    """Return the namespace and the recipients that are meant."""
    if namespace is _NOT_GIVEN:
        namespace = _namespace_of(here)
    if to is None or (socketio.legacy_falsy_to and not to):
        to = None if broadcast or here is None else here.sid
    return namespace, to


def _client(function: str, sid: str | None, namespace: str | None) -> tuple[SocketIO, str, str, bool]:
    """Return whom a function is about, and whether that is, by default, whose event is being handled."""
    socketio, here = _current(function)
    own = sid is None
    if sid is None:
        if here is None or here.sid is None:
            raise RuntimeError(f"{function}() needs sid= where no Socket.IO event is being handled")
        own = not namespace or namespace == here.namespace
        sid = here.sid
    return socketio, sid, namespace or _namespace_of(here), own


def _namespace_of(here: ClientContext | AssignedClient | None) -> str:
    return "/" if here is None else here.namespace


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that `SocketIO.emit` takes, and warn of the others."""
    unknown = options.keys() - _OPTIONS if options else None
    if not unknown:
        return options
    for name in sorted(unknown - _TAKEN_SILENTLY):
        warn_of_option("emit()", name, (*_OPTIONS, "namespace", "to", "room", "broadcast"))
    return {name: value for name, value in options.items() if name not in unknown}


_OPTIONS = frozenset({"include_self", "skip_sid", "callback", "ignore_queue", "timeout", "volatile", "data"})
