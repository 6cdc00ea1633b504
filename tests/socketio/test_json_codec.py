"""Packets as text: the grammar, the limits, and what JSON libraries disagree about."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, namedtuple
from dataclasses import make_dataclass, replace
from datetime import date, datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from carboy.exceptions import LimitError, PacketError
from carboy.socketio import packets
from carboy.socketio.attachments import PartialPacket
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.packets import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, DecoderLimits, Packet

LIMITS = DecoderLimits(
    max_attachments=5, max_attachment_bytes=1000, max_id_digits=20, max_namespace_length=20, max_depth=50
)
CODEC = JSONCodec(limits=LIMITS)


class Custom:
    """Writes and reads as the standard library does, and leaves letters as they are."""

    def dumps(self, data: Any, **options: Any) -> str:
        """Returns text that may hold lone surrogates."""
        return json.dumps(data, ensure_ascii=False, **options)

    def loads(self, text: str) -> Any:
        """Reads the constants NaN and Infinity too."""
        return json.loads(text)


STANDARD = JSONCodec(limits=LIMITS, json=Custom())
BOTH = pytest.mark.parametrize("codec", [CODEC, STANDARD], ids=["default", "custom"])


Pair = namedtuple("Pair", "left right")  # noqa: PYI024  # a tuple subclass, its types are beside the point
Colour = enum.Enum("Colour", {"RED": b"\xff\x00\x00"})
Point = make_dataclass("Point", ["x"])


def read(message: str | bytes, offset: int = 0, codec: JSONCodec = CODEC) -> Packet:
    """Decodes what must be a complete packet."""
    packet = codec.decode_text(message.encode() if isinstance(message, str) else message, offset)
    assert isinstance(packet, tuple)
    return packet


def write(data: Any, codec: JSONCodec = CODEC) -> str:
    """Encodes an event with one argument that needs no attachments, and returns the JSON of the argument."""
    text, attachments = codec.encode(EVENT, "/", None, ["x", data])
    assert text is not None
    assert attachments == ()
    assert text.startswith(b'2["x",')
    return text[6:-1].decode()


ENCODED = [
    ((CONNECT, "/", None, None), "0"),
    ((CONNECT, "/admin", None, {"sid": "abc"}), '0/admin,{"sid":"abc"}'),
    ((CONNECT, "/admin", None, None), "0/admin,"),
    ((DISCONNECT, "/", None, None), "1"),
    ((DISCONNECT, "/admin", None, None), "1/admin,"),
    ((EVENT, "/", None, ["echo", "x"]), '2["echo","x"]'),
    ((EVENT, "/", 0, ["echo"]), '20["echo"]'),
    ((EVENT, "/admin", None, ["echo", 1]), '2/admin,["echo",1]'),
    ((EVENT, "/admin", 13, ["echo", 1]), '2/admin,13["echo",1]'),
    ((EVENT, "/", None, [1, 2]), "2[1,2]"),
    ((ACK, "/", 13, []), "313[]"),
    ((ACK, "/admin", 13, ["ok"]), '3/admin,13["ok"]'),
    ((CONNECT_ERROR, "/", None, {"message": "no"}), '4{"message":"no"}'),
    ((CONNECT_ERROR, "/admin", None, {"message": "no"}), '4/admin,{"message":"no"}'),
    ((EVENT, "/", None, ["é", "😀"]), '2["é","😀"]'),
]


@BOTH
@pytest.mark.parametrize(("packet", "text"), ENCODED, ids=[text for _, text in ENCODED])
def test_a_packet_is_written_and_read_as_node_does(packet: Packet, text: str, codec: JSONCodec) -> None:
    """The text is that of the reference, after any prefix, and it reads back from any offset."""
    encoded, attachments = codec.encode(*packet, prefix=b"4")
    assert (encoded, attachments) == (b"4" + text.encode(), ())
    assert read(text, codec=codec) == packet
    assert read("4" + text, 1, codec) == packet


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0/admin", (CONNECT, "/admin", None, None)),
        ("1/admin", (DISCONNECT, "/admin", None, None)),
        ("0/admin?token=x,{}", (CONNECT, "/admin", None, {})),
        ("0/?x=1", (CONNECT, "/", None, None)),
        ("0/,", (CONNECT, "/", None, None)),
        ('2/,["x"]', (EVENT, "/", None, ["x"])),
        ('2007["x"]', (EVENT, "/", 7, ["x"])),
        ('2 ["x"]', (EVENT, "/", None, ["x"])),
        ("3[]", (ACK, "/", None, [])),
        ("35", (ACK, "/", 5, [])),
        ('2["x",{"_placeholder":true,"num":0}]', (EVENT, "/", None, ["x", {"_placeholder": True, "num": 0}])),
        ('2["x",{"a":1,"a":2}]', (EVENT, "/", None, ["x", {"a": 2}])),
        ('4"no"', (CONNECT_ERROR, "/", None, "no")),
        ("2" + "9" * 20 + '["x"]', (EVENT, "/", int("9" * 20), ["x"])),
    ],
)
def test_what_others_write_differently_is_read(text: str, packet: Packet) -> None:
    """Forms that our encoder never writes."""
    assert read(text) == packet
    assert read(text, codec=STANDARD) == packet


REFUSED = [
    "", "7", "x", "-1", "2", "2[", '2["x"', '2["x"]]', '2["x",]', "2[]", "2{}", "2null", "2[null]",
    "2[true]", "2[1.5]", '2[["x"]]', '2[{"toString":1}]', '2["connect"]', '21["disconnect"]',
    '2/a,["newListener"]', "2/admin", "25", "0[]", "0null", "01[]", '0"x"', "0/admin,[]", "1{}",
    "1/admin,[]", "3{}", "3null", "31{}", "3/a,null", "4", "4[]", '2+1["x"]', '2-1["x"]', '21_0["x"]',
    '2 5["x"]', '2٣["x"]', '25-["x"]', '2["x",01]', '2["x","\t"]', "2['x']", '2["x",' + "9" * 4301 + "]",
    '2["x","\\ud83d",' + "9" * 4301 + "]", '2["x","\\ud83d",' + "[" * 40, "2" + "9" * 21 + '["x"]',
    '5["x"]', '50-["x"]', '5-["x"]', '51["x"]', '51e0-["x"]', '5-1-["x"]', '5 1-["x"]', "51-",
    '51-["connect"]', "51-{}", "61-{}", '6["x"]', "60-[]", "5" + "0" * 21 + '1-["x"]',
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("text", REFUSED, ids=[text[:20] for text in REFUSED])
def test_what_is_no_packet_is_refused_with_a_short_message(text: str, codec: JSONCodec) -> None:
    """The peer is at fault, and what it sent is not echoed at length."""
    with pytest.raises(PacketError) as raised:
        codec.decode_text(text.encode())
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize("text", ['2["x",NaN]', '2["x",Infinity]', '21["x",-Infinity]', '2["\\ud83d",NaN]'])
def test_constants_that_only_python_writes_are_refused(text: str) -> None:
    """Also where the standard library reads, which would take them."""
    with pytest.raises(PacketError):
        CODEC.decode_text(text.encode())


@pytest.mark.parametrize("message", [b'2["x","\xff"]', b'2["x","\xed\xa0\xbd"]', b'2/\xff,["x"]', b"\xff"])
def test_what_is_not_utf_8_is_refused(message: bytes) -> None:
    """Also surrogates that were encoded as if they were characters."""
    with pytest.raises(PacketError):
        CODEC.decode_text(message)


def test_a_binary_message_belongs_to_no_packet() -> None:
    """In this encoding it can only be an attachment."""
    with pytest.raises(PacketError):
        CODEC.decode_binary(b"\x00")


def test_whatever_a_custom_module_raises_at_its_input_is_the_fault_of_the_peer() -> None:
    """Such a module has errors of its own."""

    class Broken:
        def loads(self, text: str) -> Any:
            assert isinstance(text, str)
            raise LookupError(text)

    with pytest.raises(PacketError):
        JSONCodec(limits=LIMITS, json=Broken()).decode_text(b'2["x"]')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("9" * 400, int("9" * 400)),
        ('"\\ud83d"', "\ud83d"),
        ('"a\\ude00b"', "a\ude00b"),
        ('"\\ud83d\\ude00"', "😀"),
        ("1e999", math.inf),
        ("1.0", 1.0),
    ],
)
@pytest.mark.parametrize("head", ["2", "25", "2/admin,"])
def test_what_the_standard_library_reads_is_read_the_same(head: str, text: str, value: Any) -> None:
    """Integers keep their digits, and a string that was cut inside an emoji costs nobody the connection."""
    read_value = read(f'{head}["x",{text}]')[3][1]
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        ("\ud83d", '"\\ud83d"'),
        (["é\ud83d"], '["é\\ud83d"]'),
        ({1: 2, None: 3, False: 4, 1.5: 5}, '{"1":2,"null":3,"false":4,"1.5":5}'),
        (math.nan, "null"),
        ([math.inf, -math.inf], "[null,null]"),
        ([math.nan, 2**64, {"a": math.inf}], '[null,18446744073709551616,{"a":null}]'),
        (Markup("<b>"), '"<b>"'),
        (Pair(1, 2), "[1,2]"),
        ((1, (2, 3)), "[1,[2,3]]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (datetime(2024, 5, 6, tzinfo=timezone.utc), '"2024-05-06T00:00:00+00:00"'),
        ([2**64, date(2024, 5, 6), Point(1)], '[18446744073709551616,"2024-05-06",{"x":1}]'),
    ],
)
def test_every_value_with_a_json_form_is_written(value: Any, text: str) -> None:
    """What orjson refuses the standard library writes, and what orjson alone takes may stand beside it."""
    assert write(value) == text


def test_a_custom_module_writes_without_spaces_and_may_return_bytes() -> None:
    """A module will do, and lone surrogates are escaped here too."""

    class Bytes:
        def dumps(self, data: Any, **options: Any) -> bytes:
            return json.dumps(data, **options).encode()

    assert write({"a": [1, "é"]}, JSONCodec(limits=LIMITS, json=json)) == '{"a":[1,"\\u00e9"]}'
    assert write({"a": [1, 2]}, JSONCodec(limits=LIMITS, json=Bytes())) == '{"a":[1,2]}'
    assert write("é\ud83d", STANDARD) == '"é\\ud83d"'


@BOTH
@pytest.mark.parametrize(
    ("value", "name"),
    [({1, 2}, "set"), (object(), "object"), ([2**64, object()], "object"), ({(1, 2): 3}, "tuple")],
)
def test_what_has_no_json_form_raises_and_names_the_type(value: Any, name: str, codec: JSONCodec) -> None:
    """The caller hears which of its values is meant."""
    with pytest.raises(TypeError, match=name):
        codec.encode(EVENT, "/", None, ["x", value])


@BOTH
def test_data_that_contain_themselves_raise_value_error(codec: JSONCodec) -> None:
    """Never a RecursionError, whether they hold bytes or not."""
    circular: list[Any] = [b"x"]
    circular.append(circular)
    with pytest.raises(ValueError, match="contain themselves"):
        codec.encode(EVENT, "/", None, ["x", circular])


@BOTH
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([b"0", b"1"], "#,#"),
        ([(b"0", [b"1"])], "[#,[#]]"),
        ([{"b": b"0", "a": bytearray(b"1")}], '{"b":#,"a":#}'),
        ([2**64, b"0", memoryview(b"1")], "18446744073709551616,#,#"),
        ([b"0", "\ud83d", b"1"], '#,"\\ud83d",#'),
        ([Pair(b"0", b"1")], "[#,#]"),
    ],
)
def test_bytes_become_attachments_in_order(data: list[Any], text: str, codec: JSONCodec) -> None:
    """That of their appearance, depth first; after a pass that was given up each is sent once."""
    encoded, attachments = codec.encode(EVENT, "/", None, ["x", *data], b"4")
    for number in range(2):
        text = text.replace("#", f'{{"_placeholder":true,"num":{number}}}', 1)
    assert encoded == f'452-["x",{text}]'.encode()
    assert attachments == (b"0", b"1")


def test_bytes_within_what_only_orjson_takes_become_attachments() -> None:
    """Members of enumerations and dataclasses, also where the standard library writes the rest."""
    expected = b'52-["x",{"x":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]'
    data = ["x", Point(b"1"), Colour.RED]
    assert CODEC.encode(EVENT, "/", None, data) == (expected, (b"1", Colour.RED.value))
    expected = expected[:-1] + b",18446744073709551616]"
    assert CODEC.encode(EVENT, "/", None, [*data, 2**64]) == (expected, (b"1", Colour.RED.value))


@pytest.mark.parametrize(
    ("type", "namespace", "id", "head"),
    [
        (EVENT, "/", None, "51-"), (EVENT, "/", 5, "51-5"), (ACK, "/", 5, "61-5"), (ACK, "/a", 5, "61-/a,5"),
    ],
)  # fmt: skip
def test_a_binary_packet_is_announced(type: int, namespace: str, id: int | None, head: str) -> None:
    """The number comes first, then the namespace, then the id; what is read back is no BINARY type."""
    text, attachments = CODEC.encode(type, namespace, id, ["x", b"\x01"])
    assert text == head.encode() + b'["x",{"_placeholder":true,"num":0}]'
    partial = CODEC.decode_text(text)
    assert isinstance(partial, PartialPacket)
    assert partial.add(attachments[0]) == (type, namespace, id, ["x", b"\x01"])


@pytest.mark.parametrize("type", [CONNECT, CONNECT_ERROR])
def test_only_events_and_acks_carry_bytes(type: int) -> None:
    """The protocol has no binary form of the other packets."""
    with pytest.raises(TypeError, match="bytes"):
        CODEC.encode(type, "/", None, {"data": b"x"})


def test_a_binary_ack_may_have_no_payload() -> None:
    """As an ACK without payload, it has no arguments."""
    partial = CODEC.decode_text(b"61-5")
    assert isinstance(partial, PartialPacket)
    assert partial.add(b"x") == (ACK, "/", 5, [])


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ('56-["x"]', "max_attachments"),
        ('599999999999999999999-["x"]', "max_attachments"),
        ("0/" + "n" * 20, "max_namespace_length"),
        ("2/" + "n" * 1_000_000, "max_namespace_length"),
        ('2["x",' + "[" * 50 + "]" * 51, "max_depth"),
        ('2["x",' + '{"a":' * 50 + "1" + "}" * 50 + "]", "max_depth"),
        ('2/admin,["x",' + "[" * 50 + "]" * 51, "max_depth"),
        ('25["x","\\"]\\\\]",' + "[" * 50 + "]" * 51, "max_depth"),
        ('2["x","' + "]" * 99 + '",' + "[" * 50 + "]" * 51, "max_depth"),
        ("2" + "[" * 1_000_000, "max_depth"),
        ('2["\\ud83d",' + "[" * 100_000, "max_depth"),
    ],
    ids=lambda text: text[:20],
)
@BOTH
def test_a_packet_past_a_limit_names_the_option(text: str, option: str, codec: JSONCodec) -> None:
    """The limits are checked before the work, whoever reads the JSON."""
    with pytest.raises(LimitError) as raised:
        codec.decode_text(text.encode())
    assert raised.value.option == option
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize(
    "text",
    [
        '2["x",' + "[" * 49 + "]" * 50,
        '2["x","' + "[" * 99 + '"]',
        '2["x","\\"' + "[" * 99 + '"]',
        '2["x","\\\\","' + "[{" * 99 + '\\\\"]',
        '2["x"' + ",[]" * 99 + "]",
        '2["[","]","[[","\\\\\\"[["' + ",[{}]" * 99 + "]",
        '55-["x"]',
        "2/" + "n" * 19 + ',["x"]',
    ],
    ids=lambda text: text[:20],
)
def test_a_packet_at_a_limit_is_read(text: str) -> None:
    """Brackets in strings are no nesting, nor are arrays that stand beside each other."""
    assert CODEC.decode_text(text.encode())


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDBFF)) | st.binary(max_size=20)
)  # fmt: skip
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
EVENTS = st.text(max_size=10).filter(lambda name: name not in packets.RESERVED_EVENTS) | st.integers()
NAMES = st.text(st.characters(exclude_characters=",?", codec="utf-8"), max_size=19)
IDS = st.none() | st.integers(0, 10**20 - 1)
WIDE = JSONCodec(limits=replace(LIMITS, max_attachments=99))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([EVENT, ACK]), NAMES, IDS, EVENTS, st.lists(DATA, max_size=3))
def test_every_packet_reads_back_as_it_was_written(
    type: int, name: str, id: int | None, event: str | int, arguments: list[Any]
) -> None:
    """With any namespace, id and data, with attachments and without."""
    written = (type, "/" + name, id, [event, *arguments])
    text, attachments = WIDE.encode(*written, prefix=b"4")
    packet: Any = WIDE.decode_text(text or b"", 1)
    if attachments:
        *_, packet = [packet.add(attachment) for attachment in attachments]
    assert packet == written


FRAGMENTS = st.sampled_from([
    b"0", b"1", b"2", b"5", b"6", b"-", b"/", b"/a", b",", b"?", b"[", b"]", b"{", b"}", b'"', b'["x"', b"\\",
    b"\\ud83d", b'{"_placeholder":true,"num":0}', b"null", b"NaN", b"1e9", b".", b" ", b"\xff", b"\xc3\xa9",
    b"9" * 25, b"[" * 60,
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=30) | st.lists(FRAGMENTS).map(b"".join), st.sampled_from([CODEC, STANDARD]))
def test_any_bytes_are_a_packet_or_refused(message: bytes, codec: JSONCodec) -> None:
    """No other error ever leaves the decoder."""
    try:
        packet = codec.decode_text(message)
    except (PacketError, LimitError):
        return
    assert isinstance(packet, PartialPacket) or packet[0] in range(5)
