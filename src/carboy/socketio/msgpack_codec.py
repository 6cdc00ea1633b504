"""The alternative encoding of packets: one binary MessagePack message each, as in socket.io-msgpack-parser 3.

A map of `type`, `data`, `nsp` and perhaps `id`. Bytes stand in the data themselves, so there are no
attachments and no text messages.

Must not keep anything between two packets: one codec serves all connections and threads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import msgspec

from carboy.exceptions import LimitError, PacketError
from carboy.socketio.attachments import replace_leaves
from carboy.socketio.packets import (
    CONNECT,
    CONNECT_ERROR,
    DecoderLimits,
    Encoded,
    Packet,
    check_packet,
    clean_namespace,
    quote,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)

# notepack 2.2, the library of the JavaScript client, has extensions of its own, all of type 0.
_NOTEPACK = 0
_UNDEFINED = b"\x00"
_DATE = struct.Struct(">q")  # milliseconds since 1970

# How msgspec begins a date: the timestamp extension (type -1) in its three lengths.
_TIMESTAMPS = (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff")

# Every byte but those that begin an array or a map that is not empty.
_NO_CONTAINER = bytes(set(range(256)) - {*range(0x81, 0x90), *range(0x91, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF})

# Types whose subclasses msgspec leaves to its hook, each with the function that makes the plain value.
_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    ((bytes, bytearray), bytes),
)

# What msgspec raises; TypeError, in older versions, for a map as a key of a map.
_READ_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)

_CONTAINERS = (dict, list, tuple)


class _Message(msgspec.Struct):
    type: Annotated[int, msgspec.Meta(ge=CONNECT, le=CONNECT_ERROR)]
    nsp: str
    data: Any = None
    id: Any = None


class MessagePackCodec:
    """Reads and writes packets as MessagePack.

    A lone surrogate has no form here: writing one raises UnicodeEncodeError, a ValueError.

    Args:
        limits: the bounds of the decoder. Those on attachments have no meaning here.
    """

    def __init__(self, *, limits: DecoderLimits) -> None:
        self._limits = limits
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_make_plain)
        self._decoder = msgspec.msgpack.Decoder(_Message, ext_hook=_read_extension)

    def encode(self, type: int, namespace: str, id: int | None, data: Any, prefix: bytes = b"") -> Encoded:
        """Writes a packet; see `Codec.encode`. The prefix is that of a text, and there is none."""
        # What is absent has no key: the JavaScript client takes undefined, but not null.
        fields = {"type": type, "data": data, "nsp": namespace, "id": id}
        message = {key: value for key, value in fields.items() if value is not None}
        try:
            packed = self._encoder.encode(message)
            if any(mark in packed for mark in _TIMESTAMPS):
                packed = self._encoder.encode(replace_leaves(message, _write_date))
        except RecursionError:
            raise ValueError("the data contain themselves or are nested too deeply") from None
        except OverflowError:
            raise TypeError("Object of type int is not MessagePack serializable beyond 64 bits") from None
        except BufferError:
            raise TypeError("Object of type memoryview is not MessagePack serializable with gaps") from None
        return None, (packed,)

    def decode_text(self, message: bytes, offset: int = 0) -> Packet:
        """Refuses a text message, since here every packet is binary."""
        raise PacketError("a text message came where packets are binary")

    def decode_binary(self, message: bytes) -> Packet:
        """Reads a packet; see `Codec.decode_binary`."""
        try:
            read = self._decoder.decode(message)
        except _READ_ERRORS:
            raise PacketError(f"the message is not a packet: {quote(message)}") from None
        self._check_depth(message, read.data)
        namespace = clean_namespace(read.nsp, self._limits.max_namespace_length)
        return read.type, namespace, self._checked_id(read.id), check_packet(read.type, read.data)

    def _check_depth(self, message: bytes, data: Any) -> None:
        # A level takes a byte that begins a container, so few of those settle it without a walk.
        maximum = self._limits.max_depth
        suspect = len(message) > maximum and len(message.translate(None, _NO_CONTAINER)) > maximum
        if suspect and _is_deeper(data, maximum):
            raise LimitError("the data are nested too deeply", option="max_depth")

    def _checked_id(self, id: Any) -> int | None:
        if id is None:
            return None
        if not isinstance(id, int) or isinstance(id, bool) or not 0 <= id < 10**self._limits.max_id_digits:
            raise PacketError("an acknowledgement id is not an integer, or is out of range")
        return id


def _is_deeper(data: Any, maximum: int) -> bool:
    level = [data]
    for _ in range(maximum + 1):
        level = [item for value in level if isinstance(value, _CONTAINERS) for item in _items(value)]
        if not level:
            return False
    return True


def _items(container: Any) -> Iterable[Any]:
    # An array as a key of a map has become a tuple.
    return (*container, *container.values()) if isinstance(container, dict) else container


def _make_plain(value: Any) -> Any:
    for kind, convert in _PLAIN:
        if isinstance(value, kind):
            return convert(value)
    raise TypeError(f"Object of type {type(value).__name__} is not MessagePack serializable")


def _write_date(value: Any) -> Any:
    # The JavaScript client makes a Date of notepack's form only; of the standard timestamp it makes a pair.
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return value
    return msgspec.msgpack.Ext(_NOTEPACK, _DATE.pack((value - _EPOCH) // _MILLISECOND))


def _read_extension(code: int, content: memoryview) -> Any:
    if code != _NOTEPACK:
        raise PacketError(f"there is no MessagePack extension {code}")
    data = bytes(content)
    if data == _UNDEFINED:
        return None
    return _read_date(data) if len(data) == _DATE.size else data


def _read_date(data: bytes) -> datetime | bytes:
    # Eight bytes are a Date or an ArrayBuffer; only the marker before them, which msgspec does not show,
    # tells which. Dates are by far the more frequent. What no datetime can hold, most of what eight arbitrary
    # bytes can be, is an ArrayBuffer for certain.
    try:
        (milliseconds,) = _DATE.unpack(data)
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return data
