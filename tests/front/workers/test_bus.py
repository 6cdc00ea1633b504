"""The bus between workers."""

from __future__ import annotations

import asyncio
import threading

from colleagues import Crew, play, until

from carboy.front.workers.bus import WorkersBus
from carboy.front.workers.peers import Peers
from carboy.runtime.hub import Hub
from carboy.runtime.log import Log


class Node:
    """One end of the bus.

    Attributes:
        received: the messages that came.
        gone: the nodes that ended.
    """

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.received: list[bytes] = []
        self.gone: list[str] = []
        self.hub = Hub(4, Log())
        self.hub.attach(asyncio.get_running_loop())
        self.bus = WorkersBus(self.hub, peers)
        self.bus.start(self.received.append, self.gone.append)
        peers._lost = self.bus.lost

    async def close(self) -> None:
        """Leave."""
        self.bus.close()
        await self.peers.close()
        self.hub.detach()


async def nodes(count: int) -> list[Node]:
    """Make some that have met."""
    crew = Crew()
    return [Node(await crew.join()) for _ in range(count)]


def test_message_for_all_reaches_all_others() -> None:
    """It does not come back."""

    async def scene() -> None:
        one, two, three = await nodes(3)
        assert one.bus.wait(0)
        one.bus.publish(b"hello")
        await until(lambda: two.received == three.received == [b"hello"])
        assert one.received == []
        for node in (one, two, three):
            await node.close()

    play(scene)


def test_messages_of_any_thread_arrive_in_their_order() -> None:
    """Those of one thread, beside those of another."""

    async def scene() -> None:
        one, two = await nodes(2)

        def publish(letter: str) -> None:
            for number in range(500):
                one.bus.publish(f"{letter}{number}".encode())

        threads = [threading.Thread(target=publish, args=(letter,)) for letter in "ab"]
        for thread in threads:
            thread.start()
        await until(lambda: len(two.received) == 1000)
        for letter in "ab":
            mine = [message for message in two.received if message[:1] == letter.encode()]
            assert mine == [f"{letter}{number}".encode() for number in range(500)]
        await one.close()
        await two.close()

    play(scene)


def test_message_for_one_node_reaches_it_alone() -> None:
    """Others are not bothered."""

    async def scene() -> None:
        one, two, three = await nodes(3)
        one.bus.publish(b"for you", three.bus.node)
        await until(lambda: three.received == [b"for you"])
        assert two.received == []
        for node in (one, two, three):
            await node.close()

    play(scene)


def test_nodes_are_those_that_live_and_are_heard() -> None:
    """A silent one is left out until it says something, a dead one is told gone."""

    async def scene() -> None:
        one, two = await nodes(2)
        assert one.bus.complete
        assert one.bus.nodes() == {two.bus.node}
        one.bus.forget(two.bus.node)
        assert one.bus.nodes() == frozenset()
        two.bus.publish(b"here")
        await until(lambda: one.bus.nodes() == {two.bus.node})
        await two.close()
        await until(lambda: one.gone == [two.bus.node])
        assert one.bus.nodes() == frozenset()
        await one.close()

    play(scene)


def test_closed_bus_hands_nothing_on() -> None:
    """What comes afterwards is dropped."""

    async def scene() -> None:
        one, two = await nodes(2)
        two.bus.close()
        one.bus.publish(b"late")
        await one.close()
        await until(lambda: two.gone == [one.bus.node])
        assert two.received == []
        await two.close()

    play(scene)
