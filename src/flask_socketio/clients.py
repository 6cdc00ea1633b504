"""What an application does with clients from anywhere, and learns of them: of all processes, if several."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from carboy.runtime.census import ClientInfo, ClientList

from .emitting import Emitting
from .targets import rooms_of

__all__ = ["ClientInfo", "ClientList", "Clients"]


class Clients(Emitting):
    """The part of a SocketIO object that moves and counts clients."""

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Empty a room.

        Args:
            room: its name.
            namespace: the namespace, "/" by default.

        Raises:
            ValueError: if the room is a client's own.
        """
        self._serving().close_room(room, namespace or "/")

    def enter_room(
        self, room: Hashable, sid: str | None = None, to: Any = None, namespace: str | None = None
    ) -> None:
        """Put a client, or all clients of rooms, into a room.

        Args:
            room: the room that they enter.
            sid: the client.
            to: a room, or a collection of them, whose clients are meant; everybody if there is no `sid`
                either.
            namespace: the namespace, "/" by default.

        Raises:
            ValueError: if there is no client with that `sid`, or the room is a client's own.
        """
        if sid is not None:
            self._serving().enter_room(sid, room, namespace or "/")
        else:
            self._serving().move_clients("enter_room", rooms_of(to), namespace or "/", room)

    def leave_room(
        self, room: Hashable, sid: str | None = None, to: Any = None, namespace: str | None = None
    ) -> None:
        """Take a client, or all clients of rooms, out of a room; arguments and errors as `enter_room`."""
        if sid is not None:
            self._serving().leave_room(sid, room, namespace or "/")
        else:
            self._serving().move_clients("leave_room", rooms_of(to), namespace or "/", room)

    def disconnect(self, sid: str | None = None, to: Any = None, namespace: str | None = None) -> None:
        """Disconnect a client, or all clients of rooms, from a namespace.

        Args:
            sid: the client; an unknown one is ignored.
            to: a room, or a collection of them, whose clients are meant.
            namespace: the namespace, "/" by default.

        Raises:
            ValueError: if there is neither: to disconnect everybody, name a room that all are in.
        """
        if sid is None and to is None:
            raise ValueError("disconnect() needs sid= or to=")
        if sid is not None:
            self._serving().disconnect(sid, namespace or "/")
        else:
            self._serving().move_clients("disconnect", rooms_of(to), namespace or "/")

    def fetch_clients(self, to: Any = None, namespace: str | None = None, timeout: float = 5.0) -> ClientList:
        """Return the clients of rooms; waits for other processes.

        Args:
            to: a sid, a room, or a collection of them; everybody by default.
            namespace: the namespace, "/" by default.
            timeout: seconds that other processes have to answer; who has not answered by then is named by
                `silent` of the result.

        Raises:
            RuntimeError: in a coroutine on the server's loop, which must not wait.
        """
        return self._serving().fetch_clients(rooms_of(to), namespace or "/", timeout)

    def count_clients(self, to: Any = None, namespace: str | None = None, timeout: float = 5.0) -> int:
        """Return how many clients rooms have; arguments and errors as `fetch_clients`."""
        return self._serving().count_clients(rooms_of(to), namespace or "/", timeout)
