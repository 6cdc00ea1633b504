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

SHARED_LENGTH = 256
"""Bytes of a header up to which equal ones are one text: the environment of a client lives as long as it."""


def build_environ(
    *,
    method: str,
    path: str,
    query_string: str,
    headers: Iterable[tuple[bytes, bytes]],
    scheme: str,
    http_version: str,
    server: Any = None,
    client: Any = None,
    root_path: str = "",
) -> dict[str, Any]:
    """Builds the WSGI environment of a request (PEP 3333).

    Args:
        method: the HTTP method.
        path: the percent-decoded path below the root path, its bytes as latin-1.
        query_string: what stands behind the question mark.
        headers: names and values as they came.
        scheme: "http" or "https".
        http_version: for example "1.1".
        server: host and port of the server; a path and None for a Unix socket.
        client: host and port of the client, or None.
        root_path: where the application is mounted, in the same form.

    Returns:
        The environment, with an empty body.
    """
    host, port = server or ("", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": root_path,
        "PATH_INFO": path,
        "QUERY_STRING": query_string,
        "SERVER_PROTOCOL": f"HTTP/{http_version}",
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
    for name, value in headers:
        if b"_" not in name:
            _add_header(environ, name, value)
    return environ


def environ_of_scope(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Builds the WSGI environment of an ASGI scope, HTTP or websocket."""
    scheme: str = scope.get("scheme", "http")
    return build_environ(
        method=scope.get("method", "GET"),
        path=_to_wsgi(path_of_scope(scope)),
        query_string=scope.get("query_string", b"").decode("latin-1"),
        headers=scope["headers"],
        scheme=_SCHEMES.get(scheme, scheme),
        http_version=scope.get("http_version", "1.1"),
        server=scope.get("server"),
        client=scope.get("client"),
        root_path=_to_wsgi(scope.get("root_path", "")),
    )


def path_of_scope(scope: Mapping[str, Any]) -> str:
    """Returns the path of an ASGI scope below the root path, which some servers repeat there."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "").rstrip("/")
    below = path.startswith(root_path) and path[len(root_path) :][:1] in ("", "/")
    return path[len(root_path) :] if below else path


def environ_of_head(
    head: bytes, *, scheme: str, server: Any, client: Any, root_path: str = ""
) -> dict[str, Any]:
    """Builds the WSGI environment of a request's head, which a well-kept parser has checked before.

    Args:
        head: request line and headers, to the empty line.
        scheme: "http" or "https".
        server: host and port of the server.
        client: host and port of the client.
        root_path: where the application is mounted.
    """
    request_line, *lines = head.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    method, target, version = request_line.decode("latin-1").split(" ", 2)
    path, _, query_string = _ABSOLUTE.sub("", target, count=1).partition("?")
    pairs = (line.partition(b":") for line in lines if line)
    return build_environ(
        method=method,
        path=unquote_to_bytes(path.encode("latin-1")).decode("latin-1") or "/",
        query_string=query_string,
        headers=[(name.strip(), value.strip()) for name, _, value in pairs],
        scheme=scheme,
        http_version=version.rpartition("/")[2],
        server=server,
        client=client,
        root_path=_to_wsgi(root_path),
    )


def _add_header(environ: dict[str, Any], name: bytes, value: bytes) -> None:
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
