"""The fast websocket lane: picows frames in C, and this module does what picows leaves open.

That is: reserved bits, the order of opcodes and fragments, limits on messages and fragments, pings within the output bound,
and the close handshake (RFC 6455 sections 5 and 7). Everything happens in the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import picows
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stubs

from carboy.runtime.log import Log
from carboy.runtime.message import Message

TEXT = picows.WSMsgType.TEXT
BINARY = picows.WSMsgType.BINARY
CONTINUATION = picows.WSMsgType.CONTINUATION
PING = picows.WSMsgType.PING
CLOSE = picows.WSMsgType.CLOSE

DIRECT_LIMIT = 8192
"""Bytes up to which picows copies a message; it queues a view on a buffer of its own for larger ones, which the next overwrites."""

MAX_FRAGMENTS = 1024
"""Fragments of one message; a message of many tiny ones costs far more than its bytes."""

READ_BUFFER = 2048
CLOSE_TIMEOUT = 5.0
"""Seconds that the peer is given to answer a close frame."""

NORMAL_CLOSURE, PROTOCOL_ERROR, MESSAGE_TOO_BIG = 1000, 1002, 1009


class Receiver(Protocol):
    """Who takes what comes: the connection, or the upgrade while the websocket is a candidate."""

    def receive_text(self, packet: bytes) -> None:
        """Takes a text message."""

    def receive_binary(self, data: bytes) -> None:
        """Takes a binary message."""


class WebSocket(picows.WSListener):
    """One websocket.

    Args:
        max_bytes: bytes of one message, over all its fragments.
        opened: called once with this object when frames may be sent.
        lost: called once with this object and the disconnect reason when the peer is gone.
        flow: called with this object and True when output piles up, False when it has left.
    """

    __slots__ = (
        "_closing",
        "_flow",
        "_fragment_type",
        "_fragments",
        "_lost",
        "_max_bytes",
        "_opened",
        "_receive_binary",
        "_receive_text",
        "_send",
        "_stalled",
        "_transport",
        "_write",
    )

    name = "websocket"

    def __init__(
        self,
        max_bytes: int,
        opened: Callable[[WebSocket], None],
        lost: Callable[[WebSocket, str], None],
        flow: Callable[[WebSocket, bool], None],
    ) -> None:
        self._max_bytes = max_bytes
        self._opened = opened
        self._lost = lost
        self._flow = flow
        self._fragments: list[bytes] | None = None
        self._fragment_type = TEXT
        self._closing = False
        self._stalled = False
        self._transport: Any = None

    def bind(self, receiver: Receiver) -> None:
        """Gives everything that comes from here on to a receiver."""
        self._receive_text = receiver.receive_text
        self._receive_binary = receiver.receive_binary

    # The port `Transport`

    def write(self, messages: list[Message]) -> bool:
        """Writes messages in one go: one short text directly to the socket, anything else framed and joined."""
        if self._closing:
            return True  # nobody reads it any more
        if len(messages) == 1:
            message = messages[0]
            if message.size <= DIRECT_LIMIT and not message.binaries:
                self._send(TEXT, message.text)
            else:
                self._write(message.frames())
        else:
            self._write(b"".join([message.frames() for message in messages]))
        return True

    def backlog(self) -> int:
        """Returns the bytes that were written but have not left."""
        size: int = self._transport.underlying_transport.get_write_buffer_size()
        return size

    def close(self, code: int) -> None:
        """Sends a close frame and waits a moment for the answer to it."""
        if self._closing:
            return
        self._closing = True
        self._transport.send_close(picows.WSCloseCode(code))
        underlying = self._transport.underlying_transport
        if self._stalled:
            underlying.abort()  # the close frame stands behind what the peer does not read
        else:
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, underlying.abort)

    def release(self) -> None:
        """Closes: the session is over."""
        self.close(NORMAL_CLOSURE)

    def hurry(self) -> None:
        """Does nothing: a websocket has no request that waits."""

    def pause_reading(self) -> None:
        """Reads nothing until `resume_reading`."""
        self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        self._transport.underlying_transport.resume_reading()

    # What picows calls

    def on_ws_connected(self, transport: Any) -> None:
        """Takes the transport."""
        self._transport = transport
        self._send = transport.send
        self._write = transport.underlying_transport.write
        self._opened(self)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Takes one frame; unfragmented messages go straight on."""
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(PROTOCOL_ERROR)
        elif self._closing and kind is not CLOSE:
            pass
        elif kind is TEXT and frame.fin and self._fragments is None:  # the hot path
            self._receive_text(frame.get_payload_as_bytes())
        elif kind is CLOSE:
            self._peer_closes(frame)
        elif kind is PING:
            if not self._stalled:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is TEXT or kind is BINARY or kind is CONTINUATION:
            self._take_fragment(kind, frame)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Tells that the peer is gone, and whether it or we broke the rules."""
        handshake = transport.close_handshake
        sent = handshake.sent.code if handshake is not None and handshake.sent is not None else 0
        failed = sent in (PROTOCOL_ERROR, MESSAGE_TOO_BIG, 1007)
        self._closing = True
        self._lost(self, "transport error" if failed else "transport close")

    def pause_writing(self) -> None:
        """Tells that output piles up."""
        self._stalled = True
        self._flow(self, True)

    def resume_writing(self) -> None:
        """Tells that it has left."""
        self._stalled = False
        self._flow(self, False)

    # Fragments and closing

    def _take_fragment(self, kind: Any, frame: Any) -> None:
        if (kind is CONTINUATION) is (self._fragments is None):
            self._fail(PROTOCOL_ERROR)  # a continuation of nothing, or a new message inside another
            return
        if self._fragments is None:
            self._fragments, self._fragment_type = [], kind
        self._fragments.append(frame.get_payload_as_bytes())
        if len(self._fragments) > MAX_FRAGMENTS or sum(map(len, self._fragments)) > self._max_bytes:
            self._fail(MESSAGE_TOO_BIG)
        elif frame.fin:
            message, self._fragments = b"".join(self._fragments), None
            if self._fragment_type is BINARY:
                self._receive_binary(message)
            else:
                self._receive_text(message)

    def _fail(self, code: int) -> None:
        self._fragments = None
        self.close(code)

    def _peer_closes(self, frame: Any) -> None:
        if not self._closing:
            self._closing = True
            code = frame.get_close_code()
            self._transport.send_close(picows.WSCloseCode.OK if code == picows.WSCloseCode.NO_INFO else code)
        self._transport.disconnect()


class QuietLogger:
    """What picows logs to: it tells about broken peers in one line, and nothing else.

    It is no `logging.Logger`, of which picows would make a child for each connection.
    """

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        self._log = log

    def isEnabledFor(self, level: int) -> bool:
        """Returns False: no details."""
        return False

    def error(self, message: str, *args: Any) -> None:
        """Tells about a peer that broke the rules."""
        self._log.rarely("websocket", f"Closing a websocket: {message}", *args)

    def exception(self, message: str, *args: Any) -> None:
        """Tells about a failure of ours, with its traceback."""
        self._log.logger.exception(message, *args)

    def debug(self, message: str, *args: Any) -> None:
        """Drops the line."""

    info = warning = log = debug


class _SocketOptions:
    """A stand-in for a Unix socket that takes the TCP options which picows sets, without a word."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def setsockopt(self, *args: Any) -> None:
        pass

    def getsockopt(self, *args: Any) -> int:
        return 0


