"""The default encoding of packets: text with a JSON payload, binary attachments beside it.

    <type>[<attachments>-][<namespace>,][<id>][<JSON>]

orjson writes, in one pass that finds the attachments too. msgspec reads: it is as quick as orjson, and orjson
turns integers beyond 64 bits into floats without a word. What either refuses and the standard library takes
goes to the standard library.

Must not keep anything between two packets: one codec serves all connections and threads.
"""

from __future__ import annotations

import json as standard_json
import math
import re
from itertools import accumulate
from typing import Any

import msgspec
import orjson

from carboy.exceptions import LimitError, PacketError
from carboy.socketio.attachments import Attachments, PartialPacket, replace_leaves, unserializable
from carboy.socketio.packets import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    EVENT,
    RESERVED_EVENTS,
    DecoderLimits,
    Encoded,
    Packet,
    check_packet,
    clean_namespace,
    quote,
)

# BINARY_EVENT and BINARY_ACK lie this far above EVENT and ACK.
_TO_BINARY = BINARY_EVENT - EVENT

_TYPES = tuple(b"%d" % number for number in range(BINARY_ACK + 1))
_ZERO, _EVENT_DIGIT, _BRACKET = b"02["
_SHORTEST_EVENT = len(b"2[1]")

_HEAD = re.compile(rb"[0-6](?:([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)")

_read_json = msgspec.json.Decoder().decode

# What msgspec raises, of which MsgspecError became a ValueError only in its later versions.
_READ_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)

# Brackets as the signed bytes +1 and -1; all other bytes but quotes are deleted.
_BRACKETS_TO_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[{]}"'))

# The interpreter's own bound (CVE-2020-10735), which early 3.10 lacks and an application may have lifted.
_MAX_INTEGER_DIGITS = 4300


class JSONCodec:
    """Reads and writes packets as JSON text.

    Args:
        limits: the bounds of the decoder.
        json: an object with `dumps` and `loads` to use instead, or None. `dumps` is called with
            `separators=(",", ":")` and may return str or bytes; `loads` gets a str.
    """

    def __init__(self, *, limits: DecoderLimits, json: Any = None) -> None:
        self._limits = limits
        self._json = json
        # Every level takes two brackets, so what is not longer than this needs no look at its depth. What is
        # plain takes the short way through the decoder.
        self._shallow_length = 2 * limits.max_depth
        self._longest_head = 2 + limits.max_id_digits
        self._plain_length = self._shallow_length if json is None else -1

    def encode(self, type: int, namespace: str, id: int | None, data: Any, prefix: bytes = b"") -> Encoded:
        """Writes a packet; see `Codec.encode`."""
        attachments = Attachments()
        if data is None:
            payload = b""
        elif self._json is None:
            try:
                payload = orjson.dumps(data, attachments)
            except TypeError:
                attachments = Attachments()  # those of a pass that failed are not sent
                payload = _dump_with_standard_library(data, attachments)
        else:
            payload = _dump_with(self._json, data, attachments)
        if attachments:
            return _binary_head(type, namespace, id, len(attachments), prefix) + payload, tuple(attachments)
        if namespace == "/":
            if id is None:
                return prefix + _TYPES[type] + payload, ()
            return b"%b%d%d%b" % (prefix, type, id, payload), ()
        place = namespace.encode()
        return b"%b%d%b,%b%b" % (prefix, type, place, b"" if id is None else b"%d" % id, payload), ()

    def decode_text(self, message: bytes, offset: int = 0) -> Packet | PartialPacket:
        """Reads a text message; see `Codec.decode_text`."""
        # Short events and acks of the main namespace, most of what arrives, come first and cheapest. The
        # payload is a copy: a memoryview costs half as much again at 200 bytes, and saves 8% at 64 KB.
        if not _SHORTEST_EVENT + offset <= len(message) <= self._plain_length:
            return self._decode_any(message, offset)
        kind = message[offset]
        start = offset + 1
        after = message[start]
        if after == _BRACKET and kind == _EVENT_DIGIT:
            id = None
        elif kind in b"23":
            begin, start = start, message.find(b"[", start, offset + self._longest_head)
            digits = message[begin:start]
            if start < 0 or not digits.isdigit():
                return self._decode_any(message, offset)
            id = int(digits)
        else:
            return self._decode_any(message, offset)
        try:
            data = _read_json(message[start:])
        except _READ_ERRORS:
            data = _load_with_standard_library(message[start:])
        if kind == _EVENT_DIGIT and (not data or type(data[0]) is not str or data[0] in RESERVED_EVENTS):
            check_packet(EVENT, data)
        return kind - _ZERO, "/", id, data

    def decode_binary(self, message: bytes) -> Packet:
        """Refuses a binary message, since here it can only be an attachment."""
        raise PacketError("a binary message came that belongs to no packet")

    def _decode_any(self, message: bytes, offset: int) -> Packet | PartialPacket:
        head = _HEAD.match(message, offset)
        if head is None:
            raise PacketError(f"{quote(message[offset : offset + 1])} is not a type of packet")
        kind = message[offset] - _ZERO
        count_digits, name, id_digits = head.groups()
        count = 0
        if count_digits is not None or kind in (BINARY_EVENT, BINARY_ACK):
            count = self._attachment_count(kind, count_digits)
            kind -= _TO_BINARY
        namespace = "/" if name is None else self._namespace(name)
        id = self._number(id_digits) if id_digits else None
        payload = message[head.end() :]
        packet = kind, namespace, id, check_packet(kind, self._load(payload) if payload else None)
        return PartialPacket(packet, count, limits=self._limits) if count else packet

    def _attachment_count(self, kind: int, digits: bytes | None) -> int:
        if kind not in (BINARY_EVENT, BINARY_ACK):
            raise PacketError("attachments are announced by a packet that has none")
        count = 0 if digits is None else self._number(digits)
        if count == 0:  # CVE-2026-69185: nothing ever completes such a packet
            raise PacketError("a binary packet does not say how many attachments follow")
        if count > self._limits.max_attachments:
            raise LimitError(f"a packet announces {count} attachments", option="max_attachments")
        return count

    def _number(self, digits: bytes) -> int:
        if len(digits) > self._limits.max_id_digits:
            raise PacketError(f"a number has {len(digits)} digits")
        return int(digits)

    def _namespace(self, name: bytes) -> str:
        try:
            return clean_namespace(name.decode(), self._limits.max_namespace_length)
        except UnicodeDecodeError:
            raise PacketError(f"{quote(name)} is not the name of a namespace") from None

    def _load(self, payload: bytes) -> Any:
        if len(payload) > self._shallow_length:
            _check_depth(payload, self._limits.max_depth)
        data = _load_with_msgspec(payload) if self._json is None else _load_with(self._json, payload)
        if data is None:  # `null` must not pass for an absent payload
            raise PacketError("null is no payload")
        return data


