"""What the clients of the soak do: ordinary lives, and those of slow, vanishing and malformed ones."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress

from peers import GET, POST, QUERY, UPGRADE, Lines, Peer

KINDS = ["websocket", "websocket", "upgrade", "upgrade", "polling"]
BLOB = bytes(range(256))
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
GONE = (OSError, EOFError, asyncio.IncompleteReadError)

GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    b"GET /socket.io/?EIO=9&transport=__proto__ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /socket.io/?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX: " + b"x" * 100_000,
]
FRAMES = [
    b"\xff\xff\xff\xff", b"\x83\x80\0\0\0\0", b"\x81\x05hello", b"\x81\x81\0\0\0\0\xff", b"\x82\x81\0\0\0\0x",
    b"\x81\x83\0\0\0\x0042[", b"\x81\x84\0\0\0\x0051-[", b"\x88\x81\0\0\0\0x", b"\x80\x80\0\0\0\0",
]  # fmt: skip


class Crowd:
    """All clients together.

    Attributes:
        faults: what was lost, doubled or out of order.
        counts: what they did.
        received: events that came.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.received = 0
        self.stopped = asyncio.Event()

    async def live(self, number: int) -> None:
        """Live one life after another until all stop."""
        await self._pause(random.random() * 2)
        while not self.stopped.is_set():
            life = random.choices(
                [self._ordinary, self._slow, self._vanishing, self._malformed], weights=[12, 1, 4, 3]
            )[0]
            self.counts[life.__name__.strip("_")] += 1
            try:
                await life()
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault and has to be told
                self.faults.append(f"client {number}, {life.__name__}: {error!r}")
            await self._pause(random.random())

    async def _pause(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), seconds)

    async def _ordinary(self) -> None:
        peer = Peer(self.port)
        try:
            await peer.connect(random.choice(KINDS))
            rooms = iter(random.sample([f"room {number}" for number in range(10)], 10))
            room = next(rooms)
            await (await peer.emit("join", room))
            for _ in range(random.randrange(5, 60)):
                if self.stopped.is_set():
                    break
                await self._do_something(peer)
                if random.random() < 0.05 and (following := next(rooms, None)):
                    await (await peer.emit("leave", room))
                    room = following
                    await peer.emit("join", room)
                await self._pause(random.random() * 0.4)
            await peer.leave()
        finally:
            self._count(peer)

    async def _do_something(self, peer: Peer) -> None:
        chance = random.random()
        if chance < 0.1:
            await peer.emit("blob", data=BLOB)
        elif chance < 0.12:
            await peer.fail()
        else:
            for _ in range(random.randrange(1, 5)):
                await peer.emit("number")

    async def _slow(self) -> None:
        peer = Peer(self.port)
        try:
            await peer.connect(random.choice(KINDS))
            peer.reading.clear()
            ack = await peer.emit("pour", 30, 30_000)
            await self._pause(3)
            peer.reading.set()
            await ack
            await peer.leave()
        finally:
            self._count(peer)

    async def _vanishing(self) -> None:
        if random.random() < 0.5:
            await self._vanish_within_handshake()
            return
        peer = Peer(self.port)
        coming = asyncio.ensure_future(peer.connect(random.choice(KINDS)))
        await asyncio.wait([coming], timeout=random.random() * 0.5)
        if coming.done() and not coming.exception():
            for _ in range(3):
                await peer.emit("number")
            await asyncio.sleep(random.random())
        peer.abort()
        coming.cancel()
        with suppress(asyncio.CancelledError, *GONE):
            await coming
        self._count(peer)

    async def _vanish_within_handshake(self) -> None:
        lines = await Lines.open(self.port)
        head = random.choice([
            GET.format(target=QUERY + "polling"),
            UPGRADE.format(target=QUERY + "websocket", key=KEY),
            POST.format(target=QUERY + "polling", length=100),
        ]).encode()  # fmt: skip
        lines.writer.write(head[: random.randrange(len(head) + 1)])
        await asyncio.sleep(random.random() * 0.2)
        lines.close()

    async def _malformed(self) -> None:
        lines = await Lines.open(self.port)
        with suppress(*GONE, asyncio.TimeoutError):  # which is an OSError from Python 3.11 on alone
            if random.random() < 0.5:
                lines.writer.write(random.choice(GARBAGE))
            else:
                await lines.upgrade(QUERY + "websocket")
                lines.send_frame("40")
                lines.writer.write(random.choice(FRAMES))
            await asyncio.wait_for(lines.reader.read(), 2)
        lines.close()

    def _count(self, peer: Peer) -> None:
        peer.abort()
        self.faults += peer.faults
        self.received += peer.received
        self.counts["sent"] += peer.sent
