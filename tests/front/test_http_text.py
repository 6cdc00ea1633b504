"""HTTP responses as text."""

from __future__ import annotations

from carboy.front.http_text import response_head, status_line
from carboy.transports.rewriting import Reply


def test_status_line_has_code_and_phrase() -> None:
    """As WSGI wants it."""
    assert status_line(413).startswith("413 ")
    assert status_line(200) == "200 OK"
    assert status_line(499) == "499 Unknown"


def test_head_tells_length_and_end() -> None:
    """RFC 9112 sections 6.2 and 9.6."""
    head = response_head(Reply(400, [("Content-Type", "text/plain")], b"no"))
    assert head == (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n"
    )


def test_head_of_a_connection_that_stays_has_what_all_responses_have() -> None:
    """Nothing is said about the connection, which HTTP/1.1 keeps."""
    head = response_head(Reply(204), [(b"date", b"today")], close=False)
    assert head == b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\ndate: today\r\n\r\n"
