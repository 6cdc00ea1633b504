"""What applications reach as `socketio.server.manager` and `socketio.server.eio`, mostly to read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

from flask import Flask

from carboy.config import Config
from carboy.exceptions import NotConnectedError
from carboy.runtime.client import CONNECTED
from carboy.runtime.connection import Connection
from carboy.runtime.server import Server


class Manager:
    """Who is in which room, to read from; and `emit`.

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

    @property
    def rooms(self) -> Mapping[str, Mapping[Any, Mapping[str, str]]]:
        """The members of rooms: namespace, room (None for everybody), sid, engine session id."""
        return {name: _Rooms(self, self._runtime, name) for name in self.get_namespaces()}

    def get_namespaces(self) -> tuple[str, ...]:
        """Return the namespaces that have clients."""
        return self._runtime.adapter.namespaces()

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Give (sid, engine session id) of the members of a room, or of several; None for everybody."""
        rooms = None if room is None else room if isinstance(room, (list, tuple)) else [room]
        for client in self._runtime.adapter.recipients(namespace, rooms):
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
    def sockets(self) -> Mapping[str, Connection]:
        """The engine sessions by their id."""
        return dict(self._runtime.connections)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class Environs(Mapping[str, dict[str, Any]]):
    """The environs of the handshakes, by the id of the engine session.

    Args:
        runtime: the server.
    """

    def __init__(self, runtime: Server) -> None:
        self._connections = runtime.connections

    def __getitem__(self, eio_sid: str) -> dict[str, Any]:
        return environ_of(self._connections[eio_sid])

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._connections))

    def __len__(self) -> int:
        return len(self._connections)


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
        everybody = self._runtime.adapter.recipients(self._namespace)
        yield from (
            None,
            *self._runtime.adapter.names(self._namespace),
            *(client.sid for client in everybody),
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)
