"""What the server answers over plain HTTP: the application's views, handshakes, origins and cookies."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import servers

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
FOREIGN = "http://foreign.example"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def session(self) -> dict[str, object]:
        """The opening packet of a handshake."""
        assert self.body[:1] == b"0", self.body
        return dict(json.loads(self.body[1:]))


def ask(
    server: servers.Server, path: str, method: str = "GET", body: bytes | None = None, **headers: Any
) -> Answer:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def serve_with(**options: object) -> Iterator[servers.Server]:
    """Run the application with options of its SocketIO."""
    with servers.serve("views.py", environment={"OPTIONS": json.dumps(options)}) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[servers.Server]:
    """A server with the default options."""
    yield from serve_with()


@pytest.fixture(scope="module")
def configured() -> Iterator[servers.Server]:
    """A server with a cookie, a list of origins, a path and a bound on bodies of its own."""
    yield from serve_with(
        cookie={"name": "io", "path": "/", "httponly": True},
        cors_allowed_origins=["http://friend.example", "https://other.example"],
        path="/own/path",
        max_http_buffer_size=1000,
    )


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[servers.Server]:
    """A server that every origin may use, with a cookie named by a text."""
    yield from serve_with(cors_allowed_origins="*", cookie="sticky", transports=["polling"])


def test_views_are_answered_beside_the_events(plain: servers.Server) -> None:
    """Flask's views get their requests whole and their answers arrive whole."""
    assert ask(plain, "/").body == b"index"
    answer = ask(plain, "/echo?color=red", "PUT", b"x" * 300_000)
    assert answer.body == b"x" * 300_000
    assert (answer.headers["X-Method"], answer.headers["X-Color"]) == ("PUT", "red")
    assert ask(plain, "/stream").body == b"line 0\nline 1\nline 2\n"


def test_unknown_paths_are_the_applications(plain: servers.Server) -> None:
    """A path that is not below /socket.io/ is answered by Flask."""
    assert ask(plain, "/missing").status == 404
    assert ask(plain, "/socket.io").status == 404
    assert ask(plain, "/socket.iox/?EIO=4&transport=polling").status == 404


def test_handshake_tells_the_defaults(plain: servers.Server) -> None:
    """The opening packet has the session's sid, intervals in milliseconds and the bound on payloads."""
    session = ask(plain, HANDSHAKE).session
    assert len(str(session.pop("sid"))) == 20
    assert session == {
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1000000,
    }


@pytest.mark.parametrize(
    "path",
    [
        "/socket.io/",
        "/socket.io/?EIO=4",
        "/socket.io/?EIO=4&transport=carrier-pigeon",
        "/socket.io/?EIO=3&transport=polling",
        "/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?EIO=4&transport=polling&sid=unknown",
    ],
)
def test_impossible_requests_are_refused(plain: servers.Server, path: str) -> None:
    """A request that can open or continue no session is answered with 400."""
    assert ask(plain, path).status == 400


def test_accepted_client_is_told_so_before_anything_else(plain: servers.Server) -> None:
    """The CONNECT answer precedes what the connect handler emitted."""
    session = f"{HANDSHAKE}&sid={ask(plain, HANDSHAKE + '&length=3').session['sid']}"
    assert ask(plain, session, "POST", b"40").status == 200
    received = b""
    while b"early" not in received:
        received += ask(plain, session).body + b"\x1e"
    packets = received.split(b"\x1e")
    assert packets[0].startswith(b'40{"sid":"')
    assert packets[1] == b'42["early","xxx"]'
    assert ask(plain, session, "POST", b"1").status == 200


def test_long_answers_are_compressed_for_who_takes_it(plain: servers.Server) -> None:
    """A poll's answer over the threshold is compressed when the client says that it accepts gzip."""
    session = f"{HANDSHAKE}&sid={ask(plain, HANDSHAKE + '&length=5000').session['sid']}"
    ask(plain, session, "POST", b"40")
    received = b""
    compressed = False
    while b"early" not in received:
        answer = ask(plain, session, Accept_Encoding="gzip")
        compressed = answer.headers["Content-Encoding"] == "gzip"
        received += gzip.decompress(answer.body) if compressed else answer.body
    assert compressed
    ask(plain, session, "POST", b"1")


