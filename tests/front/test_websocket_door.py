"""The embedded server's door for websockets."""

from __future__ import annotations

import json
import select
from typing import Any

import pytest
import raw
import serving

HEAD = f"GET {serving.WEBSOCKET} HTTP/1.1\r\nHost: localhost\r\n{raw.handshake_headers()}\r\n".encode()


def test_door_answers_the_handshake_of_rfc_6455(site: serving.Site) -> None:
    """The answer is 101 with the key's hash, and the first frame opens the session."""
    with site.client() as client:
        answer = client.upgrade(serving.WEBSOCKET)
        assert (answer.status, answer["sec-websocket-accept"]) == (101, raw.ACCEPT)
        assert (answer["upgrade"].lower(), answer["connection"].lower()) == ("websocket", "upgrade")
        assert raw.opened(client.read_text())["upgrades"] == []


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "upgrade", "Upgrade, HTTP2-Settings"])
def test_door_takes_the_connection_headers_of_browsers(site: serving.Site, connection: str) -> None:
    """Firefox sends `keep-alive, Upgrade`; the token may stand anywhere."""
    with site.client() as client:
        assert client.upgrade(serving.WEBSOCKET, connection=connection).status == 101


def test_door_takes_a_head_of_64_kib(site: serving.Site) -> None:
    """Cookies and tokens may be large; picows alone would refuse more than 16 KiB."""
    cookies = "".join(f"Cookie: c{number}={'x' * 4000}\r\n" for number in range(16))
    with site.client() as client:
        assert client.upgrade(serving.WEBSOCKET, headers=cookies).status == 101
        client.read_text()
        client.send_text("40")
        environ = site.next_seen()[1]
        assert environ["HTTP_COOKIE"].count("; ") == 15


def test_door_refuses_a_head_without_end(site: serving.Site) -> None:
    """A head past the bound is answered 431 and the connection closed, however slowly it comes."""
    with site.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        line = b"X-Long: " + b"x" * 16000 + b"\r\n"
        for _ in range(40):
            client.send(line)
            if select.select([client.socket], [], [], 0.005)[0]:
                break
        assert client.finish().status == 431
        assert client.closed()


def test_door_loses_no_byte_behind_the_head(site: serving.Site) -> None:
    """What a client sends without waiting for the answer is read once the websocket is open."""
    with site.client() as client:
        client.send(HEAD + raw.frame(raw.TEXT, b"40"))
        assert client.finish().status == 101
        raw.opened(client.read_text())
        assert client.read_text().startswith("40{")


def test_door_reads_what_comes_in_pieces(site: serving.Site) -> None:
    """Head and frames that arrive byte by byte are the same as in one piece."""
    with site.client() as client:
        for byte in HEAD + raw.frame(raw.TEXT, b"40"):
            client.send(bytes([byte]))
        assert client.finish().status == 101
        raw.opened(client.read_text())
        assert client.read_text().startswith("40{")


REFUSED = [
    ("/socket.io/?EIO=4&transport=nothing", "", 400, 0),
    ("/socket.io/?EIO=4&transport=polling", "", 400, 3),
    ("/socket.io/?EIO=3&transport=websocket", "", 400, 5),
    ("/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA", "", 400, 1),
    ("/elsewhere/?EIO=4&transport=websocket", "", 404, 3),
    (serving.WEBSOCKET, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400, 3),
    (serving.WEBSOCKET, "Content-Length: 3\r\n", 400, 3),
]


@pytest.mark.parametrize(("target", "headers", "status", "code"), REFUSED)
def test_door_refuses_before_the_101(
    site: serving.Site, target: str, headers: str, status: int, code: int
) -> None:
    """A handshake that cannot be served gets an HTTP answer with the code of Node, and a close."""
    with site.client() as client:
        answer = client.upgrade(target, headers=headers)
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
        assert answer["connection"] == "close"
        assert client.closed()


def test_door_names_the_version_that_it_speaks(site: serving.Site) -> None:
    """A handshake of another version gets 426 with `Sec-WebSocket-Version: 13` (RFC 6455 section 4.4)."""
    with site.client() as client:
        headers = raw.handshake_headers().replace("Version: 13", "Version: 8")
        answer = client.request("GET", serving.WEBSOCKET, headers=headers)
        assert (answer.status, answer["sec-websocket-version"]) == (426, "13")


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost" + serving.WEBSOCKET,
        serving.WEBSOCKET.replace("socket.io", "socket%2Eio"),
    ],
)
def test_door_reads_every_form_of_a_target(site: serving.Site, target: str) -> None:
    """A target may be absolute, and its path percent-encoded (RFC 9112 section 3.2.2)."""
    with site.client() as client:
        assert client.upgrade(target).status == 101


def test_door_shows_handlers_the_handshake(site: serving.Site) -> None:
    """Handlers see the request as WSGI has it: bytes as latin-1, duplicates joined, no with "_" dropped."""
    headers = "X-Two: a\r\nX-Two: b\r\nX_Two: c\r\nX-Bytes: \xe9\xff\r\n"
    with site.client() as client:
        client.upgrade(serving.WEBSOCKET + "&name=%C3%A9", headers=headers)
        client.send_text("40")
        environ = site.next_seen()[1]
    assert environ["HTTP_X_TWO"] == "a,b"
    assert environ["HTTP_X_BYTES"] == "\xe9\xff"
    assert environ["QUERY_STRING"].endswith("&name=%C3%A9")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.1", "http")


def test_door_hides_names_with_an_underscore_from_the_application(site: serving.Site) -> None:
    """The application's own requests are kept clean of them too: `X_Forwarded_For` would fool ProxyFix."""
    with site.client() as client:
        answer = client.request("GET", "/anything", headers="X_Forwarded_For: 1.2.3.4\r\n")
        assert answer.body == b"the application: /anything for nobody"


class Broken:
    """A middleware with a fault."""

    wraps = True

    def rewrite(self, environ: dict[str, Any]) -> dict[str, Any]:
        """Fail."""
        raise ValueError


def test_door_answers_500_where_a_middleware_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged with its traceback, and the peer is not left waiting."""
    with serving.serve(middleware=Broken()) as site, site.client() as client:
        assert client.upgrade(serving.WEBSOCKET).status == 500
        assert client.closed()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


def test_door_forgets_a_client_that_leaves_while_it_decides() -> None:
    """A peer that is gone before the verdict leaves no session behind, and nothing is logged as a failure."""
    asked, answer = serving.threading.Event(), serving.threading.Event()

    def allowed(origin: str) -> bool:
        asked.set()
        return answer.wait(serving.SECONDS)

    with serving.serve(serving.make_server(cors_allowed_origins=allowed)) as site:
        client = site.client()
        client.begin("GET", serving.WEBSOCKET, headers=raw.handshake_headers() + "Origin: http://a\r\n")
        assert asked.wait(serving.SECONDS)
        client.reset()
        answer.set()
        with site.client() as other:
            assert other.upgrade(serving.WEBSOCKET).status == 101
            assert raw.opened(other.read_text())
            while len(site.server.connections) > 1:
                other.send(raw.frame(raw.PING))
                other.read_frame()
