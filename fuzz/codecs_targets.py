"""Fuzz targets for what decodes messages: polling bodies, JSON packets and MessagePack packets.

Each takes any bytes. Bad input may raise `RemoteError` and nothing else; good input is within its bounds and
survives being written and read again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from carboy.engineio.payloads import decode_jsonp, decode_payload, encode_binary, encode_payload
from carboy.exceptions import RemoteError
from carboy.socketio.attachments import PartialPacket
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import ACK, BINARY_EVENT, Codec, DecoderLimits, Packet

MAX_PACKETS = 5
# Small, so that what is found quickly is at the bounds too; deep data that were read must be writable.
LIMITS = DecoderLimits(
    max_attachments=3, max_attachment_bytes=100, max_id_digits=19, max_namespace_length=20, max_depth=100
)
JSON = JSONCodec(limits=LIMITS)
CUSTOM_JSON = JSONCodec(limits=LIMITS, json=json)
MESSAGE_PACK = MessagePackCodec(limits=LIMITS)

PAYLOAD_SEEDS = [
    b"\xff4hello\x1ebAQIDBA==\x1e2probe",
    b"\xffb-_8\x1eb \r\n",
    b"\x05" + b"4\x1e" * 6,
    b"\xffd=42%5B%22a%5C%5Cn%22%5D&x=1",
]
JSON_SEEDS = [
    b'2["echo",1,"x",null,{"a":[true,1.5]}]',
    b'2/admin,12["echo"]',
    b'52-["x",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]\x1eone\x1etwo',
    b'61-/a?b=c,7[{"_placeholder":true,"num":0}]\x1edata',
    b'0/chat,{"token":"t"}',
    b'4{"message":"no"}',
    b'2["\\ud83d",1e999,18446744073709551616,"\\ud83d\\ude00"]',
    b"31[]",
    b"1/a,",
    b'2["x",[[[{"a":{"b":"]\\"\\\\"}}]]]]',
]
MESSAGE_PACK_SEEDS = [
    bytes.fromhex("83a47479706502a46461746192a46563686f01a36e7370a12f"),
    bytes.fromhex("84a47479706502a46461746192a178c403010203a36e7370a22f61a2696405"),
    bytes.fromhex("83a47479706500a46e7370a12fa464617461d40000"),
    bytes.fromhex("83a47479706502a46461746192a178d7000000018fb1d0c400a36e7370a12f"),
    bytes.fromhex("83a47479706502a46461746193a17881918101cbc7080001020304050607a36e7370a12f"),
]


def payload(data: bytes) -> None:
    """A polling body: its first byte bounds it, the rest is the body, plain and as a form of JSONP."""
    max_bytes, body = (data[0], data[1:]) if data else (0, b"")
    try:
        packets = decode_payload(body, max_bytes=max_bytes, max_packets=MAX_PACKETS)
    except RemoteError:
        pass
    else:
        assert len(body) <= max_bytes
        assert 1 <= len(packets) <= MAX_PACKETS
        assert sum(len(packet) for _, packet in packets) <= len(body)
        again = encode_payload([encode_binary(packet) if binary else packet for binary, packet in packets])
        assert decode_payload(again, max_bytes=2 * max_bytes, max_packets=MAX_PACKETS) == packets
    with suppress(RemoteError):
        assert len(decode_jsonp(body)) <= len(body)


def json_packet(data: bytes) -> None:
    """A text message and, behind separators, its attachments; read by both ways and by a module."""
    message, *attachments = data.split(b"\x1e")
    short = _outcome(JSON.decode_text, message)
    assert _same(short, _outcome(lambda text: JSON.decode_text(b"4" + text, 1), message))
    assert _same(short, _outcome(lambda text: JSON._decode_any(text, 0), message))  # noqa: SLF001  # the long way
    _outcome(CUSTOM_JSON.decode_text, message)
    if isinstance(short, PartialPacket):
        _complete(short, attachments)
    elif short is not None:
        _write_again(JSON, short)


def message_pack(data: bytes) -> None:
    """A binary message."""
    packet = _outcome(MESSAGE_PACK.decode_binary, data)
    if packet is not None:
        _write_again(MESSAGE_PACK, packet)


def _outcome(decode: Any, message: bytes) -> Any:
    try:
        decoded = decode(message)
    except RemoteError:
        return None
    if not isinstance(decoded, PartialPacket):
        assert decoded[0] < BINARY_EVENT
        assert len(decoded[1]) <= LIMITS.max_namespace_length
        assert decoded[2] is None or 0 <= decoded[2] < 10**LIMITS.max_id_digits
    return decoded


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, PartialPacket):
        return isinstance(other, PartialPacket) and repr(one._packet) == repr(other._packet)  # noqa: SLF001
    return repr(one) == repr(other)  # NaN is not equal to itself, and 1 is to True


def _complete(partial: PartialPacket, attachments: list[bytes]) -> None:
    taken = 0
    for attachment in attachments:
        try:
            packet = partial.add(attachment)
        except RemoteError:
            return
        taken += len(attachment)
        assert taken <= LIMITS.max_attachment_bytes
        if packet is not None:
            _write_again(JSON, packet)


def _write_again(codec: Codec, packet: Packet) -> None:
    """What was read can be written, and comes back from that as the same text or bytes."""
    written = codec.encode(*packet)
    text, binaries = written
    if text is None:
        read: Any = codec.decode_binary(binaries[0])
    else:
        read = WIDE.decode_text(text)
        if isinstance(read, PartialPacket):
            *_, read = [read.add(binary) for binary in binaries]
    assert read[:3] == packet[:3]
    assert read[3] is not None or packet[0] != ACK
    assert codec.encode(*read) == written


# One placeholder may stand in a packet more often than there are attachments; each becomes one of its own.
WIDE = JSONCodec(
    limits=DecoderLimits(
        max_attachments=10**6,
        max_attachment_bytes=10**9,
        max_id_digits=19,
        max_namespace_length=20,
        max_depth=100,
    )
)