def test_json_with_padding_is_answered_as_a_script(plain: servers.Server) -> None:
    """A handshake with j= is a call of the client's function."""
    assert ask(plain, f"{HANDSHAKE}&j=7").body.startswith(b"___eio[7](")


def test_foreign_origins_are_refused_by_default(plain: servers.Server) -> None:
    """Without an option, a page of another origin opens no session and our own page does."""
    assert ask(plain, HANDSHAKE, Origin=FOREIGN).status in (400, 403)
    answer = ask(plain, HANDSHAKE, Origin=plain.url)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, plain.url)


def test_foreign_origins_are_refused_a_websocket(plain: servers.Server) -> None:
    """The origin is checked before a connection is upgraded."""
    upgrade: dict[str, Any] = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    upgrade["Sec_WebSocket_Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    path = "/socket.io/?EIO=4&transport=websocket"
    assert ask(plain, path, Origin=FOREIGN, **upgrade).status in (400, 403)
    assert ask(plain, path, Origin=plain.url, **upgrade).status == 101


def test_listed_origins_are_accepted(configured: servers.Server) -> None:
    """An origin of the list is accepted, named in the answer, and allowed its credentials; no other is."""
    path = "/own/path/?EIO=4&transport=polling"
    answer = ask(configured, path, Origin="http://friend.example")
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "http://friend.example"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert ask(configured, path, Origin="https://other.example").status == 200
    assert ask(configured, path, Origin=FOREIGN).status in (400, 403)
    assert ask(configured, path).status == 200


def test_preflight_requests_are_answered(configured: servers.Server) -> None:
    """A browser that asks first is told which methods and headers it may use."""
    answer = ask(
        configured,
        "/own/path/?EIO=4&transport=polling",
        "OPTIONS",
        Origin="http://friend.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="X-Color",
    )
    assert answer.status in (200, 204)
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "X-Color"
    assert answer.headers["Access-Control-Allow-Origin"] == "http://friend.example"


def test_own_path_takes_the_place_of_the_default_one(configured: servers.Server) -> None:
    """With path= the default path is the application's."""
    assert ask(configured, HANDSHAKE).status == 404


def test_cookie_holds_the_session(configured: servers.Server) -> None:
    """The handshake sets the cookie with its attributes, and no later answer does."""
    path = "/own/path/?EIO=4&transport=polling"
    answer = ask(configured, path)
    name, *attributes = [part.strip() for part in answer.headers["Set-Cookie"].split(";")]
    assert name == f"io={answer.session['sid']}"
    assert {part.lower() for part in attributes} >= {"path=/", "httponly"}
    later = ask(configured, f"{path}&sid={answer.session['sid']}", "POST", b"40")
    assert later.headers["Set-Cookie"] is None


def test_bodies_over_the_bound_are_refused(configured: servers.Server) -> None:
    """A POST over max_http_buffer_size is answered with an error, and one below it is not."""
    answer = ask(configured, "/own/path/?EIO=4&transport=polling")
    assert answer.session["maxPayload"] == 1000
    path = f"/own/path/?EIO=4&transport=polling&sid={answer.session['sid']}"
    assert ask(configured, path, "POST", b'42["' + b"x" * 2000 + b'"]').status in (400, 413)


def test_star_accepts_every_origin(open_to_all: servers.Server) -> None:
    """With '*' the origin that asks is the one that is allowed."""
    answer = ask(open_to_all, HANDSHAKE, Origin=FOREIGN)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, FOREIGN)


def test_cookie_named_by_a_text_has_the_default_attributes(open_to_all: servers.Server) -> None:
    """A cookie's name alone gives a cookie for the whole site that stays on it."""
    answer = ask(open_to_all, HANDSHAKE)
    name, *attributes = [part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")]
    assert name == f"sticky={answer.session['sid']}".lower()
    assert {"path=/", "samesite=lax"} <= set(attributes)


def test_transports_that_are_left_out_are_not_offered(open_to_all: servers.Server) -> None:
    """With polling alone the handshake offers no upgrade and a websocket is refused."""
    assert ask(open_to_all, HANDSHAKE).session["upgrades"] == []
    assert ask(open_to_all, "/socket.io/?EIO=4&transport=websocket").status == 400
