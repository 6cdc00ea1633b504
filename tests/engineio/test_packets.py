"""The packets and frames are those of the protocol, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.engineio import packets


def test_packet_types_are_numbered_as_in_the_protocol() -> None:
    """The seven types are 0 to 6, as integers and as packets without data."""
    types = (
        packets.OPEN,
        packets.CLOSE,
        packets.PING,
        packets.PONG,
        packets.MESSAGE,
        packets.UPGRADE,
        packets.NOOP,
    )
    encoded = (
        packets.OPEN_PACKET,
        packets.CLOSE_PACKET,
        packets.PING_PACKET,
        packets.PONG_PACKET,
        packets.MESSAGE_PACKET,
        packets.UPGRADE_PACKET,
        packets.NOOP_PACKET,
    )
    assert types == (0, 1, 2, 3, 4, 5, 6)
    assert encoded == (b"0", b"1", b"2", b"3", b"4", b"5", b"6")


def test_open_packet_is_what_node_writes() -> None:
    """The open packet has exactly five keys in Node's order, and times in milliseconds."""
    packet = packets.encode_open("6FjYKlBYKEBblvy9AAAA", ["websocket"], 25, 20, 1_000_000)
    assert packet == (
        b'0{"sid":"6FjYKlBYKEBblvy9AAAA","upgrades":["websocket"],'
        b'"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
    )


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0.3, 300), (1.0005, 1000), (25.5, 25500), (0.0001, 1)]
)
def test_open_packet_honours_fractions_of_a_second(seconds: float, milliseconds: int) -> None:
    """Times are rounded to whole milliseconds and never to 0, on which a client would give up at once."""
    opened = json.loads(packets.encode_open("x", (), seconds, seconds, 1)[1:])
    assert (opened["pingInterval"], opened["pingTimeout"]) == (milliseconds, milliseconds)


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, "00"),
        (1, "01"),
        (125, "7d"),
        (126, "7e007e"),
        (127, "7e007f"),
        (65535, "7effff"),
        (65536, "7f0000000000010000"),
        (70000, "7f0000000000011170"),
    ],
)
def test_frame_has_the_shortest_length_field(length: int, head: str) -> None:
    """A frame's length takes 7, 16 or 64 bits, the fewest that do (RFC 6455 section 5.2)."""
    payload = b"x" * length
    assert packets.frame_text(payload) == bytes.fromhex("81" + head) + payload
    assert packets.frame_binary(payload) == bytes.fromhex("82" + head) + payload


@given(st.binary(max_size=300))
def test_frame_carries_any_payload(payload: bytes) -> None:
    """A frame ends with its payload, whatever it is, and text and binary differ in the opcode alone."""
    text, binary = packets.frame_text(payload), packets.frame_binary(payload)
    assert text.endswith(payload)
    assert (text[0], binary[0]) == (0x81, 0x82)
    assert text[1:] == binary[1:]
