"""What a message costs while it is decoded is a multiple of its size that is known, whatever it holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from carboy.engineio.payloads import decode_jsonp, decode_payload
from carboy.exceptions import RemoteError
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import DecoderLimits

SIZE = 20_000
LIMITS = DecoderLimits(
    max_attachments=100, max_attachment_bytes=10**7, max_id_digits=19, max_namespace_length=512, max_depth=512
)
JSON = JSONCodec(limits=LIMITS)
MESSAGE_PACK = MessagePackCodec(limits=LIMITS)

TIMES_JSON = 40
"""Bytes of memory for a byte of JSON: an empty object, of which three bytes are enough, has 64 in Python."""
TIMES_MESSAGE_PACK = 80
"""The same for MessagePack, where an empty map has one byte."""
TIMES_PAYLOAD = 60
"""The same for a polling body, where a packet of two bytes becomes an object of bytes in a pair."""

PIECES = [
    b"[],", b"{},", b"1,", b"1.5,", b"-1,", b'"",', b'"\\ud83d",', b'{"_placeholder":true,"num":0},',
    b"9" * 99 + b",", b"18446744073709551616,", b"null,", b'{"a":[]},', b"[[[]]],", b'"\xc3\xa9",',
    b"[", b"{", b'{"a":', b"]", b'"', b"\\",
]  # fmt: skip
PACKED = [
    b"\x90",
    b"\x80",
    b"\x01",
    b"\xa0",
    b"\xc4\x00",
    b"\xd4\x00\x00",
    b"\x81\xa1a\x90",
    b"\xc0",
    b"\xcb" + bytes(8),
]
BODIES = [b"4\x1e", b"b\x1e", b"bAA\x1e", b"4", b"\x1e", b"d=&", b"%5C%5Cn", b"&"]


def peak(decode: Callable[[], Any]) -> int:
    """Decode, refused or not, and return the most memory that it took."""
    tracemalloc.start()
    try:
        with suppress(RemoteError):
            decode()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def event(piece: bytes, head: bytes = b'2["x",') -> bytes:
    """A text message full of one piece, with a right end."""
    return head + piece * (SIZE // len(piece)) + b"1]"


@pytest.mark.parametrize("head", [b'2["x",', b'51-["x",', b'2/a,5["x",', b"2"])
@pytest.mark.parametrize("piece", PIECES)
def test_json_costs_a_multiple_of_its_size(piece: bytes, head: bytes) -> None:
    """Whether it is a packet or not, and whoever reads it."""
    message = event(piece, head)
    assert peak(lambda: JSON.decode_text(message)) < TIMES_JSON * len(message)


@pytest.mark.parametrize("piece", PACKED)
def test_message_pack_costs_a_multiple_of_its_size(piece: bytes) -> None:
    """An array of very many small values is the worst."""
    count = SIZE // len(piece)
    data = b"\xdd" + (count + 1).to_bytes(4, "big") + b"\xa1x" + piece * count
    packet = msgspec.msgpack.encode({"type": 2, "nsp": "/", "data": msgspec.Raw(data)})
    assert MESSAGE_PACK.decode_binary(packet)
    assert peak(lambda: MESSAGE_PACK.decode_binary(packet)) < TIMES_MESSAGE_PACK * len(packet)


@pytest.mark.parametrize(
    "length", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
)
def test_length_that_is_only_announced_costs_nothing(length: bytes) -> None:
    """A message of some bytes that announces four gigabytes takes no memory for them."""
    packet = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + length
    assert peak(lambda: MESSAGE_PACK.decode_binary(packet)) < 20_000


@pytest.mark.parametrize("piece", BODIES)
@pytest.mark.parametrize(
    "decode", [decode_jsonp, lambda body: decode_payload(body, max_bytes=10**6, max_packets=10**5)]
)
def test_body_costs_a_multiple_of_its_size(piece: bytes, decode: Callable[[bytes], Any]) -> None:
    """However many packets or fields it has."""
    body = piece * (SIZE // len(piece)) + b"4"
    assert peak(lambda: decode(body)) < TIMES_PAYLOAD * len(body)
