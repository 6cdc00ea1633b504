"""The fast path of the embedded server, beside the way through ASGI."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from typing import Any

import pytest
import raw
import serving

from carboy.front import direct_requests as module
from carboy.front.direct_requests import DirectProtocol, DirectRequest, is_ordinary

ORIGIN = "Origin: http://page.example\r\n"
REQUESTS = [
    ("GET", serving.POLLING, "", None),
    ("GET", serving.POLLING, ORIGIN + "Accept-Encoding: gzip\r\n", None),
    ("GET", serving.POLLING + "&j=0", "", None),
    ("GET", serving.POLLING, "Connection: close\r\n", None),
    ("GET", serving.POLLING, "X-Forwarded-For: a\r\nX_Forwarded_For: b\r\n", None),
    ("GET", "/socket.io/", "", None),
    ("GET", "/socket.io/%3FEIO=4", "", None),
    ("GET", "/socket.io/?EIO=3&transport=polling", ORIGIN, None),
    ("GET", serving.POLLING + "&sid=AAAAAAAAAAAAAAAAAAAA", "", None),
    ("POST", serving.POLLING, "", b"40"),
    ("POST", serving.POLLING, "Transfer-Encoding: chunked\r\n", None),
    ("POST", serving.POLLING, "Expect: 100-continue\r\nContent-Length: 2\r\n", None),
    ("HEAD", serving.POLLING, "", None),
    ("OPTIONS", serving.POLLING, ORIGIN + "Access-Control-Request-Headers: x-a\r\n", None),
    ("PUT", serving.POLLING, "", b"40"),
    ("GET", "/elsewhere", "", None),
]


@pytest.fixture(scope="module")
def plain() -> Iterator[serving.Site]:
    """Serve in a way that needs uvicorn's own cycles, so that every request goes through ASGI."""
    with serving.serve(options={"limit_concurrency": 1_000_000}) as running:
        yield running


def counted(monkeypatch: pytest.MonkeyPatch) -> list[DirectRequest]:
    """Return a list of the requests that take the fast path from here on."""
    taken: list[DirectRequest] = []
    begin = DirectRequest.take_turn

    def take_turn(self: DirectRequest) -> None:
        taken.append(self)
        begin(self)

    monkeypatch.setattr(DirectRequest, "take_turn", take_turn)
    return taken


def shown(site: serving.Site, method: str, target: str, headers: str, body: bytes | None) -> Any:
    """Return what a peer sees of an answer, without what is another each time."""
    with site.client() as client:
        client.begin(method, target, body, headers)
        if "chunked" in headers:
            client.send(b"2\r\n40\r\n0\r\n\r\n")
        answer = client.finish(method)
        told = sorted((name, value) for name, value in answer.headers if name not in ("date", "set-cookie"))
        ids = re.compile(rb'"sid\\*":\\*"[^"\\]+')
        dated = "date" in dict(answer.headers)
        return answer.status, told, dated, ids.sub(b"", answer.body), "close" in answer["connection"]


@pytest.mark.parametrize(("method", "target", "headers", "body"), REQUESTS)
def test_both_ways_give_the_same_answer(
    site: serving.Site, plain: serving.Site, method: str, target: str, headers: str, body: bytes | None
) -> None:
    """Status, headers and body are equal, so that nobody can tell which way a request took."""
    assert shown(site, method, target, headers, body) == shown(plain, method, target, headers, body)


