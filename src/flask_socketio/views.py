"""What applications reach as `socketio.server.manager` and `socketio.server.eio`, mostly to read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from threading import Thread
from typing import Any

from flask import Flask

from carboy.config import Config
from carboy.engineio.close_codes import NORMAL_CLOSURE
from carboy.engineio.sids import generate_sid
from carboy.engineio.states import SessionInput
from carboy.exceptions import NotConnectedError
from carboy.runtime.client import CONNECTED, Client
from carboy.runtime.connection import Connection
from carboy.runtime.server import Server

from .tasks import start_task


class Manager:
    """Who is in which room, to read from; `emit` and `disconnect`.

    Args:
        runtime: the server.
        emit: sends an event, as `SocketIOServer.emit`.
    """

    def __init__(self, runtime: Server, emit: Callable[..., None]) -> None:
        self._runtime = runtime
        self._emit = emit

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event; see `SocketIO.emit`. A callback is called without any context."""
        self._emit(event, data, to, room, skip_sid, namespace, callback, **kwargs)

    def disconnect(self, sid: str, namespace: str, ignore_queue: bool = False) -> None:
        """Disconnect a client; an unknown one is ignored."""
        self._runtime.disconnect(sid, namespace, everywhere=not ignore_queue)

    @property
    def rooms(self) -> Mapping[str, Mapping[Any, Mapping[str, str]]]:
        """The members of rooms: namespace, room (None for everybody), sid, engine session id."""
        return {name: _Rooms(self, self._runtime, name) for name in self.get_namespaces()}

    def get_namespaces(self) -> tuple[str, ...]:
        """Return the namespaces that have clients."""
        present = self._runtime.adapter.namespaces()
        return tuple(dict.fromkeys((*present, *(name for name, _ in tuple(self._runtime.lifecycle.leaving)))))

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Give (sid, engine session id) of the members of a room, or of several; None for everybody.

        A client whose disconnect handler runs is a member still, as in python-socketio.
        """
        rooms = None if room is None else room if isinstance(room, (list, tuple)) else [room]
        members = {client.sid: client for client in leaving(self._runtime, namespace, rooms)}
        members |= {client.sid: client for client in self._runtime.adapter.recipients(namespace, rooms)}
        for client in members.values():
            yield client.sid, client.connection.session.sid

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Tell whether a client was accepted and has not left."""
        client = self._runtime.adapter.find(namespace, sid)
        return client is not None and client.state is CONNECTED

    def get_rooms(self, sid: str, namespace: str) -> list[Hashable]:
        """Return the rooms of a client, its own first; none of an unknown one."""
        try:
            return self._runtime.rooms(sid, namespace)
        except NotConnectedError:
            return []

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the id of the engine session that carries a client."""
        client = self._runtime.adapter.find(namespace, sid)
        return None if client is None else client.connection.session.sid

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid that an engine session has in a namespace."""
        connection = self._runtime.connections.get(eio_sid)
        client = None if connection is None else connection.clients.get(namespace)
        present = client is not None and self._runtime.adapter.find(namespace, client.sid) is client
        return client.sid if client is not None and present else None


class Engine:
    """The engine sessions, and every option of the server under its name, to read from.

    Args:
        runtime: the server.
        async_mode: what is reported as such.
    """

    def __init__(self, runtime: Server, async_mode: str) -> None:
        self._runtime = runtime
        self._config: Config = runtime.config
        self.async_mode = async_mode

    @property
    def sockets(self) -> Mapping[str, EngineSocket]:
        """The engine sessions by their id."""
        sessions = connections(self._runtime)
        return {sid: EngineSocket(connection, self._runtime) for sid, connection in sessions.items()}

    def generate_id(self) -> str:
        """Return an id that was never used, as sessions have."""
        return generate_sid(self._runtime.name)

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Thread:
        """Run a function in a thread of its own; see `SocketIO.start_background_task`."""
        return start_task(target, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class EngineSocket:
    """An engine session: whether it is open, and its end.

    Args:
        connection: the session.
        runtime: the server.

    Attributes:
        sid: the id of the session.
    """

    def __init__(self, connection: Connection, runtime: Server) -> None:
        self._connection = connection
        self._runtime = runtime
        self.sid: str = connection.session.sid

    @property
    def connected(self) -> bool:
        """Whether the session is open."""
        return not self.closed

    @property
    def closed(self) -> bool:
        """Whether the end of the session is decided."""
        return self._connection.session.closed

    def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """End the session with all its clients, in a moment; one that is over is left alone.

        Args:
            wait: taken; nothing is waited for.
            abort: taken; the client is told in any case.
            reason: what disconnect handlers are told, "server disconnect" by default.
        """
        connection, end = self._connection, (SessionInput.SERVER_CLOSED, NORMAL_CLOSURE, reason)
        if connection.inline:
            connection.close(*end)
        else:
            self._runtime.hub.outbox.put(connection.close, *end)


class Environs(Mapping[str, dict[str, Any]]):
    """The environs of the handshakes, by the id of the engine session.

    Args:
        runtime: the server.
    """

    def __init__(self, runtime: Server) -> None:
        self._runtime = runtime

    def __getitem__(self, eio_sid: str) -> dict[str, Any]:
        return environ_of(self._runtime.connections.get(eio_sid) or connections(self._runtime)[eio_sid])

    def __iter__(self) -> Iterator[str]:
        return iter(connections(self._runtime))

    def __len__(self) -> int:
        return len(connections(self._runtime))


def leaving(runtime: Server, namespace: str, rooms: Collection[Hashable] | None = None) -> Iterator[Client]:
    """Give the clients whose disconnect handlers run.

    Args:
        runtime: the server.
        namespace: their namespace.
        rooms: of which rooms, None for all.
    """
    for client in tuple(runtime.lifecycle.leaving.values()):
        is_member = rooms is None or client.sid in rooms or not client.rooms.isdisjoint(rooms)
        if client.namespace == namespace and is_member:
            yield client


def connections(runtime: Server) -> dict[str, Connection]:
    """Return the engine sessions by their id, with those that are over but for disconnect handlers."""
    clients = tuple(runtime.lifecycle.leaving.values())
    ending = {client.connection.session.sid: client.connection for client in clients}
    return {**runtime.connections.copy(), **ending}


def environ_of(connection: Connection) -> dict[str, Any]:
    """Return the environ of a handshake, with the session under "saved_session" where there is one by now.

    A session that lies in a cookie is not read before it is asked for, and here it may be.
    """
    environ, saved = connection.environ, connection.context
    if "saved_session" not in environ and saved is not None and saved.began is not None:
        app: Flask = environ["flask.app"]
        saved.open(app, app.request_class(environ))
    return environ


class _Rooms(Mapping[Any, Mapping[str, str]]):
    """The rooms of one namespace, each looked up when it is asked for."""

    def __init__(self, manager: Manager, runtime: Server, namespace: str) -> None:
        self._manager = manager
        self._runtime = runtime
        self._namespace = namespace

    def __getitem__(self, room: Any) -> Mapping[str, str]:
        found = dict(self._manager.get_participants(self._namespace, room))
        if not found:
            raise KeyError(room)
        return found

    def __iter__(self) -> Iterator[Any]:
        names: dict[Any, None] = dict.fromkeys((None, *self._runtime.adapter.names(self._namespace)))
        for client in leaving(self._runtime, self._namespace):
            names |= dict.fromkeys(client.rooms)
        names |= dict.fromkeys(sid for sid, _ in self._manager.get_participants(self._namespace, None))
        yield from names

    def __len__(self) -> int:
        return sum(1 for _ in self)
