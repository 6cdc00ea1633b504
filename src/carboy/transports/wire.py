"""What stands between picows and the socket of one websocket, and how picows takes a connection over.

picows speaks to its transport and its logger; both are a `Wire`, so that broken rules which picows finds are
ours to answer, Unix sockets work, and a reader whose buffer has grown can be replaced. Nothing here is called
for a single message.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Protocol

import picows
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stubs

from carboy.engineio.close_codes import INTERNAL_ERROR
from carboy.runtime.log import Log

READ_BUFFER = 2048
RETAINED_BUFFER = 16 * 1024
"""Bytes of read buffer that an idle connection may keep; it has grown to the largest message otherwise."""

RECEIVE_BUFFER = 208 * 1024
"""Bytes that the system is asked to hold of what a peer sends, on a server whose messages are not larger than
a few of them. picows doubles its buffer whenever a read fills it, so a flood of small messages, of which the
system would hold megabytes, made it grow without end, and each read kept the loop for as long."""

# picows parses a head itself, wants exactly this Connection header and at most 16 KiB; ours is constant, and
# what the peer sent was checked.
HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)
ANY_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="

_SCRATCH = memoryview(bytearray(64 * 1024))
_ADDRESSES = ("peername", "sockname")
_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Lines(Protocol):
    """Where lines about broken connections go."""

    def broken(self, address: str, what: str, option: str | None) -> None:
        """Tells about a peer that broke the rules, or passed the bound of an option."""

    def exception(self, message: str, *args: Any) -> None:
        """Tells about a failure of ours, with its traceback."""


class Rider(Protocol):
    """The websocket, as far as its wire knows it."""

    def fail(self, code: int, what: str) -> None:
        """Fails the connection, because a rule was broken (RFC 6455 section 7.1.7)."""

    def ended(self) -> None:
        """Is told once that the connection is gone."""


class Wire:
    """The transport of a websocket as picows sees it, and the logger too.

    Args:
        inner: the transport of the loop, on a TCP, TLS or Unix socket.
        websocket: the websocket.
        logger: where failures of ours are told.
        max_bytes: bytes of one frame.
    """

    __slots__ = ("_logger", "_max_bytes", "_websocket", "inner", "write")

    write: Any  # only while picows must not write; otherwise the inner transport's, as everything below

    def __init__(self, inner: asyncio.Transport, websocket: Rider, logger: Lines, max_bytes: int) -> None:
        self.inner: Any = inner
        self._websocket = websocket
        self._logger = logger
        self._max_bytes = max_bytes

    # As a transport

    def __getattr__(self, name: str) -> Any:
        """Leaves everything else to the transport."""
        return getattr(self.inner, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what the transport knows, but for what picows only writes into the log.

        Of the options that it sets and reads, TCP_NODELAY counts alone: asyncio leaves it to us on a socket
        that another server has accepted. The rest would be a dozen system calls for each websocket.
        """
        if name == "socket":
            return _Socket(self.inner.get_extra_info(name))
        return default if name in _ADDRESSES else self.inner.get_extra_info(name, default)

    def close(self) -> None:
        """Does nothing: picows closes with bytes unread, and the close frame might get lost."""

    # As a logger

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # the name of logging.Logger
        """Returns False: no details."""
        return False

    def error(self, message: str, *args: Any) -> None:
        """Is told by picows that the peer broke a rule, or that taking the connection over failed."""
        verdict = args[0] if args else None
        if isinstance(verdict, tuple):
            self._websocket.fail(int(verdict[0]), str(verdict[1]))
        else:
            self.exception(message, *args)

    def exception(self, message: str, *args: Any) -> None:
        """Is told by picows about an exception of ours."""
        self._logger.exception(message, *args)  # noqa: LOG004  # picows calls it where it handles one
        self._websocket.fail(INTERNAL_ERROR, "an internal error")

    def debug(self, message: str, *args: Any) -> None:
        """Drops the line."""

    info = warning = log = debug

    # What the websocket asks for

    def open(self, key: str, early: bytes = b"") -> None:
        """Hands the connection to picows: the 101 goes out and frames are read.

        Args:
            key: the validated Sec-WebSocket-Key.
            early: what the peer sent behind its head, without waiting for the answer.
        """
        known = self.inner.get_extra_info("socket")
        if known is not None and self._max_bytes <= 8 * RECEIVE_BUFFER:
            known.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        reader = self._reader()
        self.inner.set_protocol(reader)
        _feed(reader, HEAD % key.encode("ascii") + early)

    def told(self, address: str, what: str, option: str | None) -> None:
        """Tells in the log that the peer broke a rule, or passed the bound of an option."""
        self._logger.broken(address, what, option)

    def keep_small(self) -> None:
        """Replaces a reader whose buffer has grown; only while that buffer is empty."""
        reader = self.inner.get_protocol()
        if reader.get_buffer(0).nbytes > RETAINED_BUFFER:
            renewed = self._reader()
            self.write = _drop  # picows answers the head that brings it to reading frames
            try:
                _feed(renewed, HEAD % ANY_KEY.encode("ascii"))
            finally:
                del self.write
            self.inner.set_protocol(renewed)

    def drain(self) -> None:
        """Reads on without looking until the peer ends, so that it gets the close frame and not a reset."""
        if not self.inner.is_closing():
            self.inner.set_protocol(_Drain(self._websocket))
            self.inner.resume_reading()
            if self.inner.can_write_eof():
                self.inner.write_eof()

    def _reader(self) -> Any:
        protocol = WSProtocol(
            None,  # host and port, of clients
            None,  # path, of clients
            False,  # a server
            lambda request: self._websocket,
            self,  # its logger
            True,  # disconnect on an exception of ours
            None,  # no timeout for the handshake, which is complete
            False,  # no pings of its own: Engine.IO has a heartbeat
            20,
            20,
            picows.WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # pings are answered by us, within the output bound
            self._max_bytes,
            None,
            READ_BUFFER,
        )
        protocol.connection_made(self)
        return protocol


