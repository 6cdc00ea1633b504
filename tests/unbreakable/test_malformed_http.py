"""Malformed HTTP and Engine.IO: an answer within a second, one line in the log, and nothing kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import raw
from attacked import Target
from misbehaving import WITHIN, Misbehaving, Outcome, chunked
from raw import opened
from serving import POLLING, WEBSOCKET

from carboy.front import http_protocol
from carboy.front.http_protocol import MAX_PIPELINED

HOST = b"Host: localhost\r\n"
GET = b"GET " + POLLING.encode()
UPGRADE = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (
    WEBSOCKET.encode(),
    raw.handshake_headers().encode(),
)


def head(method: bytes, target: bytes, *headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """Return the head of a request."""
    lines = [b"%b %b %b" % (method, target, version), b"Host: localhost", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def attack(target: Target, pieces: Any, **options: Any) -> Outcome:
    """Send bytes on a connection of their own; the answer has to come within a second."""
    with Misbehaving(target.site.address) as client:
        outcome = client.attack(pieces, **options)
    assert outcome.seconds < WITHIN
    return outcome


NOT_HTTP = {
    "nothing but zeros": b"\x00" * 64 + b"\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": head(b"BREW", b"/"),
    "a method in lower case": head(b"get", b"/"),
    "a tunnel": head(b"CONNECT", b"example.com:443"),
    "an unknown version": GET + b" HTTP/3.7\r\n" + HOST + b"\r\n",
    "a target with a zero": head(b"GET", b"/socket.io/\x00"),
    "a target that is not ASCII": head(b"GET", b"/socket.io/\xff"),
    "a query that is not ASCII": head(b"GET", POLLING.encode() + b"&x=\xff"),
    "a name with a space": head(b"GET", b"/", b"Bad Header: x"),
    "a folded header": head(b"GET", b"/", b"X: a\r\n b"),
    "a header with a zero": head(b"GET", b"/", b"X: a\x00b"),
    "a header with an escape": head(b"GET", b"/", b"X: a\x1bb"),
    "a header without a colon": head(b"GET", b"/", b"Nonsense"),
    "lines that end in LF": GET + b" HTTP/1.1\nHost: localhost\n\n",
    "two lengths": head(b"POST", b"/", b"Content-Length: 1", b"Content-Length: 2") + b"40",
    "a negative length": head(b"POST", b"/", b"Content-Length: -1") + b"40",
    "a length in words": head(b"POST", b"/", b"Content-Length: two") + b"40",
    "a length beyond 64 bits": head(b"POST", b"/", b"Content-Length: " + b"9" * 40),
    "a length and chunks": head(b"POST", b"/", b"Content-Length: 2", b"Transfer-Encoding: chunked")
    + chunked(),
    "an unknown coding": head(b"POST", b"/", b"Transfer-Encoding: gzip") + b"40",
    "chunks that are not the last coding": head(b"POST", b"/", b"Transfer-Encoding: chunked, gzip")
    + chunked(),
    "a chunk without a size": head(b"POST", b"/", b"Transfer-Encoding: chunked") + b"zz\r\n40\r\n",
    "a chunk beyond 64 bits": head(b"POST", b"/", b"Transfer-Encoding: chunked") + b"f" * 20 + b"\r\n",
    "a chunk that is longer than it says": head(b"POST", b"/", b"Transfer-Encoding: chunked")
    + b"1\r\n40\r\n",
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_refused_and_the_connection_closed(target: Target, data: bytes) -> None:
    """Status 400 once, the end, and one line that names the peer."""
    outcome = attack(target, data)
    assert (outcome.statuses, outcome.closed) == ([400], True)
    assert target.lines.texts == ["Refusing a request from 127.0.0.1: it is not HTTP/1.1"]


REFUSED = {
    "no host": (GET + b" HTTP/1.1\r\n\r\n", 400, "it has not exactly one Host"),
    "two hosts": (head(b"GET", b"/", b"Host: elsewhere"), 400, "it has not exactly one Host"),
    "HTTP/0.9": (GET + b"\r\n\r\n", 505, "it is neither of HTTP/1.0 nor of HTTP/1.1"),
    "too many headers": (
        head(b"GET", b"/", *(b"a%d:" % number for number in range(300))),
        431,
        "it has more than 256 headers",
    ),
    "a head without end": (
        [b"GET / HTTP/1.1\r\n", *[b"X: " + b"x" * 60_000 + b"\r\n"] * 20],
        431,
        "its head is too large (option max_head_bytes)",
    ),
    "a header without end": (
        [b"GET / HTTP/1.1\r\nX: ", *[b"x" * 60_000] * 20],
        431,
        "its head is too large (option max_head_bytes)",
    ),
}


@pytest.mark.parametrize(("data", "status", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_heads_past_a_rule_or_a_bound_are_refused(
    target: Target, data: bytes | list[bytes], status: int, line: str
) -> None:
    """Each with its own status; a head is cut off where its bound is, not where it ends."""
    outcome = attack(target, data)
    assert (outcome.statuses, outcome.closed) == ([status], True)
    assert target.lines.texts == [f"Refusing a request from 127.0.0.1: {line}"]


@pytest.mark.parametrize(
    "flood",
    [
        [b"0\r\n", *(b"X-%d: %b\r\n" % (number, b"y" * 60_000) for number in range(20))],
        [b"2;", *[b"y" * 60_000] * 20],
    ],
    ids=["trailers", "chunk extensions"],
)
def test_floods_around_chunks_are_cut_off(target: Target, flood: list[bytes]) -> None:
    """What stands around the chunks of a body is bounded like a head, and its session is over."""
    with target.site.client() as honest:
        session = target.site.polling(honest).encode()
        start = head(b"POST", session, b"Transfer-Encoding: chunked")
        outcome = attack(target, [start, *flood])
        assert (outcome.statuses, outcome.closed) == ([431], True)
        assert target.site.reason() == "transport error"
    assert target.lines.texts == [
        "Refusing a request from 127.0.0.1: its head is too large (option max_head_bytes)"
    ]


def test_trailers_do_not_pass_for_headers(target: Target) -> None:
    """A forged address behind the body reaches nobody (RFC 9110 section 6.5.1)."""
    forged = b"0\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
    with Misbehaving(target.site.address) as client:
        client.send(head(b"POST", b"/", b"Transfer-Encoding: chunked") + chunked(b"x", end=forged))
        assert client.finish().body == b"the application: / for nobody"


def test_upgrade_over_http_1_0_is_no_upgrade(target: Target) -> None:
    """HTTP/1.0 has no Upgrade (RFC 9110 section 7.8), so the request is a poll that asks for a websocket."""
    outcome = attack(target, UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (outcome.statuses, outcome.closed) == ([400], True)


def test_websocket_may_stand_among_others_in_upgrade(target: Target) -> None:
    """Upgrade is a list (RFC 9110 section 7.8)."""
    with Misbehaving(target.site.address) as client:
        client.send(UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"))
        assert client.finish().status == 101
        opened(client.read_text())


def test_other_upgrades_are_ignored_and_the_connection_ends_with_the_answer(target: Target) -> None:
    """A client that would rather speak HTTP/2 is answered in HTTP/1.1; none of its requests is left open."""
    asks = head(b"GET", b"/", b"Connection: Upgrade", b"Upgrade: h2c")
    outcome = attack(target, asks * 2)
    assert (outcome.statuses, outcome.closed) == ([200], True)
    assert target.lines.texts == []


def test_pipelined_requests_are_answered_in_order(target: Target) -> None:
    """As many as an honest client sends at once."""
    requests = b"".join(head(b"GET", b"/%d" % number) for number in range(40))
    outcome = attack(target, requests, enough=b"/39 for")
    assert outcome.statuses == [200] * 40
    assert [outcome.received.index(b"/%d for" % number) for number in range(40)] == sorted(
        outcome.received.index(b"/%d for" % number) for number in range(40)
    )


def test_flood_of_pipelined_requests_is_refused(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five thousand requests in one write cost the work of a few."""
    monkeypatch.setattr(http_protocol, "LINGER", 60.0)  # its end is read, not waited for
    outcome = attack(target, head(b"GET", POLLING.encode()) * 5000)
    assert outcome.closed
    assert len(outcome.statuses) <= MAX_PIPELINED + 2  # they are answered as they are read
    state = target.site.embedded._uvicorn.server_state
    target.wait_until(lambda: not state.connections, "its end is read")
    assert target.site.call(lambda: len(target.server.connections)) <= MAX_PIPELINED + 2
    assert target.lines.texts == [
        "Refusing a request from 127.0.0.1: more than 64 requests wait behind another"
    ]
    target.end_polling()


