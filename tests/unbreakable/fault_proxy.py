"""A TCP proxy that does to connections what bad links do: it delays, splits, throttles, half-closes, resets.

What it does follows from its seed and the order of its connections alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

CHUNK = 65536


@dataclass(frozen=True)
class Faults:
    """What happens to the bytes of one connection.

    Attributes:
        delay: seconds that each part may be late, at most.
        split: bytes of a part, at most; 1 for single bytes.
        rate: bytes a second, None for no limit.
        reset_after: bytes from the client after which both ends are reset, None for never.
        half_close_after: bytes from the client after which it sends no more, None for never.
    """

    delay: float = 0.0
    split: int = CHUNK
    rate: float | None = None
    reset_after: int | None = None
    half_close_after: int | None = None


Choose = Callable[[int, bytes], Faults]
"""Chooses the faults of a connection from its number and the first bytes that its client sends."""


class FaultProxy:
    """One proxy, in a thread of its own.

    Args:
        target: the port that it leads to.
        choose: the faults of each connection.
        seed: what the delays and sizes follow from.

    Attributes:
        port: where it listens.
        broken: connections that it has reset or closed by half.
    """

    def __init__(self, target: int, choose: Choose, seed: int) -> None:
        self._target = target
        self._choose = choose
        self._seed = seed
        self._count = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy")
        self._listening = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.broken = 0

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._listening.wait(5)

    def stop(self) -> None:
        """End every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._count = self._count, self._count + 1
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            first = await reader.read(CHUNK)
            faults = self._choose(number, first)
            dice = random.Random(self._seed * 1_000_003 + number)
            up = self._carry(
                first, reader, their_writer, faults, dice, faults.reset_after, faults.half_close_after
            )
            down = self._carry(b"", their_reader, writer, faults, random.Random(dice.random()))
            await asyncio.wait((asyncio.ensure_future(up), asyncio.ensure_future(down)))
        finally:
            for end in (writer, their_writer):
                end.close()

    async def _carry(
        self,
        first: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Faults,
        dice: random.Random,
        reset_after: int | None = None,
        half_close_after: int | None = None,
    ) -> None:
        carried = 0
        data = first
        with contextlib.suppress(OSError):
            while data or (data := await reader.read(CHUNK)):
                part, data = data[: (size := dice.randint(1, faults.split))], data[size:]
                if faults.delay:
                    await asyncio.sleep(dice.random() * faults.delay)
                if faults.rate is not None:
                    await asyncio.sleep(len(part) / faults.rate)
                writer.write(part)
                await writer.drain()
                carried += len(part)
                if reset_after is not None and carried >= reset_after:
                    self.broken += 1
                    _reset(writer)
                    return
                if half_close_after is not None and carried >= half_close_after:
                    self.broken += 1
                    break
            if writer.can_write_eof():
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    known: socket.socket = writer.get_extra_info("socket")
    known.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def between(target: int, choose: Choose, seed: int = 1) -> Iterator[FaultProxy]:
    """Run a proxy for the time of a block."""
    proxy = FaultProxy(target, choose, seed)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
