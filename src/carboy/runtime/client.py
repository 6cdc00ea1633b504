"""One client of one namespace, from its CONNECT packet until its disconnect handler has returned."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from carboy.runtime.message import Message
from carboy.socketio.states import ClientInput, ClientState, transition

CONNECTING = ClientState.CONNECTING
CONNECTED = ClientState.CONNECTED


class Client:
    """A client of a namespace.

    Args:
        sid: its id, which is also the name of its own room.
        namespace: the name of the namespace.
        connection: the connection that carries it.
        max_held_bytes: bytes that may wait for it to be accepted.

    Attributes:
        state: where it is in its life; changed by `move` alone.
        rooms: the rooms that it has entered, without its own; kept by the adapter.
        acks: what waits for its acknowledgements, by number.
        dismissed: whether the application has called `disconnect` on it.
        left: why it left before it was accepted, or None.
        early: events that came before it was accepted, though it was told so already (`always_connect`).
        session: the dict of `server.get_session`.
        context: whatever the framework keeps for it.
    """

    __slots__ = (
        "_held",
        "_room_to_hold",
        "acks",
        "connection",
        "context",
        "dismissed",
        "early",
        "left",
        "namespace",
        "rooms",
        "session",
        "sid",
        "state",
    )

    def __init__(self, sid: str, namespace: str, connection: Any, max_held_bytes: int) -> None:
        self.sid = sid
        self.namespace = namespace
        self.connection = connection
        self.state = CONNECTING
        self.rooms: set[Hashable] = set()
        self.acks: dict[int, Any] | None = None
        self.dismissed = False
        self.left: str | None = None
        self.early: list[tuple[int | None, list[Any]]] | None = None
        self.session: dict[str, Any] | None = None
        self.context: Any = None
        self._held: list[Message] | None = []
        self._room_to_hold = max_held_bytes

    def move(self, change: ClientInput) -> None:
        """Changes the state as the table of `socketio.states` has it."""
        self.state = transition(self.state, change)

    def send(self, message: Message) -> None:
        """Sends a message, or holds it until the client is accepted; one that comes too late is dropped."""
        if self.state is CONNECTED:
            self.connection.send(message)
        elif self.state is CONNECTING:
            self._hold(message)

    def open(self) -> None:
        """Lets everything through from here on, before the client is accepted (`always_connect`)."""
        self._held = None

    def release(self) -> None:
        """Sends what was held; the client has been accepted and told so."""
        held, self._held = self._held, None
        for message in held or ():
            self.connection.send(message)

    def drop_held(self) -> None:
        """Forgets what was held; the client was refused."""
        self._held = None

    def _hold(self, message: Message) -> None:
        if self._held is None:
            self.connection.send(message)
            return
        self._room_to_hold -= message.size
        if self._room_to_hold >= 0:
            self._held.append(message)
        elif not message.volatile:
            self.connection.overflow()
