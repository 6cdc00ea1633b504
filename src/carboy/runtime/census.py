"""Questions to all processes of a cluster: who is connected there, and how many they are.

A process that is silent costs one timeout, and is not waited for again until it is heard.
"""

from __future__ import annotations

import itertools
import os
import platform
import threading
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec
import orjson

from carboy.adapters.bus import Bus
from carboy.adapters.local import LocalAdapter
from carboy.adapters.messages import Message, read_rooms, read_text, write_rooms
from carboy.exceptions import PacketError
from carboy.runtime.client import CONNECTED, Client


@dataclass(frozen=True)
class ClientInfo:
    """A client of any process, as it was when it was asked for.

    Attributes:
        sid: its id.
        namespace: its namespace.
        rooms: its rooms, its own first.
        transport: what carries it, "polling" or "websocket".
        address: where it connects from.
        session: what the application keeps for it in `server.get_session`.
        node: the process that it is connected to; "" for this one alone.
    """

    sid: str
    namespace: str
    rooms: tuple[Hashable, ...] = ()
    transport: str = ""
    address: str = ""
    session: dict[str, Any] = field(default_factory=dict)
    node: str = ""


@dataclass(frozen=True)
class Survey:
    """A process of the cluster.

    Attributes:
        host: the name of the machine that it runs on.
        process: its number there.
        clients: how many clients it has in the namespace that was asked for.
        node: its name in the cluster.
    """

    host: str
    process: str
    clients: int
    node: str


class ClientList(list[ClientInfo]):
    """Clients of all processes.

    Attributes:
        silent: the processes that did not answer in time, whose clients are missing here.
    """

    silent: frozenset[str] = frozenset()


class _Entry(msgspec.Struct):
    sid: str
    rooms: list[Any] = []
    on: str = ""
    at: str = ""
    session: dict[str, Any] = {}


class _Reply(msgspec.Struct):
    count: int
    clients: list[_Entry] = []
    host: str = ""
    process: int = 0


class Query:
    """One question, and the answers as they come.

    Args:
        nodes: who is asked.
    """

    def __init__(self, nodes: frozenset[str]) -> None:
        self._awaited = set(nodes)
        self._lock = threading.Lock()
        self._complete = threading.Event()
        self.replies: list[tuple[str, _Reply]] = []
        if not nodes:
            self._complete.set()

    def add(self, node: str, reply: _Reply) -> None:
        """Takes an answer."""
        with self._lock:
            self._awaited.discard(node)
            self.replies.append((node, reply))
            if not self._awaited:
                self._complete.set()

    def wait(self, timeout: float) -> frozenset[str]:
        """Waits for all answers, for so many seconds; returns who has given none."""
        self._complete.wait(timeout)
        with self._lock:
            return frozenset(self._awaited)


class Census:
    """Asks other processes about their clients, and answers them about those of this one.

    Args:
        bus: the way to them.
        adapter: who is connected here.
        publish: sends a message, to one node or to all.
    """

    def __init__(
        self,
        bus: Bus,
        adapter: LocalAdapter[Client],
        publish: Callable[[Message, str | None], None],
    ) -> None:
        self._bus = bus
        self._adapter = adapter
        self._publish = publish
        self._numbers = itertools.count(1)
        self._queries: dict[int, Query] = {}

    def fetch(self, namespace: str, rooms: Collection[Hashable] | None, timeout: float) -> ClientList:
        """Returns the clients of other processes; waits for them.

        Args:
            namespace: the namespace.
            rooms: the rooms, None for everybody.
            timeout: seconds to wait, for all of them together.
        """
        query, silent = self._ask(namespace, rooms, timeout, count=False)
        found = ClientList()
        for node, reply in query.replies:
            found += [_read_client(node, namespace, entry) for entry in reply.clients]
        found.silent = silent
        return found

    def count(self, namespace: str, rooms: Collection[Hashable] | None, timeout: float) -> int:
        """Returns how many clients other processes have; arguments as for `fetch`."""
        query, _ = self._ask(namespace, rooms, timeout, count=True)
        return sum(reply.count for _, reply in query.replies)

    def survey(self, timeout: float, namespace: str = "/") -> list[Survey]:
        """Returns the other processes; arguments as for `fetch`."""
        query, _ = self._ask(namespace, None, timeout, count=True)
        return [Survey(reply.host, str(reply.process), reply.count, node) for node, reply in query.replies]

    def _ask(
        self, namespace: str, rooms: Collection[Hashable] | None, timeout: float, *, count: bool
    ) -> tuple[Query, frozenset[str]]:
        target, until = write_rooms(rooms), monotonic() + timeout
        self._bus.wait(timeout)  # before that it is not known who is there
        number, query = next(self._numbers), Query(self._bus.nodes())
        self._queries[number] = query
        try:
            keys = {"id": number, "namespace": namespace, "rooms": target, "count": count}
            self._publish({"method": "query", **keys}, None)
            silent = query.wait(max(0.0, until - monotonic()))
        finally:
            del self._queries[number]
        for node in silent:
            self._bus.forget(node)
        return query, silent

    # What other processes ask and answer; in a thread of the bus

    def answer(self, message: Message) -> None:
        """Answers the question of another process."""
        namespace, rooms = read_text(message, "namespace", "/"), read_rooms(message.get("rooms"))
        clients = [
            client for client in self._adapter.recipients(namespace, rooms) if client.state is CONNECTED
        ]
        found: Message = {"count": len(clients), "host": platform.node(), "process": os.getpid()}
        if not message.get("count"):
            found["clients"] = [_write_client(client) for client in clients]
        asker = read_text(message, "host_id")
        self._publish({"method": "reply", "id": message.get("id"), "to": asker, **found}, asker)

    def replied(self, message: Message) -> None:
        """Takes the answer of another process."""
        number = message.get("id")
        query = self._queries.get(number) if isinstance(number, int) else None
        if query is not None and message.get("to") == self._bus.node:
            try:
                query.add(read_text(message, "host_id"), msgspec.convert(message, _Reply))
            except msgspec.ValidationError as error:
                raise PacketError(f"an answer about clients makes no sense: {error}") from None


def describe(client: Client) -> ClientInfo:
    """Returns what is told about a client of this process."""
    connection = client.connection
    return ClientInfo(
        client.sid,
        client.namespace,
        (client.sid, *client.rooms.copy()),  # in one step: other threads change them
        connection.session.transport,
        connection.address,
        client.session or {},
    )


def _write_client(client: Client) -> Message:
    info = describe(client)
    rooms = [room for room in info.rooms if isinstance(room, (str, int, float))]
    try:
        session = orjson.dumps(info.session, str, orjson.OPT_NON_STR_KEYS)
    except TypeError:
        session = b"{}"  # it contains itself, say: what else there is to tell is told
    return {
        "sid": info.sid,
        "rooms": rooms,
        "on": info.transport,
        "at": info.address,
        "session": orjson.Fragment(session),
    }


def _read_client(node: str, namespace: str, entry: _Entry) -> ClientInfo:
    return ClientInfo(entry.sid, namespace, tuple(entry.rooms), entry.on, entry.at, entry.session, node)
