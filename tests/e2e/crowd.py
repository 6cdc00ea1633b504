"""Many websocket clients on one loop, which speak just enough of the protocol to be served."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from collections import Counter
from typing import Any

UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
SECONDS = 20.0


class Member:
    """One client.

    Attributes:
        events: the events that came, with their arguments.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        self.events: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.ended = asyncio.ensure_future(self._read())

    def send(self, text: str) -> None:
        """Send a text message of up to 125 bytes."""
        data = text.encode()
        assert len(data) < 126
        self._writer.write(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)

    async def ask(self, event: str, *arguments: Any) -> list[Any]:
        """Emit an event, and return what it is acknowledged with."""
        self._count += 1
        answer = self._acks[self._count] = asyncio.get_running_loop().create_future()
        self.send(f"42{self._count}{json.dumps([event, *arguments])}")
        return list(await answer)

    def leave(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    async def _read(self) -> str:
        """Read to the end, and return how it came: "closed" by a close frame, or "broken"."""
        try:
            while True:
                head = await self._reader.readexactly(2)
                size = head[1]
                if size == 126:
                    (size,) = struct.unpack("!H", await self._reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
                payload = (await self._reader.readexactly(size)).decode("latin-1")
                if head[0] == 0x88:
                    return "closed"
                self._take(payload)
        except (OSError, asyncio.IncompleteReadError):
            return "broken"
        finally:
            self._writer.close()

    def _take(self, message: str) -> None:
        if message == "2":
            self.send("3")
        elif message[:2] == "42":
            self.events.put_nowait(json.loads(message[2:]))
        elif message[:2] == "43":
            number, _, rest = message[2:].partition("[")
            self._acks.pop(int(number)).set_result(json.loads(f"[{rest}"))
        elif message[:2] == "40":
            self.events.put_nowait(["connect"])


async def connect(port: int) -> Member:
    """Connect one client to the namespace "/"."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    try:
        writer.write(UPGRADE.format(host=f"127.0.0.1:{port}", key=key).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(answer.decode())  # noqa: TRY301  # it leaves as the others do
    except BaseException:
        writer.close()
        raise
    member = Member(reader, writer)
    member.send("40")
    joined = asyncio.ensure_future(member.events.get())
    await asyncio.wait((joined, member.ended), return_when=asyncio.FIRST_COMPLETED)
    if not joined.done():
        joined.cancel()
        raise ConnectionError("it ended before it had joined")
    return member


async def gather(port: int, count: int) -> list[Member]:
    """Connect many, some at a time, each as often as it takes while the server restarts."""
    places = asyncio.Semaphore(50)

    async def come() -> Member:
        async with places:
            while True:
                try:
                    return await connect(port)
                except (OSError, asyncio.IncompleteReadError):  # noqa: PERF203 (a few times)
                    await asyncio.sleep(0.05)

    return list(await asyncio.wait_for(asyncio.gather(*(come() for _ in range(count))), SECONDS))


async def exchange(members: list[Member]) -> None:
    """See to it that all are answered, and that a broadcast reaches each once."""
    answers = await asyncio.wait_for(
        asyncio.gather(*(member.ask("echo", number) for number, member in enumerate(members))), SECONDS
    )
    assert answers == [[number] for number in range(len(members))]
    members[0].send('42["broadcast","hello"]')
    news = await asyncio.wait_for(asyncio.gather(*(member.events.get() for member in members)), SECONDS)
    assert Counter(map(tuple, news)) == {("news", "hello"): len(members)}


async def endings(members: list[Member]) -> Counter[str]:
    """Wait until all connections have ended, and return how."""
    return Counter(await asyncio.wait_for(asyncio.gather(*(member.ended for member in members)), SECONDS))
