"""Whole lives of clients, made up by chance: connects, verdicts, events and ends in any order.

Connect and disconnect handlers are coroutines that end when the test says so, so every interleaving of theirs
with packets, emits and losses comes up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from carboy.exceptions import ConnectionRefusedError
from carboy.runtime.client import Client
from carboy.socketio.packets import CONNECT, CONNECT_ERROR, DISCONNECT, EVENT

NAMESPACES = ["/", "/a"]
VERDICTS = ["accept", "accept", "accept", "refuse", "raise"]
RARELY = st.sampled_from([False] * 9 + [True])


class Told:
    """What one client of a namespace was told, and what its handlers did."""

    def __init__(self) -> None:
        self.verdict: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.accepted = self.refused = False
        self.disconnects = 0
        self.ran: list[int] = []


class Life(RuleBasedStateMachine):
    """One connection with two namespaces, and what an outsider knows of it."""

    make_world: Callable[..., Any]

    @initialize(joined=st.sets(st.sampled_from(NAMESPACES)))
    def open(self, joined: set[str]) -> None:
        """Connect the transport, and join some namespaces."""
        self.world = self.make_world(namespaces=NAMESPACES)
        self.told: dict[Client, Told] = {}
        self.sent = 0
        for namespace in NAMESPACES:
            self._register(namespace)
        self.peer = self.world.peer()
        self.open_namespaces: set[str] = set()  # as the peer knows it from what it received
        self.left: set[str] = set()  # what may still come there was sent before its goodbye was read
        self.received: dict[str, list[int]] = {}
        self.connected: set[str] = set()
        for namespace in joined:
            self.peer.ask(namespace)
        self.settle()
        for told in self.told.values():
            told.verdict.set_result("accept")
        self.settle()

    def teardown(self) -> None:
        """End the world."""
        self.world.close()

    def _register(self, namespace: str) -> None:
        @self.world.on("connect", namespace)
        async def connect(client: Client, environ: Any, auth: Any) -> None:
            told = self.told[client] = Told()
            verdict = await told.verdict
            if verdict == "accept":
                told.accepted = not client.dismissed
                return
            if verdict == "refuse":
                raise ConnectionRefusedError("no")
            raise ValueError("on purpose")

        @self.world.on("disconnect", namespace)
        async def disconnect(client: Client, reason: str) -> None:
            told = self.told[client]
            assert told.accepted, "no disconnect handler without an acceptance"
            told.disconnects += 1

        @self.world.on("event", namespace)
        async def event(client: Client, number: int) -> int:
            assert self.told[client].accepted
            assert not self.told[client].disconnects
            self.told[client].ran.append(number)
            return number

    # What the peer does

    @rule(namespace=st.sampled_from(NAMESPACES), again=RARELY)
    def connect(self, namespace: str, again: bool) -> None:
        """Ask to join; rarely where it must not."""
        self._come_back()
        if namespace not in self.peer.connection.clients or again:
            self.peer.ask(namespace)

    @rule(namespace=st.sampled_from(NAMESPACES), early=RARELY)
    def emit(self, namespace: str, early: bool) -> None:
        """Send an event; rarely too early, which costs the connection."""
        self._come_back()
        if namespace in self.open_namespaces or early:
            self.sent += 1
            self.peer.emit("event", self.sent, namespace=namespace, number=self.sent)

    @precondition(lambda self: self.open_namespaces)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Say goodbye to a namespace, and no more of it is known."""
        namespace = data.draw(st.sampled_from(sorted(self.open_namespaces)))
        if not self.peer.connection.session.closed:
            self.peer.leave(namespace)
            self.open_namespaces.discard(namespace)
            self.left.add(namespace)

    @rule(really=RARELY)
    def vanish(self, really: bool = True) -> None:
        """Lose the transport, rarely."""
        if really:
            self.peer.connection.transport_lost(self.peer.wire, "transport close")

    def _come_back(self) -> None:
        if self.peer.connection.session.closed:
            self.peer = self.world.peer()
            self.open_namespaces.clear()
            self.left.clear()

    # What the application does

    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), settled=st.booleans())
    def decide(self, data: st.DataObject, verdict: str, settled: bool) -> None:
        """End a connect handler, with or without what follows from it."""
        self.settle()
        undecided = [told for told in self.told.values() if not told.verdict.done()]
        if undecided:
            data.draw(st.sampled_from(undecided)).verdict.set_result(verdict)
        if settled:
            self.settle()

    @rule(namespace=st.sampled_from(NAMESPACES))
    def broadcast(self, namespace: str) -> None:
        """Emit to a whole namespace."""
        self.sent += 1
        self.world.server.emit("news", [self.sent], namespace=namespace)

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        """Throw a client out."""
        client = data.draw(st.sampled_from(list(self.told)))
        self.world.server.disconnect(client.sid, client.namespace)

    @rule()
    def settle(self) -> None:
        """Let everything that is under way come to rest."""
        self.world.settle_loop()

    # What is always true

    @invariant()
    def packets_come_in_their_order(self) -> None:
        """Between CONNECT and DISCONNECT, and only there, events come, each once and in order."""
        for kind, namespace, _, data in self.peer.received() if hasattr(self, "peer") else ():
            if kind == CONNECT:
                assert namespace not in self.open_namespaces
                self.connected.add(data["sid"])
                self.open_namespaces.add(namespace)
                self.left.discard(namespace)
                self.received[namespace] = []
            elif namespace not in self.left:
                assert (namespace in self.open_namespaces) == (kind != CONNECT_ERROR)
                if kind == DISCONNECT:
                    self.open_namespaces.discard(namespace)
            if kind == EVENT:
                self.received[namespace].append(data[1])
                assert self.received[namespace] == sorted(set(self.received[namespace]))

    @invariant()
    def events_run_once_and_in_order(self) -> None:
        """Each event runs once at most, for the client that sent it."""
        for told in getattr(self, "told", {}).values():
            assert told.ran == sorted(set(told.ran))
            assert told.disconnects <= 1

    @rule(really=RARELY)
    def end(self, really: bool) -> None:
        """Rarely, decide all, lose the connection, and see that nothing is left."""
        if not really:
            return
        self.vanish(really=True)
        self.settle()
        for told in self.told.values():
            if not told.verdict.done():
                told.verdict.set_result("accept")
        self.settle()
        server = self.world.server
        for client, told in self.told.items():
            # Thrown out while its connect handler still ran, it was refused, whatever that one returned.
            accepted = told.accepted and (client.sid in self.connected or not client.dismissed)
            assert told.disconnects == accepted, "an accepted client has one disconnect handler"
            assert client.state.name == "GONE"
            assert client.acks is None
            assert client._held is None
        assert not server.connections
        assert not server.lifecycle.leaving
        assert all(not server.adapter.recipients(name, None, ()) for name in NAMESPACES)
        assert all(isinstance(error, ValueError) for error in self.world.tracebacks())
        self.told.clear()
        self._come_back()


def test_every_life_of_a_client_keeps_the_rules(make_world: Callable[..., Any]) -> None:
    """No event before acceptance or after the end, one disconnect handler for each acceptance, no rest."""
    life = type("MadeLife", (Life,), {"make_world": staticmethod(make_world)})
    run_state_machine_as_test(
        life, settings=settings(max_examples=100, stateful_step_count=30, deadline=None)
    )
