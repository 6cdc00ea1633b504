"""WSGI environments for requests that did not come over WSGI."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polled import environ_of_head

from carboy.front.environ import environ_of_connection, environ_of_request, environ_of_scope, path_of_scope


def of_head(target: str, headers: bytes = b"", **given: Any) -> dict[str, Any]:
    """Return the environment of a head."""
    given = {"scheme": "http", "server": ("127.0.0.1", 5000), "client": ("10.0.0.1", 40000), **given}
    return environ_of_head(f"GET {target} HTTP/1.1\r\n".encode("latin-1") + headers + b"\r\n", **given)


def of_scope(**given: Any) -> dict[str, Any]:
    """Return the environment of a scope."""
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], **given}
    return environ_of_scope(scope)


def test_environ_has_all_that_pep_3333_demands() -> None:
    """Every variable is there, strings are strings, and the body is empty."""
    environ = of_head("/a?b=c")
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a",
        "QUERY_STRING": "b=c",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.1",
        "REMOTE_PORT": "40000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
    }
    assert {name: environ[name] for name in expected} == expected
    assert environ["wsgi.input"].read() == b""
    assert {"wsgi.errors", "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"} <= set(environ)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/socket.io/?EIO=4", "/socket.io/", "EIO=4"),
        ("/%C3%A9?%C3%A9=%26", "/\xc3\xa9", "%C3%A9=%26"),
        ("/%ff%00", "/\xff\x00", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/a;b=c//d", "/a;b=c//d", ""),
        ("http://host:80/a?b", "/a", "b"),
        ("HTTPS://host/a", "/a", ""),
        ("http://host?b", "/", "b"),
        ("/http://host/a", "/http://host/a", ""),
        ("/\xe9", "/\xe9", ""),
    ],
)
def test_environ_of_a_head_has_the_bytes_of_its_target(target: str, path: str, query: str) -> None:
    """PATH_INFO is percent-decoded, its bytes as latin-1; QUERY_STRING is as it came."""
    environ = of_head(target)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)


@given(st.binary(max_size=30))
def test_environ_of_a_head_keeps_any_bytes_of_a_path(path: bytes) -> None:
    """Whatever was percent-encoded is in PATH_INFO, byte by byte."""
    target = "/" + "".join(f"%{byte:02x}" for byte in path)
    assert of_head(target)["PATH_INFO"].encode("latin-1") == b"/" + path


def test_environ_merges_headers_as_wsgi_servers_do() -> None:
    """Duplicates are joined, cookies with "; "; whitespace is stripped; bytes are latin-1."""
    headers = b"Cookie: a=1\r\nX-A:1 \r\nx-a: \t2\r\nCookie: b=2\r\nX-B: \xe9\r\n"
    headers += b"Content-Type: t\r\nContent-Length: 0\r\n"
    environ = of_head("/", headers)
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert (environ["HTTP_X_A"], environ["HTTP_X_B"]) == ("1,2", "\xe9")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("t", "0")
    assert "HTTP_CONTENT_TYPE" not in environ


def test_environ_has_no_header_with_an_underscore() -> None:
    """`X_Forwarded_For` would be merged with `X-Forwarded-For`, which a proxy has set."""
    environ = of_head(
        "/", b"X-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 2.2.2.2\r\nX-Forwarded_For: 3.3.3.3\r\n"
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == "1.1.1.1"


def test_environ_shares_the_headers_that_many_clients_send() -> None:
    """Equal headers of two clients are one object, so that an idle client is cheap."""
    first, second = (
        of_head("/", b"User-Agent: Browser\r\nX-Long: " + b"x" * 999 + b"\r\n") for _ in range(2)
    )
    assert first["HTTP_USER_AGENT"] is second["HTTP_USER_AGENT"]
    assert first["HTTP_X_LONG"] is not second["HTTP_X_LONG"]
    names = b"X-" + b"n" * 999
    assert of_head("/", names + b": 1\r\n")["HTTP_X_" + "N" * 999] == "1"


def test_environ_is_each_request_s_own() -> None:
    """What middleware or a handler changes in it is not seen by the next request of the connection."""
    connection = environ_of_connection(scheme="http", client=("10.0.0.1", 1))
    given: Any = {"method": "GET", "path": "/", "query_string": "", "headers": [], "http_version": "1.1"}
    environ_of_request(connection, **given)["REMOTE_ADDR"] = "changed"
    assert environ_of_request(connection, **given)["REMOTE_ADDR"] == "10.0.0.1"


def test_environ_of_ipv6_and_unix_sockets() -> None:
    """IPv6 addresses stand without brackets; a client of a Unix socket has no address."""
    environ = of_head("/", server=("::1", 5000), client=("fe80::1", 1))
    assert (environ["SERVER_NAME"], environ["REMOTE_ADDR"]) == ("::1", "fe80::1")
    for server in (None, ("/run/socket", None)):
        environ = of_head("/", server=server, client=None, scheme="https")
        assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == (
            "localhost",
            "443",
            "",
        )
        assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize(("scheme", "expected"), [("ws", "http"), ("wss", "https"), ("http", "http")])
def test_environ_of_a_scope_has_the_scheme_of_the_page(scheme: str, expected: str) -> None:
    """A websocket's scheme is that of the HTTP that it began as; its method is GET."""
    environ = of_scope(type="websocket", scheme=scheme, method="GET")
    assert (environ["wsgi.url_scheme"], environ["REQUEST_METHOD"]) == (expected, "GET")


def test_environ_of_a_scope_encodes_its_text() -> None:
    """ASGI decodes the path as UTF-8; WSGI wants the bytes back."""
    environ = of_scope(
        path="/root/\u00e9",
        root_path="/root",
        query_string=b"a=\xff",
        client=("::1", 2),
        headers=[(b"x-a", b"1")],
    )
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/root", "/\xc3\xa9")
    assert (environ["QUERY_STRING"], environ["REMOTE_ADDR"], environ["HTTP_X_A"]) == ("a=\xff", "::1", "1")


@pytest.mark.parametrize(
    ("root_path", "path", "below"),
    [
        ("", "/a", "/a"),
        ("/root", "/root/a", "/a"),
        ("/root/", "/root/a", "/a"),
        ("/root", "/a", "/a"),
        ("/root", "/rooted/a", "/rooted/a"),
        ("/root", "/root", ""),
    ],
)
def test_path_of_a_scope_is_below_the_root_path(root_path: str, path: str, below: str) -> None:
    """Some servers repeat the root path in the path (as the specification has it), some do not."""
    assert path_of_scope({"path": path, "root_path": root_path}) == below


def test_environ_has_a_root_path_on_every_way() -> None:
    """The door for websockets shows the same SCRIPT_NAME as the requests beside it."""
    assert of_head("/a", root_path="/\u00e9")["SCRIPT_NAME"] == of_scope(root_path="/\u00e9")["SCRIPT_NAME"]
    assert of_scope(http_version="2")["SERVER_PROTOCOL"] == "HTTP/2"