def test_requests_of_a_session_take_the_fast_path(
    site: serving.Site, plain: serving.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handshakes, polls and POSTs do, unless uvicorn counts them, or logs them."""
    taken = counted(monkeypatch)
    with site.client() as client, plain.client() as other:
        site.polling(client)
        assert len(taken) == 3
        plain.polling(other)
        assert len(taken) == 3


@pytest.mark.parametrize("origin", ["", ORIGIN])
@pytest.mark.parametrize("size", [10, module.MAX_BODY + 100])
def test_events_are_answered_on_both_ways(
    site: serving.Site, plain: serving.Site, origin: str, size: int
) -> None:
    """An event and its ack pass through, be the body short or long."""
    for served in (site, plain):
        with served.client() as client:
            target = served.polling(client)
            text = "x" * size
            posted = client.request("POST", target, f'420["echo","{text}"]'.encode(), origin)
            assert (posted.status, posted.body) == (200, b"ok")
            assert client.request("GET", target, headers=origin).body == f'430["{text}"]'.encode()


def test_poll_waits_for_output(site: serving.Site) -> None:
    """It is answered when there is some, and the connection is used again."""
    with site.client() as client, site.client() as other:
        target = site.polling(client)
        for number in range(3):
            client.begin("GET", target)
            other.request("POST", target, b'42%d["echo"]' % number)
            assert client.finish().body == b"43%d[]" % number


def test_poll_whose_peer_leaves_ends_the_session(site: serving.Site) -> None:
    """As in Node; the disconnect handler is told."""
    with site.client() as client:
        client.begin("GET", site.polling(client))
    assert site.reason() == "transport error"


def test_body_may_come_in_pieces(site: serving.Site) -> None:
    """The POST counts as begun with its head, and is answered with its end."""
    with site.client() as client, site.client() as other:
        target = site.polling(client)
        client.send(f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n42".encode())
        for part in (b'["te', b'll"'):
            assert other.request("GET", "/elsewhere").status == 200
            client.send(part)
        client.send(b",1]")
        assert client.finish().status == 200
        assert site.next_seen()[0] == "connect"
        assert site.next_seen() == ("tell", 1)


def test_second_post_while_the_first_still_comes_ends_the_session(site: serving.Site) -> None:
    """It breaks the protocol, also while nothing of the first body is there."""
    with site.client() as client, site.client() as other:
        target = site.polling(client)
        client.send(f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".encode())
        assert any(site.call(_is_posting, site) for _ in range(10_000))
        assert other.request("POST", target, b"3").status == 400
    assert site.reason() == "transport error"


def _is_posting(site: serving.Site) -> bool:
    (connection,) = site.server.connections.values()
    return bool(connection.transport._posting)  # type: ignore[union-attr]


def test_peer_that_leaves_within_its_body_ends_the_session(site: serving.Site) -> None:
    """What has come of the body is dropped."""
    with site.client() as client:
        target = site.polling(client)
        client.send(f'POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n42["tell"]'.encode())
    assert site.reason() == "transport error"


def test_pipelined_requests_are_answered_in_their_order(site: serving.Site) -> None:
    """A request behind a poll waits, whichever way it takes."""
    with site.client() as client, site.client() as other:
        target = site.polling(client)
        client.begin("GET", target)
        client.begin("GET", "/elsewhere")
        for number in range(20):
            client.begin("GET", f"/socket.io/?EIO=4&transport={number}")
        client.begin("POST", target, b'42["tell",1]')
        client.begin("GET", serving.POLLING)
        other.request("POST", target, b'420["echo"]')
        assert client.finish().body == b"430[]"
        assert client.finish().body.startswith(b"the application")
        assert [client.finish().status for _ in range(20)] == [400] * 20
        assert client.finish().body == b"ok"
        assert raw.opened(client.finish().body)
        assert site.next_seen()[0] == "connect"
        assert site.next_seen() == ("tell", 1)


def test_answer_waits_for_a_peer_that_does_not_read(site: serving.Site) -> None:
    """Else a peer that only asks would fill the memory with answers."""
    with site.client() as client, site.client() as other:
        client.request("GET", "/socket.io/")
        protocol = site.call(_protocol_of, client, site)
        site.call(protocol.pause_writing)
        client.begin("GET", "/socket.io/")
        other.request("GET", "/socket.io/")
        assert not site.call(lambda: protocol.cycle.response_complete)
        site.call(protocol.resume_writing)
        assert client.finish().status == 400


def _protocol_of(client: raw.Client, site: serving.Site) -> Any:
    state = site.embedded._uvicorn.server_state
    return next(found for found in state.connections if found.client == client.socket.getsockname())


class Failing:
    """A middleware that raises."""

    wraps = True

    def rewrite(self, environ: dict[str, Any]) -> dict[str, Any]:
        """Fail."""
        raise ValueError


def test_failure_is_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and the connection ends."""
    with serving.serve(middleware=Failing()) as site, site.client() as client:
        answer = client.request("GET", serving.POLLING)
        assert (answer.status, answer["connection"]) == (500, "close")
        assert client.closed()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


def test_upgrade_leaves_nothing_of_http_behind(site: serving.Site) -> None:
    """An idle websocket is to be cheap, and the garbage collector may come late."""
    gc.collect()
    gc.disable()
    try:
        with site.websocket():
            assert not [found for found in gc.get_objects() if isinstance(found, DirectProtocol)]
    finally:
        gc.enable()


def test_root_path_is_where_the_application_is_mounted() -> None:
    """Handlers see it as SCRIPT_NAME, whichever way the handshake took."""
    with serving.serve(options={"root_path": "/a"}) as site, site.client() as client, site.websocket():
        assert site.next_seen()[1]["SCRIPT_NAME"] == "/a"
        site.polling(client)
        environ = site.next_seen()[1]
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/a", "/socket.io/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUEST_METHOD", "HEAD"),
        ("SERVER_PROTOCOL", "HTTP/1.0"),
        ("HTTP_TRANSFER_ENCODING", "chunked"),
        ("HTTP_EXPECT", "100-continue"),
        ("HTTP_UPGRADE", "h2c"),
        ("CONTENT_LENGTH", "101"),
        ("CONTENT_LENGTH", "1,1"),
    ],
)
def test_request_out_of_the_ordinary_goes_through_asgi(name: str, value: str) -> None:
    """The fast path has nothing for it."""
    environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": "100"}
    assert is_ordinary(environ, 100)
    assert not is_ordinary({**environ, name: value}, 100)
