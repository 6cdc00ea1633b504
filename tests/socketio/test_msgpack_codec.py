"""Packets as MessagePack: as the JavaScript client writes them, and never another error than ours."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from carboy.exceptions import LimitError, PacketError
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    RESERVED_EVENTS,
    DecoderLimits,
    Packet,
)

LIMITS = DecoderLimits(
    max_attachments=1, max_attachment_bytes=1, max_id_digits=19, max_namespace_length=20, max_depth=50
)
CODEC = MessagePackCodec(limits=LIMITS)
pack = msgspec.msgpack.encode


class Pair(NamedTuple):
    """A tuple that is more."""

    left: Any
    right: Any


class Number(int):
    """A subclass of what has a form."""


class Fraction(float):
    """A subclass of what has a form."""


class Binary(bytes):
    """A subclass of what has a form."""


def message(**fields: Any) -> bytes:
    """A message with these keys, over those of an event."""
    return pack({"type": EVENT, "nsp": "/", "data": ["x"], **fields})


def around(packed: bytes) -> bytes:
    """An event whose one argument is given in packed form."""
    return b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1x" + packed


def write(data: Any) -> bytes:
    """The packed form of the one argument of an event."""
    text, messages = CODEC.encode(EVENT, "/", None, ["x", data])
    assert text is None
    head = b"\x83\xa4type\x02\xa4data\x92\xa1x"
    tail = b"\xa3nsp\xa1/"
    assert messages[0].startswith(head)
    assert messages[0].endswith(tail)
    assert len(messages) == 1
    return messages[0][len(head) : -len(tail)]


@pytest.mark.parametrize(
    ("packet", "keys"),
    [
        ((CONNECT, "/", None, {"sid": "abc"}), {"type", "data", "nsp"}),
        ((CONNECT, "/admin", None, None), {"type", "nsp"}),
        ((DISCONNECT, "/admin", None, None), {"type", "nsp"}),
        ((EVENT, "/", None, ["x", b"\x00", {"a": [None, 1.5, "é"]}]), {"type", "data", "nsp"}),
        ((EVENT, "/admin", 0, ["x"]), {"type", "data", "nsp", "id"}),
        ((ACK, "/", 10**19 - 1, [b"x"]), {"type", "data", "nsp", "id"}),
        ((CONNECT_ERROR, "/", None, {"message": "no"}), {"type", "data", "nsp"}),
    ],
)
def test_a_packet_is_one_binary_message_and_reads_back(packet: Packet, keys: set[str]) -> None:
    """Bytes stand in the data, and what is absent has no key: the JavaScript client refuses null."""
    text, messages = CODEC.encode(*packet, prefix=b"4")
    assert text is None
    assert len(messages) == 1
    assert set(msgspec.msgpack.decode(messages[0])) == keys
    assert CODEC.decode_binary(messages[0]) == packet


@pytest.mark.parametrize(
    ("fields", "packet"),
    [
        ({"options": {"compress": True}}, (EVENT, "/", None, ["x"])),
        ({"type": CONNECT, "data": msgspec.msgpack.Ext(0, b"\0")}, (CONNECT, "/", None, None)),
        ({"type": CONNECT, "data": None}, (CONNECT, "/", None, None)),
        ({"type": ACK, "data": None, "id": 1}, (ACK, "/", 1, [])),
        ({"id": msgspec.msgpack.Ext(0, b"\0")}, (EVENT, "/", None, ["x"])),
        ({"nsp": "/admin?x=1"}, (EVENT, "/admin", None, ["x"])),
    ],
)
def test_what_the_javascript_client_sends_is_read(fields: dict[str, Any], packet: Packet) -> None:
    """It has keys of its own, and sends undefined for what is absent."""
    assert CODEC.decode_binary(message(**fields)) == packet


@pytest.mark.parametrize(
    ("packed", "value"),
    [
        ("d40000", None),
        ("d7000000018fb1d0c400", datetime(2024, 5, 25, 22, 13, 20, tzinfo=timezone.utc)),
        ("d700ffffffffffffffff", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)),
        ("c708003ff8000000000000", bytes.fromhex("3ff8000000000000")),
        ("c70300010203", b"\1\2\3"),
        ("c8000300010203", b"\1\2\3"),
        ("c9000000030001ff03", b"\1\xff\3"),
        ("c70000", b""),
        ("d6ff00000001", datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)),
        ("c403010203", b"\1\2\3"),
        ("8101a178", {1: "x"}),
    ],
)
def test_the_extensions_of_notepack_are_read(packed: str, value: Any) -> None:
    """undefined, Date and ArrayBuffer; eight bytes are a Date unless no datetime can hold them."""
    assert CODEC.decode_binary(around(bytes.fromhex(packed))) == (EVENT, "/", None, ["x", value])


@pytest.mark.parametrize(
    "fields",
    [
        {"type": 5}, {"type": -1}, {"type": "2"}, {"type": True}, {"type": 2.5}, {"type": None},
        {"nsp": None}, {"nsp": 1}, {"nsp": ""}, {"nsp": "*"}, {"nsp": b"/"},
        {"id": -1}, {"id": 1.5}, {"id": "1"}, {"id": True}, {"id": 10**19}, {"id": [1]},
        {"data": None}, {"data": {}}, {"data": []}, {"data": ["connect"]}, {"data": [b"x"]}, {"data": [None]},
        {"type": CONNECT}, {"type": DISCONNECT}, {"type": ACK, "data": {}}, {"type": CONNECT_ERROR},
        {"data": ["x", msgspec.msgpack.Ext(1, b"x")]},
    ],
)  # fmt: skip
def test_a_map_that_is_no_packet_is_refused(fields: dict[str, Any]) -> None:
    """Types, namespaces, ids, data and extensions that the protocol does not have."""
    with pytest.raises(PacketError) as raised:
        CODEC.decode_binary(message(**fields))
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize(
    "packed",
    [
        b"", b"\xc1", b"\x90", b"\x80", b"\x01", b"\x82\xa4type\x02\xa3nsp\xa1/", message() + b"\0",
        message()[:-1], around(b"\xa1\xff"), around(b"\xdd\xff\xff\xff\xff"), around(b"\xc6\xff\xff\xff\xff"),
        around(b"\x81\x80\x01"), around(b"\xd7\xff" + b"\xff" * 8), around(b"\xc7\x0c\xff" + b"\x7f" * 12),
        around(b"\x91" * 100_000),
        b"\x83\xa4type\x02\xa3nsp\xa1\xff\xa4data\x91\xa1x", b"\xff" * 10_000,
    ],
    ids=lambda packed: packed[:30].hex(),
)  # fmt: skip
def test_bytes_that_are_no_packet_are_refused(packed: bytes) -> None:
    """Truncated, overlong, malformed, not UTF-8, out of range, too deep for the parser."""
    with pytest.raises(PacketError) as raised:
        CODEC.decode_binary(packed)
    assert len(str(raised.value)) < 120


def test_a_text_message_is_refused() -> None:
    """Every packet of this encoding is binary."""
    with pytest.raises(PacketError):
        CODEC.decode_text(b'2["x"]')


@pytest.mark.parametrize(
    ("packed", "option"),
    [
        (message(nsp="/" + "n" * 20), "max_namespace_length"),
        (around(b"\x91" * 50 + b"\x90"), "max_depth"),
        (around(b"\x81\xa1a" * 50 + b"\x01"), "max_depth"),
        (around(b"\x81" + b"\x91" * 49 + b"\x90\x01"), "max_depth"),
    ],
)
def test_a_packet_past_a_limit_names_the_option(packed: bytes, option: str) -> None:
    """Arrays within keys count as those within values do."""
    with pytest.raises(LimitError) as raised:
        CODEC.decode_binary(packed)
    assert raised.value.option == option


def test_a_packet_at_the_limit_of_depth_is_read() -> None:
    """The array of arguments is the first level, as in JSON; what stands side by side is no nesting."""
    assert CODEC.decode_binary(around(b"\x91" * 48 + b"\x90"))[0] == EVENT
    assert CODEC.decode_binary(message(data=["x", *([1],) * 99]))[0] == EVENT
    assert CODEC.decode_binary(message(data=["x", b"\x91" * 99]))[0] == EVENT


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Markup("<b>"), "<b>"),
        ([Number(5), Fraction(1.5), Binary(b"x")], [5, 1.5, b"x"]),
        ((1, (2,)), [1, [2]]),
        (Pair(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (math.inf, math.inf),
        ({1: 2}, {1: 2}),
    ],
)
def test_every_value_with_a_form_is_written(value: Any, plain: Any) -> None:
    """Subclasses are written as what they are subclasses of."""
    assert msgspec.msgpack.decode(write(value), strict=False) == plain


def test_a_date_is_written_in_the_form_that_the_javascript_client_reads() -> None:
    """Also beside bytes that look like a date; a naive datetime has no place in time and becomes text."""
    date = datetime(2024, 5, 25, 22, 13, 20, tzinfo=timezone.utc)
    assert write(date).hex() == "d7000000018fb1d0c400"
    assert (
        write([b"\xd7\xff", date.astimezone(timezone(timedelta(hours=2)))]).hex()
        == "92c402d7ffd7000000018fb1d0c400"
    )
    assert msgspec.msgpack.decode(write([date, date.replace(tzinfo=None)]))[1] == "2024-05-25T22:13:20"
    assert CODEC.decode_binary(CODEC.encode(ACK, "/", 1, [date])[1][0]) == (ACK, "/", 1, [date])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        (1j, "complex"),
        (2**64, "int"),
        (-(2**63) - 1, "int"),
        (memoryview(b"abc")[::2], "memoryview"),
    ],
)
def test_what_has_no_form_raises_and_names_the_type(value: Any, name: str) -> None:
    """An OverflowError or a BufferError never leaves the encoder."""
    with pytest.raises(TypeError, match=f"type {name} is not MessagePack serializable"):
        CODEC.encode(EVENT, "/", None, ["x", value])


@pytest.mark.parametrize("value", ["\ud83d", {"\ud83d": 1}])
def test_a_lone_surrogate_raises_value_error(value: Any) -> None:
    """MessagePack text is UTF-8, which has no form for it."""
    with pytest.raises(ValueError, match="surrogates"):
        CODEC.encode(EVENT, "/", None, ["x", value])


def test_data_that_contain_themselves_raise_value_error() -> None:
    """Never a RecursionError."""
    circular: list[Any] = []
    circular.append(circular)
    with pytest.raises(ValueError, match="contain themselves"):
        CODEC.encode(EVENT, "/", None, ["x", circular])


DATES = st.datetimes(timezones=st.just(timezone.utc)).map(
    lambda date: date.replace(microsecond=date.microsecond // 1000 * 1000)
)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
    | st.binary(max_size=20) | DATES
)  # fmt: skip
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
EVENTS = st.text(max_size=10).filter(lambda name: name not in RESERVED_EVENTS)
NAMESPACES = st.text(st.characters(exclude_characters="?", codec="utf-8"), max_size=19).map("/".__add__)
IDS = st.none() | st.integers(0, 10**19 - 1)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([EVENT, ACK]), NAMESPACES, IDS, EVENTS, st.lists(DATA, max_size=3))
def test_every_packet_reads_back_as_it_was_written(
    type: int, namespace: str, id: int | None, event: str, arguments: list[Any]
) -> None:
    """With any namespace, id and data."""
    _, messages = CODEC.encode(type, namespace, id, [event, *arguments])
    assert CODEC.decode_binary(messages[0]) == (type, namespace, id, [event, *arguments])


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=40),
    st.sampled_from([b"", around(b""), around(b"\x91" * 48), b"\x84\xa2id", message()[:-1]]),
)
def test_any_bytes_are_a_packet_or_refused(rest: bytes, beginning: bytes) -> None:
    """No other error ever leaves the decoder."""
    try:
        packet = CODEC.decode_binary(beginning + rest)
    except (PacketError, LimitError):
        return
    assert packet[0] in range(5)
