"""The events of an ASGI websocket on a stream between two workers, whose buffers bound what is under way."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import msgspec

from carboy.transports.asgi_websocket import Event

_LENGTH = struct.Struct("<I")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Conversation:
    """One end of the stream; made by `open`.

    Args:
        reader: what comes.
        writer: what goes.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Conversation:
        """Begins on one end of a pair of sockets."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def send(self, event: Event) -> None:
        """Sends an event, and waits while the other does not read."""
        try:
            data = _encode(event)
        except UnicodeEncodeError:  # what a browser makes of half an emoji, where a server lets it through
            data = _encode({**event, "text": ""})
        self._writer.write(_LENGTH.pack(len(data)) + data)
        await self._writer.drain()

    async def receive(self) -> Event:
        """Waits for an event.

        Raises:
            EOFError: if the other has ended.
        """
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return _decode(await self._reader.readexactly(length))
        except ConnectionError:
            raise EOFError from None

    def close(self) -> None:
        """Ends it, behind what was sent."""
        self._writer.close()
