"""Connections between two workers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from colleagues import play, until

from carboy.front.workers.frames import HANDOVER, PUBLISH
from carboy.front.workers.links import Incoming, Outgoing


class Pair:
    """Both ends of one connection.

    Attributes:
        taken: what came: kind, payload, socket.
        ends: which end has heard of the end, in their order.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.taken: list[tuple[int, bytes, socket.socket | None]] = []
        self.ends: list[str] = []
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self.near, self.far = near, far
        self.outgoing = Outgoing(loop, near, lambda: self.ends.append("outgoing"))
        self.incoming = Incoming(loop, far, self._take, lambda _: self.ends.append("incoming"))

    def _take(self, _: Incoming, kind: int, payload: bytes, taken: socket.socket | None) -> None:
        self.taken.append((kind, payload, taken))

    def close(self) -> None:
        """Close both, more than once."""
        for _ in range(2):
            self.outgoing.close()
            self.incoming.close()


def paired(scene: Callable[[Pair], Awaitable[None]]) -> None:
    """Run a scene with a pair."""

    async def run() -> None:
        pair = Pair()
        try:
            await scene(pair)
        finally:
            pair.close()

    play(run)


def test_frames_arrive_in_their_order_whatever_their_size() -> None:
    """Also those that do not fit into the socket's buffer, and more than leave in one call."""
    payloads = [b"", b"a", bytes(3_000_000), b"b", *(bytes([n % 256]) for n in range(1000)), bytes(500_000)]

    async def scene(pair: Pair) -> None:
        for payload in payloads:
            pair.outgoing.send(PUBLISH, payload)
        await until(lambda: len(pair.taken) == len(payloads))
        assert [payload for _, payload, _ in pair.taken] == payloads
        assert pair.outgoing.backlog == 0

    paired(scene)


def test_backlog_counts_what_has_not_left() -> None:
    """Nothing leaves while the other does not read, beyond what the system takes."""

    async def scene(pair: Pair) -> None:
        asyncio.get_running_loop().remove_reader(pair.far)
        pair.outgoing.send(PUBLISH, bytes(5_000_000))
        await asyncio.sleep(0.01)
        assert 3_000_000 < pair.outgoing.backlog < 5_000_000

    paired(scene)


def test_what_was_read_is_safe_from_a_connection_that_reads_in_another_thread() -> None:
    """Each server of a process has a loop in a thread of its own; here one reads in the middle of another."""

    async def scene(pair: Pair) -> None:
        other = Pair()
        feed = pair.incoming._decoder.feed

        def late(data: bytes) -> list[tuple[int, bytes]]:
            other.incoming._read()
            return feed(data)

        pair.incoming._decoder.feed = late  # type: ignore[method-assign]  # where a thread may be switched
        pair.outgoing.send(PUBLISH, b"mine")
        other.outgoing.send(PUBLISH, b"yours")
        try:
            await until(lambda: pair.taken and other.taken)
        finally:
            other.close()
        assert [payload for _, payload, _ in pair.taken] == [b"mine"]
        assert [payload for _, payload, _ in other.taken] == [b"yours"]

    paired(scene)


def test_socket_comes_with_its_frame() -> None:
    """Each of several, between frames without one and behind a large one, works and is closed here."""

    async def scene(pair: Pair) -> None:
        ends = [socket.socketpair() for _ in range(5)]
        for number, (_, far) in enumerate(ends):
            pair.outgoing.send(PUBLISH, bytes(400_000))
            pair.outgoing.send(HANDOVER, b"%d" % number, far)
        await until(lambda: len(pair.taken) == 10)
        assert all(far.fileno() == -1 for _, far in ends)
        for (near, _), (_, payload, taken) in zip(ends, pair.taken[1::2], strict=True):
            assert taken is not None
            assert not taken.get_inheritable()
            taken.send(payload)
            assert near.recv(10) == payload
            taken.close()
            near.close()

    paired(scene)


def test_end_is_noticed_on_both_sides() -> None:
    """Without anything being sent."""

    async def scene(pair: Pair) -> None:
        pair.incoming.close()
        await until(lambda: pair.ends == ["outgoing"])
        other = Pair()
        other.outgoing.close()
        await until(lambda: other.ends == ["incoming"])
        other.close()

    paired(scene)


def test_what_was_sent_to_one_that_ended_is_dropped() -> None:
    """A socket that goes with it is closed, and the end is told once."""

    async def scene(pair: Pair) -> None:
        near, far = socket.socketpair()
        pair.incoming.close()
        pair.outgoing.send(HANDOVER, b"", far)
        pair.outgoing.send(PUBLISH, bytes(1_000_000))
        await until(lambda: pair.ends == ["outgoing"])
        assert far.fileno() == -1
        await asyncio.sleep(0.01)
        assert pair.ends == ["outgoing"]
        near.close()

    paired(scene)


def test_abandoned_end_leaves_the_connection_to_the_other_process() -> None:
    """A forked process closes its files, and the connection goes on."""

    async def scene(pair: Pair) -> None:
        near, far = pair.near.dup(), pair.far.dup()
        loop = asyncio.get_running_loop()
        loop.remove_reader(pair.near)
        loop.remove_reader(pair.far)
        pair.outgoing.abandon()
        pair.incoming.abandon()
        near.send(b"still open")
        assert far.recv(20) == b"still open"
        near.close()
        far.close()
        pair.incoming._closed = pair.outgoing._closed = True  # the files are gone

    paired(scene)