def test_upgrade_behind_a_poll_that_waits_is_refused(target: Target) -> None:
    """The answer to the poll would stand among the frames."""
    with Misbehaving(target.site.address) as client:
        session = target.site.polling(client).encode()
        outcome = client.attack(head(b"GET", session) + UPGRADE)
        assert (outcome.statuses, outcome.closed) == ([400], True)
        assert target.site.reason() == "transport error"


def test_peer_that_leaves_a_pipeline_is_gone_for_each_of_its_requests(target: Target) -> None:
    """A poll that waits before another request is noticed too."""
    with Misbehaving(target.site.address) as client:
        session = target.site.polling(client).encode()
        client.send(head(b"GET", session) + head(b"GET", b"/"))
        target.wait_until(
            lambda: any(door.pipeline for door in target.site.embedded._uvicorn.server_state.connections),
            "the second request waits",
        )
        client.reset()
        assert target.site.reason() == "transport error"


# Engine.IO

QUERIES = {
    "nothing": (b"", 400, b'{"code":0,"message":"Transport unknown"}'),
    "another transport": (b"EIO=4&transport=pigeon", 400, b'{"code":0,"message":"Transport unknown"}'),
    "an older protocol": (
        b"EIO=3&transport=polling",
        400,
        b'{"code":5,"message":"Unsupported protocol version"}',
    ),
    "no protocol": (b"transport=polling", 400, b'{"code":5,"message":"Unsupported protocol version"}'),
    "a websocket without an upgrade": (
        b"EIO=4&transport=websocket",
        400,
        b'{"code":3,"message":"Bad request"}',
    ),
    "an unknown session": (
        b"EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA",
        400,
        b'{"code":1,"message":"Session ID unknown"}',
    ),
    "a session in no encoding": (
        b"EIO=4&transport=polling&sid=%ff%fe",
        400,
        b'{"code":1,"message":"Session ID unknown"}',
    ),
    "a callback that is no number": (
        b"EIO=4&transport=polling&j=alert",
        400,
        b'{"code":3,"message":"Bad request"}',
    ),
}


