"""Clients for the soak, on one loop: polling, websocket or both, numbered in both directions."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import struct
from typing import Any

PATIENCE = 30.0
QUERY = "/socket.io/?EIO=4&transport="
GET = "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
UPGRADE = (
    "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)


class Lines:
    """One connection: requests and answers, then perhaps frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Lines:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    async def request(self, head: str, body: bytes = b"") -> bytes:
        """Send a request, and return the body of a good answer."""
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")):
            raise ConnectionError(answer.partition(b"\r\n")[0].decode())
        length = answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        return await self.reader.readexactly(int(length or 0))

    async def upgrade(self, target: str) -> None:
        """Become a websocket."""
        await self.request(UPGRADE.format(target=target, key=base64.b64encode(os.urandom(16)).decode()))

    def send_frame(self, data: bytes | str) -> None:
        """Send a message in one frame, masked with zeros."""
        payload = data.encode() if isinstance(data, str) else data
        length = len(payload)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack("!H", length)
        self.writer.write((b"\x81" if isinstance(data, str) else b"\x82") + size + bytes(4) + payload)

    async def read_message(self) -> bytes | str:
        """Read a message; a close frame is the end."""
        first, length = await self.reader.readexactly(2)
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(await self.reader.readexactly(size), "big")
        payload = await self.reader.readexactly(length)
        if first == 0x88:
            raise EOFError("closed")
        return payload.decode() if first == 0x81 else payload

    def close(self) -> None:
        """Cut it off."""
        self.writer.transport.abort()


class Peer:
    """One client in the namespace "/".

    Attributes:
        faults: what was lost, doubled or out of order.
        sent: the last number that was sent.
        received: how many events came.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.faults: list[str] = []
        self.sent = self.received = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._last: dict[str, int] = {}
        self._lines: list[Lines] = []
        self._websocket: Lines | None = None
        self._posting: Lines | None = None
        self._target = ""
        self._outgoing = asyncio.Lock()
        self._joined = asyncio.Event()
        self._partial: list[Any] = []
        self._pour = 0
        self._reader: asyncio.Task[None] | None = None
        self._candidate: asyncio.Task[Lines] | None = None

    # Coming and going

    async def connect(self, kind: str) -> None:
        """Connect as "websocket", "polling" or "upgrade", and join the namespace."""
        if kind == "websocket":
            self._websocket = await self._open()
            await self._websocket.upgrade(QUERY + "websocket")
            await self._websocket.read_message()
            self._reader = asyncio.ensure_future(self._read(self._websocket))
        else:
            polling, self._posting = await self._open(), await self._open()
            opened = await polling.request(GET.format(target=QUERY + "polling"))
            self._target = f"&sid={json.loads(opened[1:])['sid']}"
            self._reader = asyncio.ensure_future(self._poll(polling, upgrade=kind == "upgrade"))
        await self._send("40")
        await asyncio.wait_for(self._joined.wait(), PATIENCE)

    async def leave(self) -> None:
        """Say goodbye, after all that was asked for has come."""
        await asyncio.wait_for(asyncio.gather(*self._acks.values()), PATIENCE)
        await self._send("41")
        self.abort()

    def abort(self) -> None:
        """Cut everything off."""
        for lines in self._lines:
            lines.close()
        for task in filter(None, (self._reader, self._candidate)):
            task.cancel()
            task.add_done_callback(_forget)
        for ack in self._acks.values():
            ack.cancel()

    async def _open(self) -> Lines:
        self._lines.append(await Lines.open(self.port))
        return self._lines[-1]

    # Sending

    async def fail(self) -> None:
        """Send an event whose handler raises, which nobody acknowledges."""
        self.sent += 1
        await self._send(f'42["fail",{self.sent}]')

    async def emit(self, event: str, *arguments: Any, data: bytes | None = None) -> asyncio.Future[Any]:
        """Send an event with the next number; the answer is the acknowledgement."""
        self.sent += 1
        number = self.sent
        ack = self._acks[number] = asyncio.get_running_loop().create_future()
        if data is None:
            await self._send(f"42{number}{json.dumps([event, number, *arguments])}")
        else:
            place = {"_placeholder": True, "num": 0}
            await self._send(f"451-{number}{json.dumps([event, number, place])}", data)
        return ack

    async def _send(self, *messages: str | bytes) -> None:
        async with self._outgoing:
            if self._websocket is not None:
                for message in messages:
                    self._websocket.send_frame(message)
                return
            assert self._posting is not None
            packets = [m if isinstance(m, str) else "b" + base64.b64encode(m).decode() for m in messages]
            body = "\x1e".join(packets).encode()
            head = POST.format(target=f"{QUERY}polling{self._target}", length=len(body))
            assert await self._posting.request(head, body) == b"ok"

    # Receiving

    async def _read(self, websocket: Lines) -> None:
        while True:
            message = await websocket.read_message()
            await self.reading.wait()
            await self._take(message)

    async def _poll(self, polling: Lines, *, upgrade: bool) -> None:
        candidate = self._candidate = asyncio.ensure_future(self._probe()) if upgrade else None
        head = GET.format(target=f"{QUERY}polling{self._target}")
        while candidate is None or not candidate.done():
            await self.reading.wait()
            for packet in (await polling.request(head)).decode().split("\x1e"):
                await self._take(base64.b64decode(packet[1:]) if packet[0] == "b" else packet)
        websocket = candidate.result()
        async with self._outgoing:
            websocket.send_frame("5")
            self._websocket = websocket
        await self._read(websocket)

    async def _probe(self) -> Lines:
        await asyncio.sleep(random.random())
        websocket = await self._open()
        await websocket.upgrade(f"{QUERY}websocket{self._target}")
        websocket.send_frame("2probe")
        assert await websocket.read_message() == "3probe"
        return websocket

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            name, number, _ = self._partial
            self._event([name, number, message])
        elif message == "2":
            await self._send("3")
        elif message[:2] == "45":
            self._partial = json.loads(message[message.index("[") :])
        elif message[:2] == "42":
            number, bracket, rest = message[2:].partition("[")
            event = json.loads(bracket + rest)
            self._event(event)
            if number:
                await self._send(f"43{number}{json.dumps(event[1:])}")
        elif message[:2] == "43":
            number, bracket, rest = message[2:].partition("[")
            self._acknowledged(int(number), json.loads(bracket + rest))
        elif message[:2] == "40":
            self._joined.set()
        elif message[0] == "1":
            raise EOFError("closed")

    def _acknowledged(self, number: int, values: list[Any]) -> None:
        ack = self._acks.pop(number, None)
        if ack is None or values != [number]:
            self.faults.append(f"an acknowledgement of {number} with {values}")
        elif not ack.done():
            ack.set_result(number)

    def _event(self, event: list[Any]) -> None:
        self.received += 1
        name, *values = event
        if name == "tick":
            self._follow("all", values[0])
        elif name == "room tick":
            self._follow(*values)
        elif name == "poured":
            self._pour = 0 if values[0] == 0 else self._pour + 1
            if values[0] != self._pour:
                self.faults.append(f"poured {values[0]} where {self._pour} was due")
        elif name == "blob" and values[1] != bytes(range(256))[::-1]:
            self.faults.append("a blob came back changed")

    def _follow(self, sequence: str, number: int) -> None:
        last = self._last.get(sequence, number - 1)
        if number != last + 1:
            self.faults.append(f"{sequence}: {number} after {last}")
        self._last[sequence] = number


def _forget(task: asyncio.Task[Any]) -> None:
    """Take note of how a task has ended, which is nobody's matter once its connection was cut."""
    if not task.cancelled():
        task.exception()
