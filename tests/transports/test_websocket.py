"""The fast websocket lane, over real sockets."""

from __future__ import annotations

import json
import socket
import threading

import pytest
import raw
import serving
from raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_body, frame

from carboy.config import Config
from carboy.runtime.message import Message
from carboy.transports import websocket as module
from carboy.transports import wire

BAD_UTF8 = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"


def only_connection(site: serving.Site):
    """Return the one connection of a site."""
    (connection,) = site.server.connections.values()
    return connection


# Messages


def test_websocket_carries_an_event_and_its_acknowledgement(site: serving.Site) -> None:
    """A text frame is one packet; the answer comes as one frame."""
    with site.websocket() as client:
        client.send_text('421["echo","\u00e9\U0001f600",{"a":[1,2.5,null]}]')
        assert client.read_text() == '431["\u00e9\U0001f600",{"a":[1,2.5,null]}]'


def test_websocket_carries_binary_in_frames_of_their_own(site: serving.Site) -> None:
    """Attachments are binary frames without a prefix, in both directions, however they are fragmented."""
    with site.websocket() as client:
        client.send_text('451-7["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, b"\x00\xff", fin=False) + frame(CONTINUATION, b"\x1e"))
        assert client.read_text() == '461-7[{"_placeholder":true,"num":0}]'
        assert client.read_frame() == (BINARY, b"\x00\xff\x1e")


def test_websocket_answers_a_ping_between_fragments(site: serving.Site) -> None:
    """Control frames may come inside a fragmented message, which stays whole (RFC 6455 section 5.4)."""
    with site.websocket() as client:
        client.send(frame(TEXT, b'421["ec', fin=False) + frame(PING, b"now"))
        client.send(frame(CONTINUATION, b'ho","\xc3', fin=False) + frame(CONTINUATION, b'\xa9"]'))
        assert client.read_frame() == (PONG, b"now")
        assert client.read_text() == '431["\u00e9"]'


def test_websocket_ignores_a_pong_that_nobody_asked_for(site: serving.Site) -> None:
    """An unsolicited pong is allowed (RFC 6455 section 5.5.3)."""
    with site.websocket() as client:
        client.send(frame(PONG, b"x") + frame(TEXT, b'421["echo"]'))
        assert client.read_text() == "431[]"


# Broken rules

TOO_LARGE = b"4" * 1_000_001
VIOLATIONS = {
    "a reserved bit": (frame(TEXT, b"3", reserved=4), 1002),
    "another reserved bit": (frame(PING, b"", reserved=1), 1002),
    "an unknown data opcode": (frame(0x3, b"3"), 1002),
    "an unknown control opcode": (frame(0xB, b""), 1002),
    "an unmasked frame": (frame(TEXT, b"3", masked=False), 1002),
    "a fragmented ping": (frame(PING, b"", fin=False), 1002),
    "a ping over 125 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"3"), 1002),
    "a final continuation after a whole message": (frame(TEXT, b"3") + frame(CONTINUATION, b"3"), 1002),
    "a message inside another": (frame(TEXT, b"4", fin=False) + frame(TEXT, b"3"), 1002),
    "a binary message inside another": (frame(TEXT, b"4", fin=False) + frame(BINARY, b"3"), 1002),
    "a message that is too large": (frame(TEXT, TOO_LARGE)[:1000], 1009),
    "fragments that are too large": (
        frame(TEXT, TOO_LARGE[:600_000], fin=False) + frame(CONTINUATION, TOO_LARGE[600_000:], fin=False),
        1009,
    ),
    "too many fragments": (
        frame(TEXT, b"4", fin=False) + frame(CONTINUATION, b"", fin=False) * Config().max_fragments,
        1009,
    ),
    "text that is not UTF-8": (frame(TEXT, b'42["tell","' + BAD_UTF8 + b'"]'), 1007),
    "text that is not UTF-8 where no JSON is": (frame(TEXT, b"3\xff"), 1007),
    "text that is not UTF-8 over fragments": (
        frame(TEXT, b"3\xce", fin=False)
        + frame(CONTINUATION, b"\xba\xed\xa0", fin=False)
        + frame(CONTINUATION, b"\x80"),
        1007,
    ),
    "an empty text message": (frame(TEXT, b""), 1002),
    "an empty text message in fragments": (frame(TEXT, b"", fin=False) + frame(CONTINUATION, b""), 1002),
    "a length that is longer than it must be": (b"\x81\xfe\x00\x01\x21\x43\x65\x87\x12", 1002),
    "a packet of no type": (frame(TEXT, b"9"), 1002),
    "a ping of Engine.IO v3": (frame(TEXT, b"2"), 1002),
    "base64 that is none": (frame(TEXT, b"b***"), 1002),
}


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_websocket_fails_a_peer_that_breaks_a_rule(site: serving.Site, data: bytes, code: int) -> None:
    """The peer gets a close frame with its code and an orderly end; handlers hear of a transport error."""
    with site.websocket() as client:
        client.send(data)
        assert client.read_close() == code
        assert site.reason() == "transport error"
        client.send(frame(CLOSE, close_body(code)))
        assert client.closed()


def test_websocket_reads_nothing_behind_a_broken_rule(site: serving.Site) -> None:
    """What was read together with the broken frame is dropped, whoever finds it broken."""
    for broken in (frame(TEXT, b"3\xff"), frame(PING, b"", reserved=1), frame(TEXT, b"9"), frame(0x3)):
        with site.websocket() as client:
            client.send(broken + frame(TEXT, b'42["tell",1]'))
            client.read_close()
            assert site.next_seen()[0] == "connect"
            assert site.next_seen() == ("disconnect", "transport error")


def test_websocket_failure_is_not_a_reset_while_the_peer_still_sends(site: serving.Site) -> None:
    """A peer in the middle of a message that is too large can still read why it is cut off."""
    with site.websocket() as client:
        sender = threading.Thread(target=client.send, args=(frame(TEXT, b"4" * 30_000_000),))
        sender.start()
        assert client.read_close() == 1009
        sender.join(raw.SECONDS)
        assert client.closed()


def test_websocket_failure_is_told_once_in_the_log(
    site: serving.Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken rule makes a line without a traceback, and many make one line, whoever finds them."""
    site.server.log._quiet.clear()
    for data in (frame(TEXT, b"3", reserved=4), frame(0x3, b""), frame(TEXT, b"3\xff")):
        with site.websocket() as client:
            client.send(data)
            client.read_close()
            site.reason()
    (line,) = [record for record in caplog.records if "websocket" in record.message]
    assert line.message == "Closing the websocket from 127.0.0.1: a reserved bit is set"
    assert line.exc_info is None


def test_websocket_takes_many_fragments_that_are_not_small(site: serving.Site) -> None:
    """The bound on fragments is for tiny ones: 900 KB in frames of 1 KB, as some clients send, is fine."""
    text = b'421["echo","' + b"x" * 900_000 + b'"]'
    parts = [text[start : start + 1024] for start in range(0, len(text), 1024)]
    frames = [
        frame(TEXT if not number else CONTINUATION, part, fin=False) for number, part in enumerate(parts)
    ]
    with site.websocket() as client:
        client.send(b"".join(frames) + frame(CONTINUATION, b""))
        assert client.read_text() == text.decode().replace('421["echo",', "431[")


# The close handshake


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1014, 3000, 4000, 4999]
)
def test_websocket_echoes_the_code_of_a_close(site: serving.Site, code: int) -> None:
    """A close frame is answered with its code, and the end follows; handlers hear of a transport close."""
    with site.websocket() as client:
        client.send(frame(CLOSE, close_body(code, "bye \u00e9".encode())))
        assert client.read_close() == code
        assert client.closed()
        assert site.reason() == "transport close"


def test_websocket_answers_a_close_without_a_code(site: serving.Site) -> None:
    """A close frame may be empty."""
    with site.websocket() as client:
        client.send(frame(CLOSE))
        assert client.read_close() == 1000
        assert client.closed()


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_websocket_refuses_a_close_code_that_must_not_be_sent(site: serving.Site, code: int) -> None:
    """Such a code breaks the protocol (RFC 6455 section 7.4) and is never echoed."""
    with site.websocket() as client:
        client.send(frame(CLOSE, close_body(code)))
        assert client.read_close() == 1002
        assert site.reason() == "transport error"


@pytest.mark.parametrize(
    ("body", "code"), [(b"\x03", 1002), (close_body(1000, b"\xff"), 1007), (b"x" * 126, 1002)]
)
def test_websocket_refuses_a_broken_close_frame(site: serving.Site, body: bytes, code: int) -> None:
    """One byte is no code, the reason is UTF-8, and the frame has at most 125 bytes."""
    with site.websocket() as client:
        client.send(frame(CLOSE, body))
        assert client.read_close() == code


def test_websocket_reads_nothing_behind_a_close_frame(site: serving.Site) -> None:
    """What follows a close frame is no message any more, whichever side sent the frame."""
    with site.websocket() as client:
        client.send(frame(CLOSE, close_body(1000)) + frame(TEXT, b'42["tell",1]'))
        assert client.read_close() == 1000
        assert site.next_seen()[0] == "connect"
        assert site.next_seen() == ("disconnect", "transport close")


def test_websocket_waits_for_the_answer_to_its_close_frame(site: serving.Site) -> None:
    """After a close by the server, messages under way are dropped, and the peer's frame is the end."""
    with site.websocket() as client:
        connection = only_connection(site)
        site.call(connection.transport.close, 1000)
        assert client.read_close() == 1000
        client.send(frame(TEXT, b'42["tell",1]') + frame(CLOSE, close_body(1000)))
        assert client.closed()
        assert site.next_seen()[0] == "connect"
        assert site.next_seen() == ("disconnect", "transport close")


def test_websocket_cuts_off_a_peer_that_does_not_answer_a_close_frame(
    site: serving.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for the peer's close frame is bounded, and so is that for the end of a failed connection."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.02)
    with site.websocket() as closed, site.websocket() as failed:
        first, _ = site.server.connections.values()
        site.call(first.transport.close, 1001)
        failed.send(frame(TEXT, b""))
        assert closed.read_close() == 1001
        assert failed.read_close() == 1002
        assert closed.closed()
        assert failed.closed()


def test_websocket_that_is_cut_off_is_closed_for_handlers(site: serving.Site) -> None:
    """A reset and a half-closed connection are a transport close, as in Node."""
    client = site.websocket()
    client.reset()
    assert site.reason() == "transport close"
    with site.websocket() as client:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.closed()
        assert site.reason() == "transport close"


def test_websocket_leaves_nothing_behind(site: serving.Site) -> None:
    """A websocket that has ended is in none of the server's tables."""
    with site.websocket() as client:
        client.send(frame(CLOSE))
        client.read_close()
        assert client.closed()
    site.reason()
    assert site.call(lambda: len(site.server.connections)) == 0


# Output


def test_websocket_delivers_everything_in_order_to_a_stalled_reader(site: serving.Site) -> None:
    """Direct sends, joined frames and large messages arrive intact and in order, however slow the reader."""
    texts = [
        f"4{number}:" + raw.random_text(size) for number, size in enumerate([10, 8191, 8192, 70_000] * 12)
    ]

    def burst(connection, start: int) -> None:
        for number in range(start, len(texts), 2):
            connection.send(Message(texts[number].encode()))
            if number % 3:
                connection.flush()

    with site.websocket(join=False, receive_buffer=4096) as client:
        connection = only_connection(site)
        site.call(lambda: (connection.send(Message(b"4" + b"x" * 6_000_000)), connection.flush()))
        assert site.call(lambda: connection.stalled)
        site.call(burst, connection, 0)
        site.call(burst, connection, 1)
        assert len(client.read_text()) == 6_000_001
        expected = texts[0::2] + texts[1::2]
        assert [client.read_text() for _ in texts] == expected


def test_websocket_counts_what_a_stalled_reader_is_behind_with_and_recovers(site: serving.Site) -> None:
    """The connection counts output while it piles up, and no longer once it has left."""
    with site.websocket(join=False, receive_buffer=4096) as client:
        connection = only_connection(site)
        big = Message(b"4" + b"x" * 6_000_000)
        site.call(lambda: (connection.send(big), connection.flush()))
        assert site.call(lambda: (connection.stalled, connection.transport.backlog() > 1_000_000)) == (
            True,
            True,
        )
        assert len(client.read_text()) == 6_000_001
        client.send_text("40")
        assert client.read_text().startswith("40{")
        assert site.call(lambda: (connection.stalled, connection.transport.backlog())) == (False, 0)


def test_websocket_disconnects_a_client_that_falls_behind_too_far() -> None:
    """Past the bound the connection is aborted at once: a close frame would wait behind what is not read."""
    server = serving.make_server(max_output_bytes=100_000)
    with serving.serve(server) as site, site.websocket(receive_buffer=4096):
        connection = only_connection(site)
        site.call(lambda: (connection.send(Message(b"4" + b"x" * 9_000_000)), connection.flush()))
        assert site.reason() == "transport error"
        assert site.call(lambda: len(site.server.connections)) == 0


def test_websocket_pings_of_a_peer_that_does_not_read_cost_nothing(site: serving.Site) -> None:
    """Answers to pings stop while output piles up, so a flood of them does not grow the queue."""
    with site.websocket(join=False, receive_buffer=4096) as client:
        connection = only_connection(site)
        site.call(lambda: (connection.send(Message(b"4" + b"x" * 6_000_000)), connection.flush()))
        before = site.call(connection.transport.backlog)
        client.send(frame(PING, b"x" * 125) * 20_000 + frame(TEXT, b"40"))
        assert site.next_seen()[0] == "connect"
        assert site.call(connection.transport.backlog) <= before + 1000


# Back-pressure and memory


def test_websocket_reads_nothing_while_it_is_paused(
    site: serving.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paused websocket leaves bytes in the socket; resumed, it has lost none; a close is not held up."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 60)
    with site.websocket() as client:
        connection = only_connection(site)
        site.next_seen()
        site.call(connection.transport.pause_reading)
        client.send_text('42["tell",1]')
        with site.websocket() as other:
            other.send_text('42["tell",2]')
            assert [site.next_seen()[:2] for _ in range(2)][1] == ("tell", 2)
        site.call(connection.transport.resume_reading)
        assert ("tell", 1) in [site.next_seen()[:2] for _ in range(2)]
        site.call(connection.transport.pause_reading)
        site.call(connection.transport.close, 1000)
        assert client.read_close() == 1000
        client.send(frame(CLOSE, close_body(1000)))
        assert client.closed()


def read_buffer(connection) -> int:
    """Return the bytes of the reader's buffer."""
    return int(connection.transport._transport.underlying_transport.get_protocol().get_buffer(0).nbytes)


@pytest.mark.parametrize("size", [900_000, 20_000])
def test_websocket_gives_the_buffer_of_a_large_message_back(site: serving.Site, size: int) -> None:
    """The buffer of an idle connection is small again with the next pong, and nothing else changes."""
    with site.websocket() as client:
        connection = only_connection(site)
        client.send_text('421["echo","' + "x" * size + '"]')
        assert len(client.read_text()) == size + 7
        assert site.call(read_buffer, connection) > size / 2
        client.send_text("3")
        # Together with the next event it would be too late.
        site.wait_until(lambda: read_buffer(connection) <= wire.RETAINED_BUFFER, "the pong is read")
        client.send_text('422["echo"]')
        assert client.read_text() == "432[]"
        assert site.call(read_buffer, connection) <= wire.RETAINED_BUFFER
        client.send(frame(BINARY, b"")[:1])
        client.send(frame(BINARY, b"")[1:])
        assert (
            client.read_close() == 1002
        )  # a binary message was not due: the new reader reads on as the old one


def test_websocket_keeps_a_buffer_that_holds_the_start_of_a_message(site: serving.Site) -> None:
    """A pong before an unfinished message does not lose its bytes."""
    with site.websocket() as client:
        client.send_text('421["echo","' + "x" * 50_000 + '"]')
        client.read_text()
        last = frame(TEXT, b'422["echo",2]')
        client.send(frame(TEXT, b"3") + last[:5])
        client.send(last[5:])
        assert json.loads(client.read_text()[3:]) == [2]
