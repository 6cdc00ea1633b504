"""One server among others: what it does reaches their clients, and what they do reaches its own.

The messages are python-socketio's (`adapters/messages.py`), so that its processes may be among them. How they
travel, and what happens when they cannot, is the bus's; what those of others lead to is in `incoming.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any

from carboy.adapters.bus import Bus
from carboy.adapters.messages import LIMITS, Message, arguments_of, encode_message, write_rooms
from carboy.runtime.acks import NOBODY, Answered, Lost
from carboy.runtime.census import Census
from carboy.runtime.incoming import Incoming, Local
from carboy.runtime.remote_acks import RemoteAcks
from carboy.socketio.json_codec import JSONCodec

Rooms = Iterable[Hashable]
"""Rooms, which can be read more than once."""


class Cluster:
    """The other processes, as one server sees them.

    Args:
        local: the server.
        bus: the way to them.
        json: the option of that name, by which arguments are written.

    Attributes:
        bus: the way to them.
        census: who is connected to which process.
        acks: what waits for acknowledgements of clients elsewhere.
    """

    def __init__(self, local: Local, bus: Bus, json: Any = None) -> None:
        self._local = local
        self._codec = JSONCodec(limits=LIMITS, json=json)
        self._numbers = itertools.count(1)
        self.bus = bus
        self.acks = RemoteAcks(local.on_loop, local.log)
        self.census = Census(bus, local.adapter, self._publish)
        self._incoming = Incoming(local, bus, self._codec, self._publish, self.acks, self.census)

    def start(self, *, listen: bool = True) -> None:
        """Begins to take part, or to listen too.

        Args:
            listen: whether this process has clients, or waits for answers.
        """
        self.bus.start(self._incoming.receive, self.acks.node_lost, listen=listen)

    def is_elsewhere(self, namespace: str, rooms: Rooms | None) -> bool:
        """Tells whether an event may have recipients elsewhere: not if each room is a client's own, here.

        Args:
            namespace: the namespace.
            rooms: the rooms, None for everybody.
        """
        if rooms is None:
            return True
        find = self._local.adapter.find
        return not all(isinstance(room, str) and find(namespace, room) is not None for room in rooms)

    # Out

    def emit(
        self,
        event: str,
        arguments: Sequence[Any],
        namespace: str,
        rooms: Rooms | None,
        skip: Collection[str],
        *,
        volatile: bool = False,
    ) -> None:
        """Sends an event to clients elsewhere.

        Raises:
            TypeError: if the arguments or the rooms cannot be written.
        """
        self.start(listen=False)
        self._publish(self._event(event, arguments, namespace, rooms, skip, None, volatile=volatile))

    def ask(
        self,
        event: str,
        arguments: Sequence[Any],
        namespace: str,
        rooms: Rooms | None,
        skip: Collection[str],
        answered: Answered,
        lost: Lost,
        timeout: float | None,
    ) -> int:
        """Sends an event that clients elsewhere are asked to acknowledge.

        Returns:
            The number under which `acks` knows it.

        Raises:
            TypeError: if the arguments or the rooms cannot be written.
        """
        self.start()
        number = next(self._numbers)
        target = write_rooms(rooms)
        callback = [target[0] if isinstance(target, list) else target or "", namespace, number]
        message = self._event(event, arguments, namespace, rooms, skip, callback)
        message["census"] = self.bus.complete
        awaited = self.bus.nodes() if self.bus.complete else None
        self.acks.add(number, answered, lost, awaited, timeout)
        if awaited:
            for node in awaited - self.bus.nodes():  # its end may have been told before `add`
                self.acks.lost(number, node, NOBODY)
        self._publish(message)
        return number

    def disconnect(self, sid: str, namespace: str) -> None:
        """Disconnects a client elsewhere, if there is one with that sid."""
        self._tell({"method": "disconnect", "sid": sid, "namespace": namespace})

    def enter_room(self, sid: str, room: Hashable, namespace: str) -> None:
        """Puts a client elsewhere into a room."""
        room = write_rooms([room])
        self._tell({"method": "enter_room", "sid": sid, "room": room, "namespace": namespace})

    def leave_room(self, sid: str, room: Hashable, namespace: str) -> None:
        """Takes a client elsewhere out of a room."""
        room = write_rooms([room])
        self._tell({"method": "leave_room", "sid": sid, "room": room, "namespace": namespace})

    def close_room(self, room: Hashable, namespace: str) -> None:
        """Empties a room elsewhere."""
        self._tell({"method": "close_room", "room": write_rooms([room]), "namespace": namespace})

    def move(self, namespace: str, rooms: Rooms | None, change: str, room: Hashable = None) -> None:
        """Does something with all clients of rooms elsewhere.

        Args:
            namespace: the namespace.
            rooms: the rooms, None for everybody.
            change: "enter_room", "leave_room" or "disconnect".
            room: which room they enter or leave.
        """
        keys = {"namespace": namespace, "rooms": write_rooms(rooms), "change": change}
        self._tell({"method": "move", **keys, "room": write_rooms([room])})

    def _event(
        self,
        event: str,
        arguments: Sequence[Any],
        namespace: str,
        rooms: Rooms | None,
        skip: Collection[str],
        callback: list[Any] | None,
        *,
        volatile: bool = False,
    ) -> Message:
        message: Message = {
            "method": "emit",
            "event": event,
            **arguments_of(self._codec, arguments),
            "namespace": namespace,
            "room": write_rooms(rooms),
            "skip_sid": list(skip) or None,
            "callback": callback,
        }
        return {**message, "volatile": True} if volatile else message

    def _tell(self, message: Message) -> None:
        self.start(listen=False)
        self._publish(message)

    def _publish(self, message: Message, node: str | None = None) -> None:
        message.setdefault("host_id", self.bus.node)
        self.bus.publish(encode_message(message), node)
