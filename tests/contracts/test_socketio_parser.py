"""Packets are read and written as the official parser does, but for the differences that are listed here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import official  # found by the line above under every import mode

from carboy.exceptions import RemoteError
from carboy.socketio.attachments import PartialPacket
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.msgpack_codec import MessagePackCodec
from carboy.socketio.packets import ACK, CONNECT, EVENT, RESERVED_EVENTS, DecoderLimits

LIMITS = DecoderLimits(
    max_attachments=3, max_attachment_bytes=1000, max_id_digits=19, max_namespace_length=20, max_depth=50
)
JSON = JSONCodec(limits=LIMITS)
MESSAGE_PACK = MessagePackCodec(limits=LIMITS)
REFUSED, INCOMPLETE = "refused", "incomplete"

ATTACHMENTS = [b"zero", b"", b"\xff\x00two"]
THOROUGHLY = settings(max_examples=int(os.environ.get("EXAMPLES", "100")), deadline=None)


@pytest.fixture(scope="module")
def parsers() -> Iterator[official.Parsers]:
    """The official parsers."""
    with official.parsers() as running:
        yield running


def ours(text: str) -> Any:
    """What our decoder makes of a text and as many attachments as it wants."""
    try:
        packet: Any = JSON.decode_text(text.encode())
        if isinstance(packet, PartialPacket):
            added = [packet.add(attachment) for attachment in ATTACHMENTS[: packet._count]]
            packet = added[-1]
    except RemoteError:
        return REFUSED
    if packet is None:
        return INCOMPLETE
    type, namespace, id, data = packet
    return [type, namespace, None if id is None else official.as_double(id), official.as_javascript(data)]


def theirs(parsers: official.Parsers, text: str) -> Any:
    """What the official decoder makes of the same."""
    question = {"messages": [text, *ATTACHMENTS], "maxAttachments": LIMITS.max_attachments}
    try:
        packet = parsers.ask("decodeJSON", question)
    except official.RefusedError:
        return REFUSED
    if packet is None:
        return INCOMPLETE
    type, namespace, id, data = packet
    return [type, namespace, None if id is None else official.as_double(id), official.as_javascript(data)]


SPACE = r"[\s\ufeff]"
PLACE = r"(?:[^-,\[{]*-)?(?:/[^,]*(?:,|\Z))?"
HEAD = rf"(?s)\A(?:[0-6]|{SPACE}){PLACE}"

DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "a type is a digit": (
        rf"\A(?:\Z|{SPACE})",
        ' {"token":"t"}',
        "JavaScript takes what is empty or blank for the number 0, and so for a CONNECT",
    ),
    "a number of attachments is digits": (
        r"(?s)\A[56](?!\d+-).*-",
        '51e0-["x"]',
        "JavaScript takes fractions, exponents, other bases and blanks for whole numbers",
    ),
    "an id is digits": (
        rf"{HEAD}\d*{SPACE}",
        '2 5["x"]',
        "JavaScript takes blanks within an id for digits",
    ),
    "an id has 19 digits at most": (
        rf"{HEAD}\d{{20,}}",
        "2" + "9" * 30 + '["x"]',
        "JavaScript rounds it, and acknowledges another id than the one that it was asked for",
    ),
    "an event has a name": (
        rf"(?s)\A[25]{PLACE}\d*\Z",
        "25",
        "the specification has it so; an EVENT without payload could call no handler",
    ),
    "a refusal has a reason": (
        rf"(?s)\A4{PLACE}\d*\Z",
        "4",
        "JavaScript has undefined there, which its own encoder never writes",
    ),
    "an acknowledgement without payload has no arguments": (
        rf"(?s)\A[36]{PLACE}\d*\Z",
        "35",
        "JavaScript has undefined there, Python an empty list",
    ),
    "the name of an event has no fraction": (
        rf"{HEAD}\d*{SPACE}*\[{SPACE}*-?\d+(?:\.|[eE])",
        "2[1.5]",
        "names are what handlers are registered under, and no handler is registered under a fraction",
    ),
    "a namespace has no query": (
        r"(?s)\A[0-6](?:\d+-)?/[^,]*\?",
        "0/a?token=x,",
        "clients of older protocols append one; Flask-SocketIO drops it too",
    ),
    "a namespace has a bounded name": (
        r"(?s)\A[0-6](?:\d+-)?/[^,]{20,}",
        "0/" + "n" * 30 + ",",
        "the option max_namespace_length; Node echoes a name of any length",
    ),
    "data have a bounded depth": (
        r"(?:[\[{][^\[{]*){51}",
        '2["x",' + "[" * 60 + "]" * 60 + "]",
        "the option max_depth",
    ),
    "an attachment has a whole number": (
        r'"num"\s*:\s*(?!\d+\s*[},])',
        '51-["x",{"_placeholder":true,"num":0.0}]',
        "a fraction names no attachment; JavaScript puts undefined in its place",
    ),
}
"""What we do otherwise on purpose: which texts may differ, one that does, and why."""


def explained(text: str) -> list[str]:
    """The names of the differences that a text may show."""
    return [name for name, (pattern, _, _) in DIFFERENCES.items() if re.search(pattern, text)]


@pytest.mark.parametrize("name", DIFFERENCES)
def test_difference_is_still_there(name: str, parsers: official.Parsers) -> None:
    """A difference that is listed shows in its example, and nothing else explains that one."""
    _, example, reason = DIFFERENCES[name]
    assert ours(example) != theirs(parsers, example), reason
    assert name in explained(example)


JSON_PIECES = st.sampled_from([
    "[", "]", "{", "}", ",", ":", '"', "\\", '"x"', '"connect"', "1", "-1", "1.5", "1e3", "1e999", "01",
    "null", "true", '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":2}',
    '{"_placeholder":true,"num":3}', '{"_placeholder":1,"num":0}', '{"_placeholder":true}', '"\\ud83d"',
    '"é\U0001f600"', '"\\u0000"', " ", "\n", "\t", "18446744073709551616", '{"a":1,"a":2}', "NaN", "\u2028",
])  # fmt: skip
HEAD_PIECES = st.sampled_from(
    [*"0123456789-/,?ab ", "/admin,", "1-", "2-", "3-", "4-", "0-", "1e0-", "\u0663", "\ufeff", "\U0001f600"]
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=6,
)
EVENT_NAMES = st.text(max_size=8).filter(lambda name: name not in RESERVED_EVENTS) | st.integers(0, 99)
NAMESPACES = st.just("/") | st.text("abc/é-", min_size=1, max_size=8).map("/".__add__)
IDS = st.none() | st.integers(0, 2**53)


def written(type: int, namespace: str, id: int | None, data: Any) -> str:
    """A packet as our encoder writes it."""
    text, _ = JSON.encode(type, namespace, id, data)
    assert text is not None
    return text.decode()


VALID = st.builds(written, st.sampled_from([EVENT, ACK]), NAMESPACES, IDS, st.builds(
    lambda name, arguments: [name, *arguments], EVENT_NAMES, st.lists(VALUES, max_size=3)
))  # fmt: skip
ASSEMBLED = st.builds(
    lambda digit, head, payload: digit + "".join(head) + "".join(payload),
    st.sampled_from("0123456"),
    st.lists(HEAD_PIECES, max_size=4),
    st.just([]) | st.lists(JSON_PIECES, max_size=6).map(lambda pieces: ["[", *pieces, "]"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A packet in which some places were cut out, doubled or replaced."""
    text = draw(VALID | ASSEMBLED)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 5)))
        text = (
            text[:start]
            + draw(st.just("") | JSON_PIECES | HEAD_PIECES | st.just(text[start:end] * 2))
            + text[end:]
        )
    return text


