"""What another worker is told of a request; `tests/front/workers` has what it makes of it."""

from __future__ import annotations

from carboy.transports.other_worker import relayed_fields


def test_owner_is_told_what_its_session_needs_to_know() -> None:
    """Nothing that a session does not look at travels, secrets least of all."""
    environ = {
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "sid=1",
        "HTTP_COOKIE": "session=secret",
        "HTTP_ACCEPT_ENCODING": "gzip",
        "wsgi.input": object(),
    }
    assert relayed_fields(environ) == {
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "sid=1",
        "HTTP_ACCEPT_ENCODING": "gzip",
    }