@pytest.mark.parametrize(("query", "status", "body"), QUERIES.values(), ids=QUERIES.keys())
def test_impossible_queries_are_answered_as_node_does(
    target: Target, query: bytes, status: int, body: bytes
) -> None:
    """With a number and a text, and the connection goes on."""
    with Misbehaving(target.site.address) as client:
        for _ in range(2):
            answer = client.request("GET", "/socket.io/?" + query.decode("latin-1"))
            assert (answer.status, answer.body) == (status, body)


BODIES = {
    "nothing": b"",
    "a separator": b"\x1e",
    "a separator behind a packet": b"3\x1e",
    "two separators": b"3\x1e\x1e3",
    "an unknown type": b"7",
    "a letter": b"x",
    "a byte that is not ASCII": b"\xff",
    "a payload of version 3": b"2:40",
    "a ping": b"2",
    "base64 that is none": b"b%%%%",
    "base64 of an impossible length": b"bAAAAA",
    "base64 with padding inside": b"bAA==AA==",
    "binary that belongs to nothing": b"bAAAA",
    "a message without a packet": b"4",
    "an unknown packet": b"49",
    "an event before CONNECT": b'42/other,["echo"]',
    "a second CONNECT": b"40",
    "a message that is not UTF-8": b'42["echo","\xff"]',
    "a text where an attachment is due": b'451-["echo",{"_placeholder":true,"num":0}]\x1e42["echo"]',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_malformed_posts_end_their_session(target: Target, body: bytes) -> None:
    """Status 400, one line, a disconnect handler that is told of it, and a session that is unknown."""
    with target.site.client() as client:
        session = target.site.polling(client)
        assert client.request("POST", session, body).status == 400
        assert target.site.reason() == "transport error"
        assert client.request("GET", session).body == b'{"code":1,"message":"Session ID unknown"}'
    (line,) = target.lines.texts
    assert line.startswith("Closing the connection from 127.0.0.1: ")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_overlapping_requests_end_their_session(target: Target, method: str) -> None:
    """Two polls, or two posts, at once: the second is refused, the first is answered, one line."""
    with target.site.client() as client, Misbehaving(target.site.address) as first:
        session = target.site.polling(client)
        start = (
            head(b"GET", session.encode())
            if method == "GET"
            else head(b"POST", session.encode(), b"Content-Length: 9")
        )
        first.send(start)
        (connection,) = [c for c in target.server.connections.values() if c.session.transport == "polling"]
        target.wait_until(
            lambda: connection.transport._answer if method == "GET" else connection.transport._posting,
            "the first request is under way",
        )
        assert client.request(method, session, b"3" if method == "POST" else None).status == 400
        assert target.site.reason() == "transport error"
    (line,) = target.lines.texts
    assert line.startswith("Closing the connection from 127.0.0.1: a second ")


@pytest.mark.parametrize("leave", [Misbehaving.reset, Misbehaving.end_writing], ids=["reset", "half closed"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_requests_that_are_given_up_end_their_session(
    target: Target, method: bytes, leave: Callable[[Misbehaving], None]
) -> None:
    """However the client leaves, with a poll that waits or a body that is half there."""
    with target.site.client() as client, Misbehaving(target.site.address) as leaver:
        session = target.site.polling(client).encode()
        headers = [] if method == b"GET" else [b"Content-Length: 100"]
        leaver.send(head(method, session, *headers) + (b"40" if headers else b""))
        target.wait_until(
            lambda: target.site.embedded._uvicorn.server_state.tasks, "the request is under way"
        )
        leave(leaver)
        assert target.site.reason() == "transport error"
    assert target.lines.texts == []


def test_post_that_is_too_large_is_refused_without_reading_it(target: Target) -> None:
    """A length past the bound is answered at once, and costs nothing but itself (Node behaviour)."""
    with target.site.client() as client, Misbehaving(target.site.address) as other:
        session = target.site.polling(client)
        other.send(head(b"POST", session.encode(), b"Content-Length: 2000000"))
        assert other.finish().status == 413
        assert client.request("POST", session, b"3").body == b"ok"
        target.end_polling()
    (line,) = target.lines.texts
    assert line.endswith("(option max_http_buffer_size)")
