"""Bodies of long-polling are read leniently where Node does, and never beyond their bounds."""

from __future__ import annotations

import contextlib
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.engineio.payloads import (
    decode_binary,
    decode_jsonp,
    decode_payload,
    encode_binary,
    encode_jsonp,
    encode_payload,
)
from carboy.exceptions import LimitError, PacketError

TEXT_PACKETS = st.builds(
    lambda packet_type, data: b"%d" % packet_type + data.replace(b"\x1e", b""),
    st.integers(0, 6),
    st.binary(max_size=30),
)


def decode(body: bytes) -> list[tuple[bool, bytes]]:
    """Decodes with the bounds that are the options' defaults."""
    return decode_payload(body, max_bytes=1_000_000, max_packets=100_000)


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"4hello", [(False, b"4hello")]),
        (b"40\x1e42[1]", [(False, b"40"), (False, b"42[1]")]),
        (b"4", [(False, b"4")]),
        (b"2probe", [(False, b"2probe")]),
        (b"bAQIDBA==", [(True, b"\x01\x02\x03\x04")]),
        (b"4a\x1ebAQID\x1e6", [(False, b"4a"), (True, b"\x01\x02\x03"), (False, b"6")]),
        (b"4\xff\xfe", [(False, b"4\xff\xfe")]),
        ("4€".encode(), [(False, "4€".encode())]),
    ],
)
def test_body_is_taken_apart(body: bytes, packets: list[tuple[bool, bytes]]) -> None:
    """Text packets keep their type and their bytes, binary ones are decoded."""
    assert decode(body) == packets


@pytest.mark.parametrize(
    "body",
    [b"", b"\x1e", b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b", b"7", b"x", b"B", b" 4", b"\xff", b"4a\x1e9"],
)
def test_body_that_holds_no_packet_is_refused(body: bytes) -> None:
    """An empty body, an empty packet and an unknown type are errors of the peer."""
    with pytest.raises(PacketError):
        decode(body)


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (b"b", b""),
        (b"b=", b""),
        (b"bAQID", b"\x01\x02\x03"),
        (b"bAQIDBB", b"\x01\x02\x03\x04"),
        (b"bAQ==", b"\x01"),
        (b"bAQ", b"\x01"),
        (b"bAQI", b"\x01\x02"),
        (b"bAQI=", b"\x01\x02"),
        (b"b+/8=", b"\xfb\xff"),
        (b"b-_8", b"\xfb\xff"),
        (b"bAQ\r\nID \tBA==\n", b"\x01\x02\x03\x04"),
    ],
)
def test_base64_is_read_leniently(packet: bytes, data: bytes) -> None:
    """The URL-safe alphabet, missing padding and whitespace are taken, as in Node."""
    assert decode_binary(packet) == data


@pytest.mark.parametrize(
    "packet", [b"bA", b"b!!!!", b"bAQ=ID", b"bAQID====", b"bA===", b"bAQ===", b"b\xff\xff\xff\xff", b"bAQ.="]
)
def test_base64_garbage_is_refused(packet: bytes) -> None:
    """What is not base64 is an error of the peer; nothing is skipped."""
    with pytest.raises(PacketError):
        decode_binary(packet)


@given(st.binary(max_size=200))
def test_binary_message_survives_the_way(data: bytes) -> None:
    """Any bytes come back from their text form, with and without padding."""
    packet = encode_binary(data)
    assert packet[:1] == b"b"
    assert decode_binary(packet) == decode_binary(packet.rstrip(b"=")) == data


@given(st.lists(st.one_of(TEXT_PACKETS, st.binary(max_size=30).map(encode_binary)), min_size=1, max_size=20))
def test_payload_survives_the_way(packets: list[bytes]) -> None:
    """What was joined is taken apart in the same order."""
    decoded = decode(encode_payload(packets))
    assert [encode_binary(data) if binary else data for binary, data in decoded] == packets


@given(st.binary(max_size=200), st.integers(1, 100), st.integers(1, 5))
def test_any_body_is_accepted_or_refused(body: bytes, max_bytes: int, max_packets: int) -> None:
    """Whatever a peer posts is accepted within the bounds, or is its error."""
    try:
        decoded = decode_payload(body, max_bytes=max_bytes, max_packets=max_packets)
    except (PacketError, LimitError):
        return
    assert len(body) <= max_bytes
    assert 1 <= len(decoded) <= max_packets


