"""HTTP/1.1 responses as text, for sockets that no HTTP server writes to any more."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from carboy.transports.rewriting import Reply

_KNOWN = frozenset(HTTPStatus)


@lru_cache(maxsize=64)
def status_line(status: int) -> str:
    """Returns the code and the phrase of a status, as WSGI wants them, also of one that is unknown."""
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Unknown"
    return f"{status} {phrase}"


def response_head(reply: Reply, fixed: Iterable[tuple[bytes, bytes]] = (), *, close: bool = True) -> bytes:
    """Returns the head of a response.

    Args:
        reply: the response.
        fixed: headers that all responses of the server have.
        close: whether it closes its connection (RFC 9112 section 9.6).
    """
    text = f"HTTP/1.1 {status_line(reply.status)}\r\n"
    for name, value in reply.headers:
        text += f"{name}: {value}\r\n"
    end = b"Connection: close\r\n\r\n" if close else b"\r\n"
    head = f"{text}Content-Length: {len(reply.body)}\r\n".encode("latin-1")
    for field, content in fixed:
        head += field + b": " + content + b"\r\n"
    return head + end