@THOROUGHLY
@given(text=VALID | ASSEMBLED | mutated())
def test_any_text_has_the_same_outcome(text: str, parsers: official.Parsers) -> None:
    """Both refuse it, both wait for more or both read the same packet, or a listed difference explains it."""
    mine, other = ours(text), theirs(parsers, text)
    assert mine == other or explained(text), (text, mine, other)


BINARY_VALUES = st.recursive(
    LEAVES | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=6,
)
PACKETS = st.builds(
    lambda kind, namespace, number, name, arguments: [kind, namespace, number, [name, *arguments]],
    st.sampled_from([EVENT, ACK]), NAMESPACES, IDS, EVENT_NAMES, st.lists(BINARY_VALUES, max_size=3),
) | st.builds(
    lambda namespace, data: [CONNECT, namespace, None, data],
    NAMESPACES,
    st.none() | st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=3),
)  # fmt: skip


@THOROUGHLY
@given(packet=PACKETS)
def test_every_packet_is_written_the_same(packet: list[Any], parsers: official.Parsers) -> None:
    """Text and attachments are theirs to the byte, but for the comma that we leave out nowhere."""
    text, attachments = JSON.encode(*packet)
    assert text is not None
    assert [text.decode(), *attachments] == parsers.ask("encodeJSON", packet)


@THOROUGHLY
@given(packet=PACKETS)
def test_message_pack_is_read_by_each_other(packet: list[Any], parsers: official.Parsers) -> None:
    """What one writes as MessagePack the other reads."""
    _, (message,) = MESSAGE_PACK.encode(*packet)
    assert parsers.ask("decodeMessagePack", message) == official.as_javascript(packet)
    (message,) = parsers.ask("encodeMessagePack", packet)
    assert official.as_javascript(list(MESSAGE_PACK.decode_binary(message))) == official.as_javascript(packet)