def test_body_at_its_bounds_is_accepted() -> None:
    """The bounds themselves are allowed."""
    assert len(decode_payload(b"4\x1e4\x1e4", max_bytes=5, max_packets=3)) == 3


@pytest.mark.parametrize(
    ("body", "option"), [(b"!" * 11, "max_http_buffer_size"), (b"!\x1e!\x1e!\x1e!", "max_payload_packets")]
)
def test_body_beyond_its_bounds_is_refused_unread(body: bytes, option: str) -> None:
    """The bounds come before everything else, and the error names the option to change."""
    with pytest.raises(LimitError) as caught:
        decode_payload(body, max_bytes=10, max_packets=3)
    assert caught.value.option == option


@pytest.mark.parametrize(
    "body",
    [
        b"4" + b"\x1e4" * 99_999,
        b"b" + b"A" * 999_996,
        b"4" + b"[" * 999_999,
        b"b" + b"=" * 999_999,
        b"\x1e" * 99_999,
    ],
)
def test_body_is_read_in_linear_time(body: bytes) -> None:
    """A million bytes cost a fraction of a second, whatever they are."""
    start = time.process_time()
    with contextlib.suppress(PacketError):
        decode(body)
    assert time.process_time() - start < 1


def test_jsonp_answer_calls_the_callback_of_the_client() -> None:
    """The script has Node's form."""
    assert encode_jsonp(b'42["a"]', 3) == b'___eio[3]("42[\\"a\\"]");'


@given(st.text(max_size=50), st.integers(0, 100))
def test_jsonp_answer_is_a_script_and_no_html(text: str, index: int) -> None:
    """The argument is the payload as a JavaScript string, without "<" and the line ends that JSON allows."""
    payload = text.encode("utf-8", "replace")
    script = encode_jsonp(payload, index).decode()
    head = f"___eio[{index}]("
    assert script.startswith(head)
    assert not {"<", "\u2028", "\u2029", "\n", "\r"} & set(script)
    assert json.loads(script[len(head) : -2]).encode() == payload


def post_jsonp(payload: str) -> bytes:
    """Builds the form as the JavaScript client does: it escapes line breaks, and the browser url-encodes."""
    return b"d=" + quote(payload.replace("\\n", "\\\\n").replace("\n", "\\n"), safe="").encode()


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"d=4hello", b"4hello"),
        (b"d=", b""),
        (b"d=4a+b%2Bc", b"4a b+c"),
        (b"d=4%5Cn", b"4\n"),
        (b"d=4%5C%5Cn", b"4\\n"),
        (b"d=4%C3%A9", "4é".encode()),
        (b"x=1&d=4&d=5", b"4"),
        (b"d=4%zz", b"4%zz"),
    ],
)
def test_jsonp_form_is_unescaped(body: bytes, payload: bytes) -> None:
    """The field d is url-decoded, and its escaped line breaks are undone."""
    assert decode_jsonp(body) == payload


@given(st.text(alphabet='4a"\n\u00e9\x1e %+&=', max_size=50))
def test_jsonp_form_survives_the_way(payload: str) -> None:
    """What the client wrote comes back, line breaks included."""
    assert decode_jsonp(post_jsonp(payload)) == payload.encode()


def test_escaped_newline_in_jsonp_data_survives_the_way() -> None:
    """A backslash and "n" in the data, as JSON has them, are no line break."""
    assert decode_jsonp(post_jsonp('42["a\\nb"]\n')) == b'42["a\\nb"]\n'


@pytest.mark.parametrize("body", [b"", b"4hello", b"e=4", b"xd=4", b"&"])
def test_jsonp_form_without_its_field_is_refused(body: bytes) -> None:
    """A form without the field d is an error of the peer."""
    with pytest.raises(PacketError):
        decode_jsonp(body)


@given(st.binary(max_size=100))
def test_any_jsonp_form_is_accepted_or_refused(body: bytes) -> None:
    """Whatever a peer posts is decoded, or is its error."""
    try:
        decode_jsonp(b"d=" + body)
        decode_jsonp(body)
    except PacketError:
        return
