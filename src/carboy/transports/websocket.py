"""The fast websocket lane: picows frames in C, and this module does what picows leaves open.

That is: reserved bits, the order of opcodes and fragments, UTF-8, limits on messages and fragments, pings
within the output bound, and the close handshake (RFC 6455 sections 5, 7 and 8). Everything happens in the
loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import picows

from carboy.engineio.close_codes import (
    INVALID_TEXT,
    MESSAGE_TOO_BIG,
    NORMAL_CLOSURE,
    PROTOCOL_ERROR,
    may_be_sent,
)
from carboy.runtime.message import Message
from carboy.transports.wire import QuietLogger, Wire

TEXT = picows.WSMsgType.TEXT
BINARY = picows.WSMsgType.BINARY
CONTINUATION = picows.WSMsgType.CONTINUATION
PING = picows.WSMsgType.PING
CLOSE = picows.WSMsgType.CLOSE

DIRECT_LIMIT = 8192
"""Bytes up to which picows copies a message; a larger one may be overwritten by the next while it waits."""

SMALL_FRAGMENT = 1024
"""Bytes of a fragment on average, from which the size of the message alone bounds their number."""

CLOSE_TIMEOUT = 5.0
"""Seconds that the peer is given to answer a close frame, or to close a connection that failed."""

TOO_LARGE = "a message is too large"

TRANSPORT_CLOSE, TRANSPORT_ERROR = "transport close", "transport error"


class Receiver(Protocol):
    """Who takes what comes: the connection, or the upgrade while the websocket is a candidate."""

    def receive_text(self, packet: bytes) -> None:
        """Takes a text message."""

    def receive_binary(self, data: bytes) -> None:
        """Takes a binary message."""


class Carried(Protocol):
    """The connection to which a websocket belongs, as its transport or as the candidate for it.

    Attributes:
        transport: what carries the session.
        address: the peer's address, for log lines.
    """

    @property
    def transport(self) -> Any:
        """What carries the session."""

    @property
    def address(self) -> str:
        """The peer's address."""

    def transport_lost(self, transport: Any, reason: str) -> None:
        """Is told once that the peer is gone, or broke a rule."""

    def stall(self) -> None:
        """Is told that output piles up."""

    def unstall(self) -> None:
        """Is told that it has left."""