class _UnixTransport:
    """A transport over a Unix socket, for picows."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket = _SocketOptions(transport.get_extra_info("socket").fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else self._transport.get_extra_info(name, default)


def take_over(transport: asyncio.Transport, key: str, websocket: WebSocket, logger: QuietLogger, max_bytes: int) -> None:
    """Makes a connection whose handshake was checked a websocket: the 101 goes out and frames are read.

    Args:
        transport: the connection, on a TCP, TLS or Unix socket.
        key: the validated Sec-WebSocket-Key.
        websocket: what takes the frames.
        logger: what picows logs to.
        max_bytes: bytes of one frame.
    """
    protocol = WSProtocol(
        None,  # host and port, of clients
        None,  # path, of clients
        False,  # a server
        lambda request: websocket,
        logger,
        True,  # disconnect on an exception of ours
        None,  # no timeout for the handshake, which is complete
        False,  # no pings of its own: Engine.IO has a heartbeat
        20,
        20,
        picows.WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # pings are answered by us, within the output bound
        max_bytes,
        None,
        READ_BUFFER,
    )
    sock = transport.get_extra_info("socket")
    tcp = sock is None or sock.family.name in ("AF_INET", "AF_INET6")
    protocol.connection_made(transport if tcp else _UnixTransport(transport))
    transport.set_protocol(protocol)
    _feed(protocol, HEAD % key.encode("ascii"))


# picows parses a head itself, wants exactly this Connection header and at most 16 KiB; ours is checked and constant.
HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)


def _feed(protocol: Any, data: bytes) -> None:
    while data:
        buffer = protocol.get_buffer(len(data))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]