def _binary_head(type: int, namespace: str, id: int | None, count: int, prefix: bytes) -> bytes:
    if type not in (EVENT, ACK):
        raise TypeError("Object of type bytes is not JSON serializable outside events and acks")
    place = b"" if namespace == "/" else b"%b," % namespace.encode()
    return b"%b%d%d-%b%b" % (prefix, type + _TO_BINARY, count, place, b"" if id is None else b"%d" % id)


def _dump_with_standard_library(data: Any, attachments: Attachments) -> bytes:
    def leaf(value: Any) -> Any:
        # NaN and infinity are null, as orjson and JSON.stringify write them.
        return None if isinstance(value, float) and not math.isfinite(value) else attachments.detach(value)

    def native(value: Any) -> Any:
        # What orjson alone takes (dates, UUIDs, dataclasses) may stand beside what it refuses.
        try:
            return orjson.loads(orjson.dumps(value, attachments))
        except TypeError:
            raise TypeError(unserializable(value)) from None

    try:
        plain = replace_leaves(data, leaf)
        text = standard_json.dumps(plain, ensure_ascii=False, separators=(",", ":"), default=native)
    except RecursionError:
        raise ValueError("the data contain themselves or are nested too deeply") from None
    return _escape_surrogates(text)


def _dump_with(json: Any, data: Any, attachments: Attachments) -> bytes:
    try:
        text = json.dumps(replace_leaves(data, attachments.detach), separators=(",", ":"))
    except RecursionError:
        raise ValueError("the data contain themselves or are nested too deeply") from None
    return _escape_surrogates(text) if isinstance(text, str) else bytes(text)


def _escape_surrogates(text: str) -> bytes:
    # A lone surrogate has no UTF-8 form. Python's escape for it is JSON's, \ud83d, and a string is around it.
    return text.encode("utf-8", "backslashreplace")


def _load_with_msgspec(payload: bytes) -> Any:
    try:
        return _read_json(payload)
    except _READ_ERRORS:
        return _load_with_standard_library(payload)


def _load_with_standard_library(payload: bytes) -> Any:
    # For a lone surrogate, which a browser sends of a string cut inside an emoji, and for 1e999.
    try:
        return _STANDARD_DECODER.decode(payload.decode())
    except (ValueError, RecursionError):
        raise PacketError(f"the payload is not JSON: {quote(payload)}") from None


def _load_with(json: Any, payload: bytes) -> Any:
    try:
        return json.loads(payload.decode())
    except Exception as error:  # whatever a foreign decoder raises at its input, it is the peer that must go
        raise PacketError(f"the payload is not JSON: {quote(payload)}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError("an integer is too long")
    return int(digits)


_STANDARD_DECODER = standard_json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_parse_integer)


def _check_depth(payload: bytes, max_depth: int) -> None:
    # Few brackets settle it at the cost of a count. Every step below is linear, also in what is not JSON.
    if payload.count(b"[") + payload.count(b"{") > max_depth and _measure_depth(payload) > max_depth:
        raise LimitError("the payload is nested too deeply", option="max_depth")


def _measure_depth(payload: bytes) -> int:
    if b"\\" in payload:
        payload = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes with no bracket between them can go without changing what is inside a string and what is not.
    steps = payload.translate(_BRACKETS_TO_STEPS, _NO_STRUCTURE).replace(b'""', b"")
    outside = b"".join(steps.split(b'"')[::2])
    return max(accumulate(memoryview(outside).cast("b")), default=0)
