"""RFC 6455 by its sections, as the Autobahn test suite examines them, and Socket.IO on top of it."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import raw
from attacked import Target
from raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_body, frame

EVENT = '421["echo","%s"]'


def echo(client: raw.Client, argument: str = "x") -> None:
    """See to it that the connection works."""
    client.send_text(EVENT % argument)
    assert client.read_text() == f'431["{argument}"]'


def chopped(client: raw.Client, data: bytes, size: int) -> None:
    """Send bytes a few at a time."""
    for begin in range(0, len(data), size):
        client.send(data[begin : begin + size])


# Section 5.2: framing


@pytest.mark.parametrize(
    "size", [0, 1, 100, 109, 110, 111, 125, 126, 127, 128, 65_519, 65_520, 65_535, 65_536, 200_000]
)
@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "binary"])
def test_message_of_any_size_comes_back(target: Target, kind: int, size: int) -> None:
    """The three forms of a length, and the sizes at their borders."""
    with target.site.websocket() as client:
        if kind == TEXT:
            echo(client, "*" * size)
        else:
            client.send_text('451-1["echo",{"_placeholder":true,"num":0}]')
            client.send(frame(BINARY, b"\xfe" * size))
            assert client.read_text() == '461-1[{"_placeholder":true,"num":0}]'
            assert client.read_frame() == (BINARY, b"\xfe" * size)


@pytest.mark.parametrize("size", [1, 2, 997])
def test_frames_in_pieces_are_the_same(target: Target, size: int) -> None:
    """However TCP cuts them."""
    with target.site.websocket() as client:
        chopped(client, frame(TEXT, (EVENT % ("y" * 2000)).encode()), size)
        assert client.read_text() == f'431["{"y" * 2000}"]'


# Sections 5.5.2 and 5.5.3: pings and pongs


@pytest.mark.parametrize("payload", [b"", b"now", bytes(range(125))], ids=["empty", "text", "125 bytes"])
@pytest.mark.parametrize("piece", [1000, 1])
def test_ping_is_answered_with_its_payload(target: Target, payload: bytes, piece: int) -> None:
    """Whatever it holds, in one piece or many."""
    with target.site.websocket() as client:
        chopped(client, frame(PING, payload), piece)
        assert client.read_frame() == (PONG, payload)


def test_many_pings_are_answered_in_order(target: Target) -> None:
    """Ten in one write."""
    with target.site.websocket() as client:
        client.send(b"".join(frame(PING, b"%d" % number) for number in range(10)))
        assert [client.read_frame() for _ in range(10)] == [(PONG, b"%d" % number) for number in range(10)]


@pytest.mark.parametrize("payload", [b"", b"unasked"])
def test_pongs_that_nobody_asked_for_are_ignored(target: Target, payload: bytes) -> None:
    """Also many of them."""
    with target.site.websocket() as client:
        client.send(frame(PONG, payload) * 100)
        echo(client)


# Broken rules: section 7.1.7 has the connection failed, 7.4.1 the code

START = frame(TEXT, b'421["echo",', fin=False)
BAD_UTF8 = {
    "a byte that is none": b"\xff",
    "a continuation without a start": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong zero": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "a character that is cut off": b"\xce\xba\xe1\xbd",
}
RESERVED = {
    f"{name} with the reserved bits {bits:03b}": (frame(opcode, payload, reserved=bits), 1002)
    for bits in range(1, 8)
    for name, opcode, payload in [("text", TEXT, b"3"), ("a ping", PING, b""), ("a close", CLOSE, b"")]
}
OPCODES = {
    f"the opcode {opcode}": (frame(opcode, b"3"), 1002) for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
}
FRAMING = {
    "a frame without a mask": (frame(TEXT, b"3", masked=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (frame(PING, b"x", fin=False) + frame(CONTINUATION, b"x"), 1002),
    "a pong in fragments": (frame(PONG, b"x", fin=False) + frame(CONTINUATION, b"x"), 1002),
    "a close in fragments": (frame(CLOSE, close_body(1000), fin=False), 1002),
    "a length in more bytes than it needs": (b"\x81\xfe\x00\x01\x00\x00\x00\x003", 1002),
    "a length in eight bytes where two do": (b"\x81\xff" + (200).to_bytes(8, "big") + bytes(4), 1002),
    "a length with its highest bit": (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1002),
    "a length of 2 GiB": (b"\x82\xff" + (1 << 31).to_bytes(8, "big") + bytes(4), 1009),
    "a message over the bound": (frame(TEXT, b"4" * 1_000_001)[:100], 1009),
    "fragments over the bound": (
        frame(BINARY, bytes(600_000), fin=False) + frame(CONTINUATION, bytes(600_000), fin=False),
        1009,
    ),
    "too many fragments": (frame(TEXT, b"4", fin=False) + frame(CONTINUATION, b"", fin=False) * 1100, 1009),
    "an empty text": (frame(TEXT, b""), 1002),
}
FRAGMENTS = {
    "a continuation of nothing": (frame(CONTINUATION, b"3"), 1002),
    "a continuation of nothing, to be continued": (frame(CONTINUATION, b"3", fin=False), 1002),
    "a continuation behind a whole message": (frame(TEXT, b"3") + frame(CONTINUATION, b"3"), 1002),
    "a text inside a text": (START + frame(TEXT, b"3"), 1002),
    "a binary inside a text": (START + frame(BINARY, b"3"), 1002),
    "a text in fragments inside a text": (START + frame(TEXT, b"3", fin=False), 1002),
    "a text inside a text behind a ping": (START + frame(PONG, b"") + frame(TEXT, b"3"), 1002),
}
TEXTS = {
    f"{name}, {place}": (b"".join(frames), 1007)
    for name, data in BAD_UTF8.items()
    for place, frames in {
        "whole": [frame(TEXT, b'42["echo","' + data + b'"]')],
        "in the last fragment": [START, frame(CONTINUATION, b'"' + data + b'"]')],
        "across fragments": [
            START,
            frame(CONTINUATION, b'"' + data[:1], fin=False),
            frame(CONTINUATION, data[1:] + b'"]'),
        ],
    }.items()
}
CLOSES = {
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close whose reason is not UTF-8": (frame(CLOSE, close_body(1000, b"\xce\xba\xe1\xbd")), 1007),
    "a close of 126 bytes": (frame(CLOSE, close_body(1000, b"x" * 124)), 1002),
    **{
        f"a close with the code {code}": (frame(CLOSE, close_body(code)), 1002)
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
    },
}
BROKEN = {**RESERVED, **OPCODES, **FRAMING, **FRAGMENTS, **TEXTS, **CLOSES}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_peer_that_breaks_a_rule_is_told_the_code_and_is_gone(target: Target, data: bytes, code: int) -> None:
    """Close frame, end, one line, one disconnect handler; nothing behind the broken rule is read."""
    with target.site.websocket() as client:
        client.send(data + frame(TEXT, b'42["tell"]'))
        assert client.read_close() == code
        assert client.closed()
        assert target.site.reason() == "transport error"
        assert target.site.seen.empty()
    (line,) = target.lines.texts
    assert line.startswith("Closing the websocket from 127.0.0.1: ")
    assert ("option" in line) == (code == 1009)


# Section 5.4: fragments that obey


@pytest.mark.parametrize("count", [2, 3, 10, 500])
@pytest.mark.parametrize(
    "between", [b"", frame(PING, b"p"), frame(PONG, b"")], ids=["nothing", "ping", "pong"]
)
def test_message_may_come_in_fragments_with_control_frames_between(
    target: Target, count: int, between: bytes
) -> None:
    """Empty fragments included; pings are answered at once."""
    message = (EVENT % "\u00e9\U0001f600").encode()
    parts = [message[number : number + 1] for number in range(count - 1)]
    parts.append(message[count - 1 :])
    frames = [
        frame(TEXT if number == 0 else CONTINUATION, part, fin=number == count - 1)
        for number, part in enumerate(parts)
    ]
    with target.site.websocket() as client:
        client.send(between.join(frames))
        if between[:1] == b"\x89":
            assert [client.read_frame() for _ in range(count - 1)] == [(PONG, b"p")] * (count - 1)
        assert client.read_text() == '431["\u00e9\U0001f600"]'


# Section 8.1: UTF-8 that obeys


@pytest.mark.parametrize(
    "text",
    [
        "\u03ba\u1f79\u03c3\u03bc\u03b5",
        "\U0001f600\U0010ffff",
        "\ufffe\uffff\ud7ff\ue000",
        "\x7f\x80\u07ff\u0800",
    ],
)
def test_every_character_may_be_cut_anywhere(target: Target, text: str) -> None:
    """Whether a text is UTF-8 is asked of the message, not of its fragments."""
    data = (EVENT % text).encode()
    with target.site.websocket() as client:
        for cut in range(10, len(data)):
            client.send(frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:]))
            assert client.read_text() == f'431["{text}"]'


# Section 7: the end


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
def test_close_is_answered_with_its_code(target: Target, code: int) -> None:
    """And then the server closes; what comes behind the close frame is not read."""
    with target.site.websocket() as client:
        client.send(frame(CLOSE, close_body(code, b"bye")) + frame(TEXT, b'42["tell"]') + frame(PING))
        assert client.read_close() == code
        assert client.closed()
        assert target.site.reason() == "transport close"
        assert target.site.seen.empty()
    assert target.lines.texts == []


def test_flood_of_control_frames_costs_nobody_else_anything(target: Target) -> None:
    """Ten thousand pings are answered to a client that reads, while another is served (see `target`)."""
    with target.site.websocket() as client:
        for _ in range(100):
            client.send(frame(PING, b"x") * 100)
            assert all(client.read_frame() == (PONG, b"x") for _ in range(100))
        echo(client)


# What a message may be: Engine.IO and Socket.IO

PACKETS = {
    "an unknown type of Engine.IO": "7",
    "a letter": "x",
    "a ping": "2",
    "a message of nothing": "4",
    "an unknown type of Socket.IO": "47",
    "a packet of the server": '44{"message":"x"}',
    "a second CONNECT": "40",
    "an event without data": "42",
    "an event of null": "42null",
    "an event that is an object": '42{"0":"echo"}',
    "an empty event": "42[]",
    "an event named by a list": '42[["echo"]]',
    "an event named by null": "42[null]",
    "an event named by a boolean": "42[true]",
    "an event named by a fraction": "42[1.5]",
    **{
        f"the event {name}": f'42["{name}"]'
        for name in ("connect", "disconnect", "connect_error", "newListener")
    },
    "JSON that ends early": '42["echo"',
    "JSON with something behind it": '42["echo"]]',
    "NaN": '42["echo",NaN]',
    "a number of twenty digits": "42" + "1" * 20 + '["echo"]',
    "an integer of 5,000 digits": '42["echo",' + "1" * 5000 + "]",
    "JSON that is too deep": "42" + "[" * 600 + "]" * 600,
    "an event for another namespace": '42/nowhere,["echo"]',
    "an acknowledgement that is an object": '431{"a":1}',
    "a DISCONNECT with data": '41{"a":1}',
    "a namespace that is too long": "40/" + "n" * 600 + ",",
    "attachments without a number": '45["echo",{"_placeholder":true,"num":0}]',
    "no attachments": '450-["echo"]',
    "too many attachments": '45101-["echo",{"_placeholder":true,"num":0}]',
    "attachments by the billion": "45" + "9" * 18 + '-["echo"]',
    "attachments of an event that has none": '421-["echo"]',
    "a placeholder that is too high": '451-["echo",{"_placeholder":true,"num":1}]',
    "a placeholder that is negative": '451-["echo",{"_placeholder":true,"num":-1}]',
    "a placeholder that is a property": '451-["echo",{"_placeholder":true,"num":"splice"}]',
    "base64 that is none": "b%%%",
    "binary that belongs to nothing": "bAAAA",
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())
def test_malformed_packet_closes_the_connection(target: Target, packet: str) -> None:
    """With 1002, or 1009 and the option where a bound was passed, and one line; no handler ran."""
    with target.site.websocket() as client:
        client.send(frame(TEXT, packet.encode()) + frame(TEXT, b'42["tell"]'))
        code = client.read_close()
        client.send(frame(CLOSE, close_body(code)))
        assert target.site.reason() == "transport error"
        assert target.site.seen.empty()
    (line,) = target.lines.texts
    assert line.startswith("Closing the connection from 127.0.0.1: ")
    assert (code, "(option max_" in line) in {(1002, False), (1009, True)}
    assert len(line) < 200


def test_random_bytes_end_the_connection_and_nothing_else(target: Target) -> None:
    """Whatever comes, it ends in a close frame, or with the peer inside a frame that is never complete."""
    for seed in range(100):
        noise = bytes((seed * 31 + place * place * 7 + (place >> 2)) & 0xFF for place in range(300))
        with target.site.websocket(join=False) as client:
            client.send(noise)
            client.socket.shutdown(socket.SHUT_WR)
            with suppress(EOFError):
                assert client.read_close() in {1000, 1002, 1007, 1009}
