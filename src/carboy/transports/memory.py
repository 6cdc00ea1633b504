"""A client without a network, for tests: real codecs and sessions, handlers in the caller's thread, no hub.

What it sends is dispatched before the call returns; what is sent to it has arrived when the sender's call
returns.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from carboy.engineio.session import Session
from carboy.engineio.sids import generate_sid
from carboy.engineio.states import SessionInput
from carboy.runtime.connection import Connection
from carboy.runtime.message import Message
from carboy.runtime.server import Server
from carboy.socketio.packets import Incomplete, Packet


class MemoryTransport:
    """The far end of an in-memory connection: decodes what the server sends and keeps it.

    Attributes:
        received: the packets from the server, oldest first.
        errors: exceptions of handlers, to be raised in the test.
        closed: whether the server has closed the connection.
    """

    name = "websocket"

    def __init__(self, server: Server) -> None:
        self._codec = server.codec
        self._partial: Incomplete | None = None
        self.received: deque[Packet] = deque()
        self.errors: list[BaseException] = []
        self.closed = False

    def deliver(self, message: Message) -> None:
        """Takes one message as a client would: decodes its text and its binary messages."""
        if message.text is not None and message.text[:1] == b"4":
            self._take(self._codec.decode_text(message.text, 1))
        for binary in message.binaries:
            if self._partial is None:
                self._take(self._codec.decode_binary(binary))
            else:
                self._take(self._partial.add(binary))

    def _take(self, decoded: Packet | Incomplete | None) -> None:
        if isinstance(decoded, tuple):
            self._partial = None
            self.received.append(decoded)
        elif decoded is not None:
            self._partial = decoded

    def raise_later(self, error: BaseException) -> None:
        """Keeps the exception of a handler for the test."""
        self.errors.append(error)

    def write(self, messages: list[Message]) -> bool:
        """Takes messages at once."""
        for message in messages:
            self.deliver(message)
        return True

    def backlog(self) -> int:
        """Returns 0: nothing waits."""
        return 0

    def close(self, code: int) -> None:
        """Notes that the server has closed the connection."""
        self.closed = True

    def release(self) -> None:
        """Notes that the session is over."""
        self.closed = True

    def hurry(self) -> None:
        """Does nothing: there is no upgrade."""

    def pause_reading(self) -> None:
        """Does nothing: a test client sends when it wants."""

    def resume_reading(self) -> None:
        """Does nothing: a test client sends when it wants."""


class MemoryConnection(Connection):
    """A connection whose client lives in the same process and thread.

    Args:
        server: the server.
        environ: the WSGI environment of the handshake.
    """

    __slots__ = ("_lock", "_server")

    transport: MemoryTransport

    def __init__(self, server: Server, environ: dict[str, Any]) -> None:
        session = Session(
            generate_sid(), "websocket", server.config.ping_interval, server.config.ping_timeout, 0.0
        )
        super().__init__(server, session, environ, inline=True)
        self._server = server
        self._lock = threading.RLock()
        self.transport = MemoryTransport(server)
        server.connections[session.sid] = self
        server.memory_connections += 1

    def send(self, message: Message) -> None:
        """Delivers a message at once."""
        with self._lock:
            self.transport.deliver(message)

    def submit(self, type: int, namespace: str, number: int | None, data: Any) -> None:
        """Sends a packet as a client would and dispatches it, handlers included, before it returns.

        Args:
            type: the packet type.
            namespace: the namespace.
            number: the id for an acknowledgement, or None.
            data: the packet's data.

        Raises:
            BaseException: the first exception of a handler that ran meanwhile.
        """
        text, binaries = self._server.codec.encode(type, namespace, number, data, b"4")
        if text is not None:
            self.receive_text(text)
        for binary in binaries:
            self.receive_binary(binary)
        if self.transport.errors:
            error = self.transport.errors[0]
            self.transport.errors.clear()
            raise error

    def hang_up(self) -> None:
        """Closes the connection from the client's end."""
        if not self.session.closed:
            self.close(SessionInput.TRANSPORT_LOST, 1000, "transport close")
            self._server.memory_connections -= 1
