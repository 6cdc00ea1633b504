"""WSGI environments for requests that did not come over WSGI.

Everything behind the front ends sees a request as a WSGI environment, because that is what Flask makes its request of.
Header names with an underscore are dropped: merged with those that have a hyphen they would fool ProxyFix.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

Address = tuple[str, int]

_EMPTY = io.BytesIO()
_SCHEMES = {"ws": "http", "wss": "https"}
_PLAIN = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


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
        path: the decoded path below the root path, as text.
        query_string: what stands behind the question mark.
        headers: names and values as they came.
        scheme: "http" or "https".
        http_version: for example "1.1".
        server: host and port of the server; a path and None for a Unix socket.
        client: host and port of the client, or None.
        root_path: where the application is mounted.

    Returns:
        The environment, with an empty body.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": _to_wsgi(root_path),
        "PATH_INFO": _to_wsgi(path),
        "QUERY_STRING": query_string,
        "SERVER_PROTOCOL": f"HTTP/{http_version}",
        "SERVER_NAME": server[0] if server and server[1] else "localhost",
        "SERVER_PORT": str(server[1] if server and server[1] else 80),
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
    root_path = scope.get("root_path", "")
    path = scope["path"]
    if root_path and path.startswith(root_path):
        path = path[len(root_path) :]
    scheme = scope.get("scheme", "http")
    return build_environ(
        method=scope.get("method", "GET"),
        path=path,
        query_string=scope.get("query_string", b"").decode("latin-1"),
        headers=scope["headers"],
        scheme=_SCHEMES.get(scheme, scheme),
        http_version=scope.get("http_version", "1.1"),
        server=scope.get("server"),
        client=scope.get("client"),
        root_path=root_path,
    )


def environ_of_head(head: bytes, *, scheme: str, server: Any, client: Any) -> dict[str, Any]:
    """Builds the WSGI environment of a request's head, which a well-kept parser has checked before.

    Args:
        head: request line and headers, to the empty line.
        scheme: "http" or "https".
        server: host and port of the server.
        client: host and port of the client.
    """
    request_line, *lines = head.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    method, target, version = request_line.decode("latin-1").split(" ", 2)
    path, _, query_string = target.partition("?")
    pairs = (line.partition(b":") for line in lines if line)
    return build_environ(
        method=method,
        path=unquote_to_bytes(path).decode("utf-8", "replace"),
        query_string=query_string,
        headers=[(name.strip(), value.strip()) for name, _, value in pairs],
        scheme=scheme,
        http_version=version.rpartition("/")[2],
        server=server,
        client=client,
    )


def _add_header(environ: dict[str, Any], name: bytes, value: bytes) -> None:
    lower = name.lower()
    key = _PLAIN.get(lower) or "HTTP_" + lower.decode("latin-1").upper().replace("-", "_")
    text = value.decode("latin-1")
    if key in environ:
        environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + text
    else:
        environ[key] = text


def _to_wsgi(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
