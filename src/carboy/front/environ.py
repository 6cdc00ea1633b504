"""WSGI environments for requests that did not come over WSGI.

Everything behind the front ends sees a request as a WSGI environment, because that is what Flask makes its
request of. Header names with an underscore are dropped: merged with those that have a hyphen they would fool
ProxyFix.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

_EMPTY = io.BytesIO()
_SCHEMES = {"ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_PLAIN = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
_ABSOLUTE = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")

_PROTOCOLS = {"1.1": "HTTP/1.1"}

Environ = dict[str, Any]

SHARED_LENGTH = 256
"""Bytes of a header up to which equal ones are one text: the environment of a client lives as long as it."""


def environ_of_connection(
    *, scheme: str, server: Any = None, client: Any = None, root_path: str = ""
) -> Environ:
    """Builds the part of the environment that all requests of a connection share (PEP 3333).

    Args:
        scheme: "http" or "https".
        server: host and port of the server; a path and None for a Unix socket.
        client: host and port of the client, or None.
        root_path: where the application is mounted.

    Returns:
        It, with an empty body.
    """
    host, port = server or ("", None)
    environ: Environ = {
        "SCRIPT_NAME": _to_wsgi(root_path),
        "SERVER_NAME": host if port else "localhost",
        "SERVER_PORT": _shared_number(port) if port else _DEFAULT_PORTS.get(scheme, "80"),
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": _EMPTY,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if client:
        environ["REMOTE_PORT"] = str(client[1])
    return environ


def environ_of_request(
    connection: Environ,
    *,
    method: str,
    path: str,
    query_string: str,
    headers: Iterable[tuple[bytes, bytes]],
    http_version: str,
) -> Environ:
    """Builds the WSGI environment of a request (PEP 3333).

    Args:
        connection: the part that it shares with other requests; it is copied.
        method: the HTTP method.
        path: the percent-decoded path below the root path, its bytes as latin-1.
        query_string: what stands behind the question mark.
        headers: names and values as they came.
        http_version: for example "1.1".
    """
    environ = connection.copy()
    environ["REQUEST_METHOD"] = method
    environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = query_string
    environ["SERVER_PROTOCOL"] = _PROTOCOLS.get(http_version) or f"HTTP/{http_version}"
    for name, value in headers:
        if b"_" not in name:
            _add_header(environ, name, value)
    return environ


def environ_of_scope(scope: Mapping[str, Any]) -> Environ:
    """Builds the WSGI environment of an ASGI scope, HTTP or websocket."""
    scheme: str = scope.get("scheme", "http")
    return environ_of_request(
        environ_of_connection(
            scheme=_SCHEMES.get(scheme, scheme),
            server=scope.get("server"),
            client=scope.get("client"),
            root_path=scope.get("root_path", ""),
        ),
        method=scope.get("method", "GET"),
        path=_to_wsgi(path_of_scope(scope)),
        query_string=scope.get("query_string", b"").decode("latin-1"),
        headers=scope["headers"],
        http_version=scope.get("http_version", "1.1"),
    )


def path_of_scope(scope: Mapping[str, Any]) -> str:
    """Returns the path of an ASGI scope below the root path, which some servers repeat there."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "").rstrip("/")
    below = path.startswith(root_path) and path[len(root_path) :][:1] in ("", "/")
    return path[len(root_path) :] if below else path


def split_target(target: bytes) -> tuple[str, str]:
    """Splits the target of a request into the path as `environ_of_request` wants it, and the query string."""
    path, _, query_string = target.decode("latin-1").partition("?")
    if path[:1] != "/":
        path, _, query_string = _ABSOLUTE.sub("", target.decode("latin-1"), count=1).partition("?")
    if "%" in path:
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    return path or "/", query_string


def _add_header(environ: Environ, name: bytes, value: bytes) -> None:
    key = _key(name) if len(name) <= SHARED_LENGTH else _key.__wrapped__(name)
    text = _text(value) if len(value) <= SHARED_LENGTH else value.decode("latin-1")
    if key in environ:
        environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + text
    else:
        environ[key] = text


@lru_cache(maxsize=512)
def _key(name: bytes) -> str:
    lower = name.lower()
    return _PLAIN.get(lower) or "HTTP_" + lower.decode("latin-1").upper().replace("-", "_")


@lru_cache(maxsize=1024)
def _text(value: bytes) -> str:
    return value.decode("latin-1")


@lru_cache(maxsize=64)
def _shared_number(number: int) -> str:
    return str(number)


def _to_wsgi(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
