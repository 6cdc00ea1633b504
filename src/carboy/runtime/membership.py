"""Which clients are in which rooms, and who is to leave: of this process, and through the cluster of others.

It is the base of `Server`. A change is in force here when the call returns, elsewhere a moment later.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from contextlib import suppress

from carboy.exceptions import BlockingCallError, NotConnectedError
from carboy.runtime.census import ClientList, describe
from carboy.runtime.client import CONNECTED, Client
from carboy.runtime.emitting import Emitting
from carboy.runtime.lifecycle import SERVER_DISCONNECT, Lifecycle


class Membership(Emitting):
    """The part of a server that moves clients.

    Attributes:
        lifecycle: how clients come and go.
    """

    lifecycle: Lifecycle

    def enter_room(self, sid: str, room: Hashable, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Puts a client into a room, in force when this returns; a client that is leaving is left alone.

        Args:
            sid: the client; if there are other processes, it may be connected to one of them.
            room: the room.
            namespace: the namespace.
            everywhere: whether a client of another process is meant too.

        Raises:
            NotConnectedError: if no such client is connected.
            ValueError: if the room is another client's own.
        """
        try:
            self.adapter.enter(namespace, sid, room)
        except NotConnectedError:
            if (namespace, sid) in self.lifecycle.leaving:
                return
            cluster = self.others() if everywhere else None
            if cluster is None:
                raise
            cluster.enter_room(sid, room, namespace)

    def leave_room(self, sid: str, room: Hashable, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Takes a client out of a room, in force when this returns; a client that is leaving is left alone.

        Args:
            sid: as in `enter_room`.
            room: the room.
            namespace: the namespace.
            everywhere: as in `enter_room`.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        try:
            self.adapter.leave(namespace, sid, room)
        except NotConnectedError:
            if (namespace, sid) in self.lifecycle.leaving:
                return
            cluster = self.others() if everywhere else None
            if cluster is None:
                raise
            cluster.leave_room(sid, room, namespace)

    def close_room(self, room: Hashable, namespace: str = "/", *, everywhere: bool = True) -> None:
        """Empties a room.

        Args:
            room: the room.
            namespace: the namespace.
            everywhere: whether clients of other processes are meant too.

        Raises:
            ValueError: if the room is a client's own.
        """
        self.adapter.close(namespace, room)
        cluster = self.others() if everywhere else None
        if cluster is not None:
            cluster.close_room(room, namespace)

    def rooms(self, sid: str, namespace: str = "/") -> list[Hashable]:
        """Returns the rooms of a client, its own first; also while its disconnect handler runs.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        return [sid, *self.adapter.rooms(self.client(sid, namespace))]

    def client(self, sid: str, namespace: str = "/") -> Client:
        """Returns a client, also while its disconnect handler runs.

        Raises:
            NotConnectedError: if no such client is connected.
        """
        client = self.adapter.find(namespace, sid) or self.lifecycle.leaving.get((namespace, sid))
        if client is None:
            raise NotConnectedError(f"no client {sid!r} is connected to the namespace {namespace!r}")
        return client

    def disconnect(
        self, sid: str, namespace: str = "/", *, everywhere: bool = True, patience: float = 0.0
    ) -> None:
        """Disconnects a client from a namespace; inside its connect handler this refuses it.

        An unknown client is ignored.

        Args:
            sid: the client.
            namespace: the namespace.
            everywhere: whether a client of another process is meant too.
            patience: seconds to wait for the disconnect handler of a client of this process; in the loop's
                thread nothing is waited for.
        """
        client = self.adapter.find(namespace, sid)
        if client is None:
            cluster = self.others() if everywhere and (namespace, sid) not in self.lifecycle.leaving else None
            if cluster is not None:
                cluster.disconnect(sid, namespace)
        elif client.connection.inline:
            self.lifecycle.disconnect(client, SERVER_DISCONNECT, True)
        else:
            self.hub.outbox.put(self.lifecycle.disconnect, client, SERVER_DISCONNECT, True)
            if patience and self.hub.running and not self.hub.is_here:
                gone = threading.Event()
                self.hub.outbox.put(self.lifecycle.tell_when_gone, client, gone.set)
                gone.wait(patience)

    # All clients of rooms, of every process

    def fetch_clients(
        self, rooms: Iterable[Hashable] | None = None, namespace: str = "/", timeout: float = 5.0
    ) -> ClientList:
        """Returns the clients of rooms; waits for other processes, so not in the loop's thread.

        Args:
            rooms: the rooms, None for everybody.
            namespace: the namespace.
            timeout: seconds that other processes have to answer.

        Raises:
            BlockingCallError: in the loop's thread, which must not wait.
        """
        wanted = None if rooms is None else tuple(rooms)
        here = [client for client in self.adapter.recipients(namespace, wanted) if client.state is CONNECTED]
        found = ClientList(describe(client) for client in here)
        cluster = self.others()
        if cluster is not None:
            self._refuse_on_loop("fetch_clients")
            cluster.start()
            others = cluster.census.fetch(namespace, wanted, timeout)
            found += others
            found.silent = others.silent
        return found

    def count_clients(
        self, rooms: Iterable[Hashable] | None = None, namespace: str = "/", timeout: float = 5.0
    ) -> int:
        """Returns how many clients rooms have; arguments and errors as `fetch_clients`."""
        wanted = None if rooms is None else tuple(rooms)
        members = self.adapter.recipients(namespace, wanted)
        count = sum(client.state is CONNECTED for client in members)
        cluster = self.others()
        if cluster is not None:
            self._refuse_on_loop("count_clients")
            cluster.start()
            count += cluster.census.count(namespace, wanted, timeout)
        return count

    def move_clients(
        self,
        change: str,
        rooms: Iterable[Hashable] | None = None,
        namespace: str = "/",
        room: Hashable = None,
    ) -> None:
        """Does something with all clients of rooms, of every process. Never waits.

        Args:
            change: "enter_room", "leave_room" or "disconnect".
            rooms: the rooms, None for everybody.
            namespace: the namespace.
            room: which room they enter or leave.
        """
        wanted = None if rooms is None else tuple(rooms)
        for client in self.adapter.recipients(namespace, wanted):
            if change == "disconnect":
                self.disconnect(client.sid, namespace, everywhere=False)
            else:
                with suppress(NotConnectedError):  # it has just left
                    getattr(self, change)(client.sid, room, namespace, everywhere=False)
        cluster = self.others()
        if cluster is not None:
            cluster.move(namespace, wanted, change, room)

    def _refuse_on_loop(self, name: str) -> None:
        if self.hub.is_here:
            raise BlockingCallError(
                f"{name}() would block the event loop; in a coroutine write"
                f" `await asyncio.to_thread(socketio.{name}, ...)`"
            )
