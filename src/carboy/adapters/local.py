"""The membership of one process: namespaces, sids and rooms in one index under one lock.

It is changed and read in the caller's thread, so that a join is in force when it returns. It sends nothing.
A client's own room, named by its sid, is never stored: the index of sids is that room.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Hashable, Iterable
from typing import Generic, Protocol, TypeVar

from carboy.exceptions import LimitError, NotConnectedError

Room = Hashable


class Member(Protocol):
    """What the index needs to know of a client.

    Attributes:
        sid: the id of the client in its namespace.
        namespace: the name of the namespace.
        rooms: the rooms that it has entered, without its own; kept here, and still readable once it has left.
    """

    sid: str
    namespace: str
    rooms: set[Room]


MemberType = TypeVar("MemberType", bound=Member)


class _Namespace(Generic[MemberType]):
    """Members and rooms of one namespace, with the snapshots that hold until something changes."""

    __slots__ = ("everybody", "members", "rooms", "snapshots")

    def __init__(self) -> None:
        self.members: dict[str, MemberType] = {}
        self.rooms: dict[Room, dict[MemberType, None]] = {}
        self.everybody: tuple[MemberType, ...] | None = None
        self.snapshots: dict[Room, tuple[MemberType, ...]] = {}

    def snapshot(self, room: Room) -> tuple[MemberType, ...]:
        """Returns the members of one room, from the last snapshot while nothing has changed."""
        found = self.snapshots.get(room)
        if found is None:
            members = self.rooms.get(room)
            if members is None:
                own = self.members.get(room) if isinstance(room, str) else None
                return () if own is None else (own,)
            found = self.snapshots[room] = tuple(members)
        return found

    def leave(self, member: MemberType, room: Room) -> None:
        members = self.rooms.get(room)
        if members is not None:
            members.pop(member, None)
            self.snapshots.pop(room, None)
            if not members:
                del self.rooms[room]


class LocalAdapter(Generic[MemberType]):
    """The members of all namespaces of this process.

    Args:
        max_rooms: rooms that one client may be in, without its own.
    """

    def __init__(self, max_rooms: int = sys.maxsize) -> None:
        self._max_rooms = max_rooms
        self._lock = threading.Lock()
        self._namespaces: dict[str, _Namespace[MemberType]] = {}

    def add(self, member: MemberType) -> None:
        """Makes a client a recipient of its namespace and of its own room."""
        with self._lock:
            namespace = self._namespaces.get(member.namespace)
            if namespace is None:
                namespace = self._namespaces[member.namespace] = _Namespace()
            namespace.members[member.sid] = member
            namespace.everybody = None

    def discard(self, member: MemberType) -> None:
        """Takes a client out of its namespace and of every room; its `rooms` stay readable."""
        with self._lock:
            namespace = self._namespaces.get(member.namespace)
            if namespace is None or namespace.members.get(member.sid) is not member:
                return
            del namespace.members[member.sid]
            namespace.everybody = None
            for room in member.rooms:
                namespace.leave(member, room)
            if not namespace.members:
                del self._namespaces[member.namespace]

    def clear(self) -> None:
        """Forgets every client, in a process that was forked."""
        self._lock = threading.Lock()  # a thread that has stayed behind may have held the other one
        self._namespaces.clear()

    def find(self, namespace: str, sid: str) -> MemberType | None:
        """Returns the client with that sid, or None."""
        with self._lock:
            found = self._namespaces.get(namespace)
            return None if found is None else found.members.get(sid)

    def enter(self, namespace: str, sid: str, room: Room) -> None:
        """Puts a client into a room.

        Raises:
            ValueError: if the room is another client's own.
            NotConnectedError: if no such client is connected.
            LimitError: if it is in too many.
        """
        with self._lock:
            member, found = self._member(namespace, sid)
            if room == sid or room in member.rooms:
                return
            if room in found.members:
                raise ValueError("cannot enter a sid room: it belongs to the client with that sid alone")
            if len(member.rooms) >= self._max_rooms:
                raise LimitError(f"the client is in {self._max_rooms} rooms already", "max_rooms")
            member.rooms.add(room)
            found.rooms.setdefault(room, {})[member] = None
            found.snapshots.pop(room, None)

    def leave(self, namespace: str, sid: str, room: Room) -> None:
        """Takes a client out of a room; not being in it is no error.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        with self._lock:
            member, found = self._member(namespace, sid)
            member.rooms.discard(room)
            found.leave(member, room)

    def close(self, namespace: str, room: Room) -> None:
        """Empties a room.

        Raises:
            ValueError: if the room is a client's own.
        """
        with self._lock:
            found = self._namespaces.get(namespace)
            if found is None:
                return
            if room in found.members:
                raise ValueError("cannot close a sid room: it belongs to the client with that sid alone")
            found.snapshots.pop(room, None)
            for member in found.rooms.pop(room, {}):
                member.rooms.discard(room)

    def recipients(
        self, namespace: str, rooms: Iterable[Room] | None = None, skip: Collection[str] = ()
    ) -> tuple[MemberType, ...]:
        """Takes the snapshot of whom a broadcast reaches.

        Args:
            namespace: the namespace.
            rooms: the rooms, whose union counts, each member once; None means everybody.
            skip: sids that are left out.

        Returns:
            The clients, in the order in which they joined.
        """
        # Before the lock, since it may be a generator of the application's, which asks for rooms itself.
        wanted = None if rooms is None else tuple(rooms)
        with self._lock:
            found = self._namespaces.get(namespace)
            if found is None:
                return ()
            members = _everybody(found) if wanted is None else _union(found, wanted)
        return tuple(member for member in members if member.sid not in skip) if skip else members

    def rooms(self, member: MemberType) -> tuple[Room, ...]:
        """Returns the rooms of a client without its own, also once it has left."""
        with self._lock:
            return tuple(member.rooms)

    def names(self, namespace: str) -> tuple[Room, ...]:
        """Returns the rooms of a namespace that have members, without the clients' own."""
        with self._lock:
            found = self._namespaces.get(namespace)
            return () if found is None else tuple(found.rooms)

    def namespaces(self) -> tuple[str, ...]:
        """Returns the namespaces that have members."""
        with self._lock:
            return tuple(self._namespaces)

    def _member(self, namespace: str, sid: str) -> tuple[MemberType, _Namespace[MemberType]]:
        found = self._namespaces.get(namespace)
        member = None if found is None else found.members.get(sid)
        if member is None or found is None:
            raise NotConnectedError(f"no client {sid!r} is connected to the namespace {namespace!r}")
        return member, found


def _everybody(namespace: _Namespace[MemberType]) -> tuple[MemberType, ...]:
    if namespace.everybody is None:
        namespace.everybody = tuple(namespace.members.values())
    return namespace.everybody


def _union(namespace: _Namespace[MemberType], rooms: tuple[Room, ...]) -> tuple[MemberType, ...]:
    if len(rooms) == 1:
        return namespace.snapshot(rooms[0])
    return tuple(dict.fromkeys(member for room in rooms for member in namespace.snapshot(room)))
