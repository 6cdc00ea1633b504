"""HTTP/1.1 responses as text, for sockets that no HTTP server writes to any more."""

from __future__ import annotations

from http import HTTPStatus

from carboy.transports.rewriting import Reply


def status_line(status: int) -> str:
    """Returns the code and the phrase of a status, as WSGI wants them."""
    return f"{status} {HTTPStatus(status).phrase}"


def response_head(reply: Reply) -> bytes:
    """Returns the head of a response that closes its connection (RFC 9112 section 9.6)."""
    lines = [f"HTTP/1.1 {status_line(reply.status)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines += [f"Content-Length: {len(reply.body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")