class WebSocket(picows.WSListener):
    """One websocket.

    Args:
        max_bytes: bytes of one message, over all its fragments.
        max_fragments: fragments of a message that are small on average; many tiny ones cost far more than
            their bytes.
        live: where it is while it is connected.
        opened: called once with this object when frames may be sent; returns the connection.

    Attributes:
        stalled: whether output piles up, since the peer does not read it.
    """

    __slots__ = (
        "_closing",
        "_connection",
        "_live",
        "_max_bytes",
        "_max_fragments",
        "_opened",
        "_partial",
        "_receive_binary",
        "_receive_text",
        "_send",
        "_timer",
        "_transport",
        "_write",
        "stalled",
    )

    name = "websocket"

    _receive_text: Callable[[bytes], None]
    _receive_binary: Callable[[bytes], None]
    _send: Any
    _write: Any

    def __init__(
        self,
        max_bytes: int,
        max_fragments: int,
        live: set[WebSocket],
        opened: Callable[[WebSocket], Carried],
    ) -> None:
        self._max_bytes = max_bytes
        self._max_fragments = max_fragments
        self._live = live
        self._opened: Callable[[WebSocket], Carried] | None = opened
        self._connection: Carried | None = None
        self._partial: _Partial | None = None
        self._closing = False
        self.stalled = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None

    def bind(self, receiver: Receiver) -> None:
        """Gives everything that comes from here on to a receiver."""
        self._receive_text = receiver.receive_text
        self._receive_binary = receiver.receive_binary

    # The port `Transport`

    def write(self, messages: list[Message]) -> bool:
        """Writes messages in one go: a short text directly to the socket, anything else framed and joined."""
        if self._closing:
            return True  # nobody reads it any more
        if len(messages) == 1:
            message = messages[0]
            text = message.text
            if text is not None and len(text) <= DIRECT_LIMIT and not message.binaries:
                self._send(TEXT, text)
            else:
                self._write(message.frames())
        else:
            self._write(b"".join([message.frames() for message in messages]))
        return True

    def backlog(self) -> int:
        """Returns the bytes that were written but have not left."""
        size: int = 0 if self._transport is None else self._wire.get_write_buffer_size()
        return size

    def close(self, code: int) -> None:
        """Sends a close frame and waits a moment for the answer to it."""
        if self._closing:
            return
        self._closing = True
        if self.stalled:
            self._wire.abort()  # the close frame would stand behind what the peer does not read
        else:
            self._transport.send_close(code)
            self._abort_later()
            self._wire.resume_reading()

    def release(self) -> None:
        """Closes: the session is over."""
        self.close(NORMAL_CLOSURE)

    def hurry(self) -> None:
        """Does nothing: a websocket has no request that waits."""

    def pause_reading(self) -> None:
        """Reads nothing until `resume_reading`."""
        if not self._closing:
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        if not self._closing:
            self._wire.resume_reading()

    # For a stop

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._closing = True
            self._wire.abort()

    # What picows calls

    def on_ws_connected(self, transport: Any) -> None:
        """Takes the transport, for the first time or because the reader was replaced."""
        self._transport = transport
        self._send = transport.send
        self._write = transport.underlying_transport.inner.write
        transport.request.headers = transport.response.headers = None  # about 1 KiB that nobody reads
        opened, self._opened = self._opened, None
        if opened is not None:
            self._live.add(self)
            self._connection = opened(self)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Takes one frame; unfragmented messages go straight on."""
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.fail(PROTOCOL_ERROR, "a reserved bit is set")
        elif self._closing:
            if kind is CLOSE:
                self._wire.inner.close()
        elif kind is TEXT and frame.fin and self._partial is None:  # the hot path
            text = frame.get_payload_as_bytes()
            if len(text) > 1 and text.isascii():
                self._receive_text(text)
            else:
                self._take_text(text, frame)
        elif kind is CLOSE:
            self._peer_closes(frame.get_payload_as_bytes())
        elif kind is PING:
            if not self.stalled:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is TEXT or kind is BINARY or kind is CONTINUATION:
            self._take_fragment(kind, frame)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Takes note that the connection is gone."""
        self.ended()

    def pause_writing(self) -> None:
        """Tells that output piles up."""
        self.stalled = True
        connection = self._connection
        if connection is not None and connection.transport is self:
            connection.stall()

    def resume_writing(self) -> None:
        """Tells that it has left."""
        self.stalled = False
        connection = self._connection
        if connection is not None and connection.transport is self:
            connection.unstall()

    # Messages

    def _take_text(self, text: bytes, frame: Any) -> None:
        """Takes a text message that may be empty, a pong, or not UTF-8."""
        if not text:
            self.fail(PROTOCOL_ERROR, "an empty text message")
        elif not _is_utf8(text):
            self.fail(INVALID_TEXT, "a text message is not UTF-8")
        else:
            if frame.last_in_buffer and not frame.tail_size:
                self._wire.keep_small()
            self._receive_text(text)

    def _take_fragment(self, kind: Any, frame: Any) -> None:
        data = frame.get_payload_as_bytes()
        if kind is BINARY and frame.fin and self._partial is None:
            self._receive_binary(data)
            return
        if (kind is CONTINUATION) is (self._partial is None):
            self.fail(PROTOCOL_ERROR, "a continuation of nothing, or a new message inside another")
            return
        partial = self._partial = self._partial or _Partial(kind)
        partial.count += 1
        partial.data += data
        size = len(partial.data)
        if size > self._max_bytes:
            self.fail(MESSAGE_TOO_BIG, TOO_LARGE)
        elif partial.count > max(self._max_fragments, size // SMALL_FRAGMENT):
            self.fail(MESSAGE_TOO_BIG, "a message has too many fragments", "max_fragments")
        elif frame.fin:
            self._partial = None
            if partial.kind is BINARY:
                self._receive_binary(bytes(partial.data))
            else:
                self._take_text(bytes(partial.data), frame)

    # The end

    @property
    def _wire(self) -> Wire:
        wire: Wire = self._transport.underlying_transport
        return wire

    def _peer_closes(self, body: bytes) -> None:
        code = int.from_bytes(body[:2], "big") if body else NORMAL_CLOSURE
        if not may_be_sent(code):
            self.fail(PROTOCOL_ERROR, "a close code that must not be sent")
            return
        self._closing = True
        self._transport.send_close(code)
        self._wire.inner.close()
        self._abort_later()  # it may not read what stands before the close frame
        self._lose(TRANSPORT_CLOSE)

    def fail(self, code: int, what: str, option: str = "max_http_buffer_size") -> None:
        """Fails the connection (RFC 6455 section 7.1.7): the session is over, the peer gets a close frame.

        Args:
            code: the close code.
            what: what happened, for the log.
            option: the one whose bound was passed, if the code says that one was.
        """
        connection, transport = self._connection, self._transport
        if transport is None:
            return
        transport.send_close(code)  # before picows sends one
        self._partial = None
        self._closing = True
        if self._timer is None:
            self._abort_later()
        asyncio.get_running_loop().call_soon(self._wire.drain)  # picows still works on what was read
        if connection is not None:
            self._wire.told(connection.address, what, option if code == MESSAGE_TOO_BIG else None)
        self._lose(TRANSPORT_ERROR)

    def ended(self) -> None:
        """Takes note that the connection is gone."""
        self._closing = True
        self._live.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._lose(TRANSPORT_CLOSE)
        self._transport = self._send = self._write = None
        self._receive_text = self._receive_binary = _ignore

    def _lose(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.transport_lost(self, reason)

    def _abort_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._wire.abort)


class _Partial:
    """A message of which fragments are still to come."""

    __slots__ = ("count", "data", "kind")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.data = bytearray()
        self.count = 0


def take_over(
    transport: asyncio.Transport,
    key: str,
    websocket: WebSocket,
    logger: QuietLogger,
    max_bytes: int,
    early: bytes = b"",
) -> None:
    """Makes a connection whose handshake was checked a websocket: the 101 goes out and frames are read.

    Args:
        transport: the connection, on a TCP, TLS or Unix socket.
        key: the validated Sec-WebSocket-Key.
        websocket: what takes the frames.
        logger: where broken peers are told.
        max_bytes: bytes of one frame.
        early: what the peer sent behind its head, without waiting for the answer.
    """
    Wire(transport, websocket, logger, max_bytes).open(key, early)


def _ignore(data: bytes) -> None:
    """Takes nothing: the connection is gone, and refers to nobody."""


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
