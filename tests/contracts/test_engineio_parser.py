"""Polling bodies are read and written as by the official parser, but for the differences that are listed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import official  # found by the line above under every import mode

from carboy.engineio.payloads import decode_payload, encode_binary, encode_payload
from carboy.exceptions import RemoteError

TYPES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")
MAX_BYTES, MAX_PACKETS = 200, 5
REFUSED = "refused"


@pytest.fixture(scope="module")
def parsers() -> Iterator[official.Parsers]:
    """The official parsers."""
    with official.parsers() as running:
        yield running


def ours(body: str) -> Any:
    """What we make of a body."""
    try:
        packets = decode_payload(body.encode(), max_bytes=MAX_BYTES, max_packets=MAX_PACKETS)
    except RemoteError:
        return REFUSED
    return [
        ["message", data] if binary else [TYPES[data[0] - ord("0")], data[1:].decode()]
        for binary, data in packets
    ]


def theirs(parsers: official.Parsers, body: str) -> Any:
    """What the official parser makes of it; a packet that is none makes it stop."""
    packets = parsers.ask("decodePayload", body)
    return REFUSED if any(type == "error" for type, _ in packets) else packets


def is_loose_base64(body: str) -> bool:
    """Whether a binary packet of the body is one that we refuse."""
    return any(packet[:1] == "b" and ours(packet) == REFUSED for packet in body.split("\x1e"))


DIFFERENCES: dict[str, tuple[Any, str, str]] = {
    "base64 is base64": (
        is_loose_base64,
        "bAQ!D",
        "JavaScript skips what it does not know and stops at padding: data change silently",
    ),
    "a body has a bounded size": (
        lambda body: len(body.encode()) > MAX_BYTES,
        "4" * 201,
        "the option max_http_buffer_size; in Node it is checked elsewhere",
    ),
    "a body has a bounded number of packets": (
        lambda body: body.count("\x1e") >= MAX_PACKETS,
        "\x1e".join("444444"),
        "the option max_payload_packets",
    ),
}
"""What we do otherwise on purpose: which bodies may differ, one that does, and why."""


@pytest.mark.parametrize("name", DIFFERENCES)
def test_difference_is_still_there(name: str, parsers: official.Parsers) -> None:
    """A difference that is listed shows in its example."""
    applies, example, reason = DIFFERENCES[name]
    assert ours(example) == REFUSED != theirs(parsers, example), reason
    assert applies(example)


PIECES = st.sampled_from([
    "\x1e", "4", "b", "0", "6", "7", "2probe", '42["x"]', "AQ", "AQI", "AQID", "=", "==", "-_", "+/", "\n",
    " ", "!", "é", "\U0001f600", "\x00",
])  # fmt: skip
PACKET = st.builds("{}{}".format, st.integers(0, 6), st.text(max_size=5)) | st.binary(max_size=9).map(
    lambda data: encode_binary(data).decode()
)
BODIES = st.lists(PACKET | st.lists(PIECES, max_size=4).map("".join), max_size=6).map("\x1e".join)


@settings(max_examples=int(os.environ.get("EXAMPLES", "100")), deadline=None)
@given(body=BODIES | st.lists(PIECES, max_size=8).map("".join))
def test_any_body_has_the_same_outcome(body: str, parsers: official.Parsers) -> None:
    """Both refuse it or read the same packets, or a listed difference explains it."""
    mine, other = ours(body), theirs(parsers, body)
    assert mine == other or any(applies(body) for applies, _, _ in DIFFERENCES.values()), (body, mine, other)


@settings(max_examples=100, deadline=None)
@given(messages=st.lists(st.text(max_size=8) | st.binary(max_size=9), min_size=1, max_size=5))
def test_every_body_is_written_the_same(messages: list[str | bytes], parsers: official.Parsers) -> None:
    """The body is theirs to the byte."""
    packets = [encode_binary(m) if isinstance(m, bytes) else b"4" + m.encode() for m in messages]
    assert encode_payload(packets).decode() == parsers.ask("encodePayload", messages)
