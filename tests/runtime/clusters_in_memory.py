"""Servers in one process, joined by a bus in memory, with in-memory clients: everything happens at once."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from carboy.config import Config
from carboy.runtime.handlers import Handler
from carboy.runtime.server import Server
from carboy.socketio.packets import ACK, CONNECT, DISCONNECT, EVENT
from carboy.transports.memory import MemoryConnection


class MemoryBus:
    """A bus that delivers in the publisher's thread; see `carboy.adapters.bus.Bus`.

    Attributes:
        published: the messages of this node, decoded, with the node that each is for.
        dead: whether it delivers nothing that comes.
    """

    def __init__(self, node: str, others: dict[str, MemoryBus], *, complete: bool) -> None:
        self.node = node
        self.complete = complete
        self.others = others
        self.published: list[tuple[dict[str, Any], str | None]] = []
        self.dead = False
        self.receive: Any = None
        self.gone: Any = None
        self.listens = False
        self.silent: set[str] = set()
        others[node] = self

    def start(self, receive: Any, gone: Any, *, listen: bool = True) -> None:
        """Begins."""
        self.receive, self.gone = receive, gone
        self.listens = self.listens or listen

    def wait(self, timeout: float) -> bool:
        """Is there at once."""
        return True

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Delivers."""
        self.published.append((msgspec.json.decode(message), node))
        for name, other in self.others.items():
            is_for = node == name or (node is None and name != self.node and other.listens)
            if is_for and other.receive is not None and not other.dead:
                other.receive(message)

    def nodes(self) -> frozenset[str]:
        """Returns the others."""
        return frozenset(name for name, bus in self.others.items() if bus.listens) - {self.node} - self.silent

    def forget(self, node: str) -> None:
        """Forgets."""
        self.silent.add(node)

    def close(self) -> None:
        """Ends."""
        del self.others[self.node]
        for other in self.others.values():
            other.gone(self.node)


class Person:
    """An in-memory client."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.connection = MemoryConnection(server, {"REMOTE_ADDR": "192.0.2.1"})
        self.namespace = namespace
        self.questions: list[int] = []
        self.connection.submit(CONNECT, namespace, None, None)
        self.sid: str = self.packets()[0][3]["sid"]

    def packets(self) -> list[Any]:
        """Returns what it has received since the last call."""
        received = list(self.connection.transport.received)
        self.connection.transport.received.clear()
        self.questions += [packet[2] for packet in received if packet[2] is not None]
        return received

    def events(self) -> list[Any]:
        """Returns the events among it."""
        return [data for type, _, _, data in self.packets() if type == EVENT]

    def is_sent_away(self) -> bool:
        """Tells whether it was disconnected."""
        return any(type == DISCONNECT for type, *_ in self.packets())

    def answer(self, *arguments: Any) -> None:
        """Answers the first question."""
        self.packets()
        self.connection.submit(ACK, self.namespace, self.questions.pop(0), list(arguments))

    def leave(self) -> None:
        """Leaves."""
        self.connection.hang_up()


class Cluster:
    """Servers that share a bus.

    Attributes:
        lines: what they have logged.
    """

    def __init__(self, count: int = 2, *, complete: bool = False) -> None:
        self.lines: list[logging.LogRecord] = []
        logger = logging.Logger("cluster", logging.WARNING)  # noqa: LOG001
        handler = logging.Handler()
        handler.emit = self.lines.append  # type: ignore[method-assign]
        logger.addHandler(handler)
        self.buses: dict[str, MemoryBus] = {}
        self.servers = [Server(Config.from_options({"logger": logger})) for _ in range(count)]
        for number, server in enumerate(self.servers):
            server.join(MemoryBus(f"node{number}", self.buses, complete=complete))
            server.listen()
            for namespace in ("/", "/other"):
                connect = Handler(lambda *arguments: None, lambda client, event, arguments: None)
                server.handlers.register(namespace, "connect", connect)

    def person(self, number: int, namespace: str = "/") -> Person:
        """Connects a client to a server."""
        return Person(self.servers[number], namespace)

    def bus(self, number: int = 0) -> MemoryBus:
        """Returns the bus of a server."""
        return self.buses[f"node{number}"]

    def methods(self, number: int = 0) -> list[str]:
        """Returns the methods of what a server has published."""
        return [message["method"] for message, _ in self.bus(number).published]

    def receive(self, message: Any, number: int = 0) -> None:
        """Has a server receive a message."""
        data = message if isinstance(message, bytes) else msgspec.json.encode(message)
        self.bus(number).receive(data)

    def warnings(self) -> list[str]:
        """Returns the lines of the log from warnings upwards."""
        assert not [line.exc_info for line in self.lines if line.exc_info]
        return [line.getMessage() for line in self.lines if line.levelno >= logging.WARNING]