class QuietLogger:
    """Where websockets tell about broken peers, one line for many, and about failures of ours."""

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        self._log = log

    def broken(self, address: str, what: str, option: str | None) -> None:
        """Tells about a peer that broke the rules, or passed the bound of an option."""
        named = f" (option {option})" if option else ""
        self._log.rarely(option or "websocket", "Closing the websocket from %s: %s%s", address, what, named)

    def exception(self, message: str, *args: Any) -> None:
        """Tells about a failure of ours, with its traceback."""
        self._log.logger.exception(message, *args)  # noqa: LOG004  # picows calls it where it handles one


class _Drain(asyncio.BufferedProtocol):
    """What reads a failed connection to its end; no byte of it is kept."""

    def __init__(self, websocket: Rider) -> None:
        self._websocket = websocket

    def get_buffer(self, sizehint: int) -> memoryview:
        return _SCRATCH

    def buffer_updated(self, nbytes: int) -> None:
        pass

    def connection_lost(self, error: Exception | None) -> None:
        self._websocket.ended()


class _Socket:
    """A stand-in for a socket that takes the options which picows sets, also where it is none of TCP."""

    __slots__ = ("_real",)

    def __init__(self, real: Any) -> None:
        self._real = real

    def fileno(self) -> int:
        number: int = self._real.fileno()
        return number

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if option == socket.TCP_NODELAY and self._real.family in _TCP_FAMILIES:
            self._real.setsockopt(level, option, value)

    def getsockopt(self, *args: Any) -> int:
        return 0


def _drop(data: Any) -> None:
    """Writes nothing."""


def _feed(protocol: Any, data: bytes) -> None:
    while data:
        buffer = protocol.get_buffer(len(data))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]
