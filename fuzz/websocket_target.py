"""The fuzz target for websockets: the frames of a peer, through picows and the rules on top of it.

It takes any bytes as what follows the opening handshake. However they are cut into reads, the same messages
arrive, all of them within their bounds and their encoding, and a broken rule ends in a close frame.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, NamedTuple

from carboy.runtime.log import Log
from carboy.transports.websocket import QuietLogger, WebSocket, take_over
from carboy.transports.wire import ANY_KEY

MAX_BYTES = 200
MAX_FRAGMENTS = 50
ZERO_KEY = bytes(4)  # a mask that leaves the payload as it is, so that a fuzzer can find its way

SEEDS = [
    b"\x81\x85" + ZERO_KEY + b"4text",
    b"\x82\x83" + ZERO_KEY + b"\x01\x02\x03",
    b"\x01\x82" + ZERO_KEY + b"4\xc3" + b"\x89\x81" + ZERO_KEY + b"p" + b"\x80\x81" + ZERO_KEY + b"\xa9",
    b"\x88\x82" + ZERO_KEY + b"\x03\xe8",
    b"\x81\xfe\x00\x80" + ZERO_KEY + b"4" * 128,
    b"\x8a\x80" + ZERO_KEY + b"\xc1\x80" + ZERO_KEY,
    b"\x81\x85\x01\x02\x03\x04" + b"\x35vfxu",
]


class Outcome(NamedTuple):
    """What came of some reads: the messages, how the connection was lost, and what was written."""

    messages: list[bytes | str]
    lost: str
    output: bytes


class Inner:
    """A transport of the loop without a loop: reads are fed, writes are kept."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.protocol: Any = None
        self.written = bytearray()
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket, to which picows writes by itself."""
        return self.near if name == "socket" else default

    def set_protocol(self, protocol: Any) -> None:
        """Take who reads from here on."""
        self.protocol = protocol

    def get_protocol(self) -> Any:
        """Return who reads."""
        return self.protocol

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        self.written += data

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.closing

    def close(self) -> None:
        """Take note of the end."""
        self.closing = True

    abort = close

    def can_write_eof(self) -> bool:
        """Tell that one direction alone cannot be closed."""
        return False

    def get_write_buffer_size(self) -> int:
        """Tell that all has left."""
        return 0

    def ignore(self, *arguments: Any) -> None:
        """Do nothing."""

    pause_reading = resume_reading = set_write_buffer_limits = ignore

    def feed(self, data: bytes) -> None:
        """Read bytes, in as many pieces as the reader has room for."""
        while data and not self.closing:
            buffer = self.protocol.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self.protocol.buffer_updated(count)
            data = data[count:]

    def output(self) -> bytes:
        """Return all that was written, by whichever way, behind the answer to the handshake."""
        with suppress(BlockingIOError):
            while data := self.far.recv(65536):
                self.written += data
        return bytes(self.written).partition(b"\r\n\r\n")[2]

    def release(self) -> None:
        """Close the sockets."""
        self.near.close()
        self.far.close()


class Peer:
    """The connection and the receiver of one websocket: it keeps what arrives, and how it ends."""

    transport: Any = None
    address = "the fuzzer"

    def __init__(self) -> None:
        self.messages: list[bytes | str] = []
        self.lost: list[str] = []

    def receive_text(self, packet: bytes) -> None:
        """Take a text message, which is one packet at least."""
        assert packet
        self.messages.append(packet.decode())

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message."""
        self.messages.append(data)

    def transport_lost(self, transport: Any, reason: str) -> None:
        """Hear of the end."""
        self.lost.append(reason)

    def stall(self) -> None:
        """Hear that output piles up."""

    unstall = stall


class _Failures(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        assert record.levelno < logging.ERROR, record.getMessage()


_LOGGER = logging.getLogger("fuzz")
_LOGGER.propagate = False
_LOGGER.addHandler(_Failures())
_LOOP = asyncio.new_event_loop()


def websocket(data: bytes) -> None:
    """Frames in one read, byte by byte, and in halves."""
    whole = _run([data])
    for reads in ([data[:1], data[1:]], [data[at : at + 1] for at in range(len(data))]):
        cut = _run(reads)
        if whole.lost == cut.lost == "transport close":
            assert whole == cut
        else:
            # picows looks at the next head before it hands a frame over: which of two errors in one read is
            # told, and whether the frame before a broken one arrives, is chance.
            shorter = min(len(whole.messages), len(cut.messages))
            assert whole.messages[:shorter] == cut.messages[:shorter]


def _run(reads: list[bytes]) -> Outcome:
    return _LOOP.run_until_complete(_play(reads))


async def _play(reads: list[bytes]) -> Outcome:
    inner, peer = Inner(), Peer()

    def opened(websocket: WebSocket) -> Peer:
        websocket.bind(peer)
        peer.transport = websocket
        return peer

    websocket = WebSocket(MAX_BYTES, MAX_FRAGMENTS, set(), opened)
    logger: Any = QuietLogger(Log(_LOGGER))
    transport: Any = inner
    take_over(transport, ANY_KEY, websocket, logger, MAX_BYTES)
    for read in reads:
        inner.feed(read)
    await asyncio.sleep(0)
    websocket.ended()
    output = inner.output()
    inner.release()
    assert all(len(message) <= MAX_BYTES for message in peer.messages)
    (lost,) = peer.lost
    assert lost != "transport error" or b"\x88" in output, "a broken rule is told in a close frame"
    return Outcome(peer.messages, lost, output)
