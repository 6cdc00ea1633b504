"""Fuzz targets for what reads requests: queries, handshakes, headers and whole heads.

Each takes any bytes. Bad input may raise `RemoteError` and nothing else, and nothing of it may break the
answer's headers.
"""

from __future__ import annotations

import re
from itertools import product

import httptools

from carboy.engineio.content_encoding import choose_encoding
from carboy.engineio.cookies import session_cookie
from carboy.engineio.origins import OriginPolicy
from carboy.engineio.requests import (
    Query,
    check_request,
    check_websocket_handshake,
    error_body,
    is_websocket_upgrade,
    parse_query,
)
from carboy.exceptions import ConfigurationError, RemoteError, RequestError
from carboy.front.environ import environ_of_connection, environ_of_request, split_target

TRANSPORTS = frozenset({"polling", "websocket"})
MAX_QUERY = 200
_SAFE = re.compile(r"[ -~\t]*")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")

POLICIES = [
    OriginPolicy(),
    OriginPolicy("*"),
    OriginPolicy([]),
    OriginPolicy(["https://example.com", "*.example.org", "null"], credentials=False),
    OriginPolicy(re.compile(r"https://[a-z]+\.example\.net")),
    OriginPolicy(lambda origin: "example" in origin),
]

QUERY_SEEDS = [
    b"GET\ntransport=polling&EIO=4&t=abc",
    b"POST\ntransport=websocket&EIO=4&sid=6FjYKlBYKEBblvy9AAAA&j=1&b64=1",
    b"GET\n%74ransport=p%6flling&EIO=4&j=99999999999&sid=",
    b"PUT\ntransport=__proto__&EIO=3&EIO=4&&=&x",
]
HANDSHAKE_SEEDS = [
    b"GET\nHTTP/1.1\nwebsocket\nUpgrade\n13\nAAECAwQFBgcICQoLDA0ODw==\n\n",
    b"GET\nHTTP/1.1\nfoo, WebSocket\nkeep-alive, Upgrade\n8\nx\n3\nchunked",
    b"POST\nHTTP/2\nwebsocket\nUpgrade\n13\nAAECAwQFBgcICQoLDA0ODw==\n0\n",
]
HEADER_SEEDS = [
    b"https://example.com\nexample.com\ngzip, deflate;q=0, *;q=0.5\nx-token, content-type",
    b"null\n[::1]:5000\n*\nx",
    b"http://a.b.example.org:80\n\nbr;q=1.0,deflate;q=0.001\n\r\nSet-Cookie: x=1",
]
HEAD_SEEDS = [
    b"GET /socket.io/?EIO=4 HTTP/1.1\r\nConnection: Upgrade\r\nCookie: a=1\r\nCookie: b=2\r\nX_Y: 1\r\n\r\n",
    b"GET http://example.com/a%2Fb?c HTTP/1.1\r\nContent-Length: 0\r\nX:\t1 \r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: \xff\r\n\r\n",
]


def query(data: bytes) -> None:
    """A method and a query string, checked for a session of each kind."""
    method, _, text = data.decode("latin-1").partition("\n")
    try:
        parsed = parse_query(text, max_length=MAX_QUERY)
    except RequestError as error:
        _answer(error)
        return
    assert len(text) <= MAX_QUERY
    assert parsed.jsonp is None or 0 <= parsed.jsonp < 10**10
    for session_transport, upgrade in product((None, "polling", "websocket"), (False, True)):
        _check(parsed, method, upgrade, session_transport)


def _check(parsed: Query, method: str, upgrade: bool, session_transport: str | None) -> None:
    try:
        check_request(
            parsed,
            method=method,
            upgrade=upgrade,
            transports=TRANSPORTS,
            session_transport=session_transport,
        )
    except RequestError as error:
        _answer(error)
        return
    assert parsed.transport in TRANSPORTS
    assert parsed.version == "4"
    assert method in {"GET", "POST"}
    assert parsed.sid is None or session_transport is not None


def handshake(data: bytes) -> None:
    """The lines of an opening handshake: what is accepted has a key that may be put into our own head."""
    names = (
        "REQUEST_METHOD", "SERVER_PROTOCOL", "HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_SEC_WEBSOCKET_VERSION",
        "HTTP_SEC_WEBSOCKET_KEY", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING",
    )  # fmt: skip
    environ = dict(zip(names, data.decode("latin-1").split("\n"), strict=False))
    upgrade = is_websocket_upgrade(environ)
    try:
        key = check_websocket_handshake(environ)
    except RequestError as error:
        _answer(error)
    else:
        assert upgrade
        assert _KEY.fullmatch(key)


def headers(data: bytes) -> None:
    """Origin, Host, Accept-Encoding and Access-Control-Request-Headers: none ends a header of the answer."""
    lines = (data.decode("latin-1").split("\n", 3) + [""] * 4)[:4]
    origin, host, accept_encoding, requested = lines
    environ = {
        "wsgi.url_scheme": "https",
        "HTTP_HOST": host,
        "HTTP_ORIGIN": origin,
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": requested,
    }
    assert choose_encoding(accept_encoding) in {None, "gzip", "deflate"}
    for policy in POLICIES:
        allowed = policy.allows(origin, environ)
        for name, value in policy.headers(environ, allowed) + policy.preflight_headers(environ):
            assert _SAFE.fullmatch(value), (name, value)
        line = policy.explain_refusal(origin, environ)
        assert len(line) < 1200
        assert _SAFE.fullmatch(line)
    try:
        cookie = session_cookie({"name": origin, "path": host}, "6FjYKlBYKEBblvy9AAAA")
    except ConfigurationError:
        return
    assert cookie is not None
    assert _SAFE.fullmatch(cookie)


def head(data: bytes) -> None:
    """The head of a request that the parser has taken: it makes an environment whose keys are in order."""
    if b"\r\n\r\n" not in data:
        return
    data = data[: data.index(b"\r\n\r\n") + 4]
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return
    if not seen.complete:
        return
    path, query_string = split_target(seen.url)
    environ = environ_of_request(
        environ_of_connection(scheme="http"),
        method=parser.get_method().decode(),
        path=path,
        query_string=query_string,
        headers=seen.headers,
        http_version=parser.get_http_version(),
    )
    assert environ["REQUEST_METHOD"] == parser.get_method().decode()
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            assert key == key.upper() or not key.isascii()
            assert "\n" not in value
    try:
        parse_query(environ["QUERY_STRING"])
        check_websocket_handshake(environ)
    except RemoteError:
        pass


class _Seen:
    """What the parser reported of one head."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


def _answer(error: RequestError) -> None:
    assert 400 <= error.status < 500
    assert _SAFE.fullmatch(error_body(error).decode())
