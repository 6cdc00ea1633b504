"""Environments that go through the middleware around an application."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from carboy.transports.rewriting import AnsweredError, Reply, is_looked_at, rewrite

HANDSHAKE = {"QUERY_STRING": "EIO=4&transport=polling"}


class Changes:
    """Middleware that changes every environment, or answers itself."""

    wraps = True

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply
        self.threads: list[threading.Thread] = []

    def rewrite(self, environ: dict[str, Any]) -> dict[str, Any] | Reply:
        """Change the environment."""
        self.threads.append(threading.current_thread())
        return self.reply or {"changed": True, "HTTP_HOST": environ.get("HTTP_HOST")}


def test_environment_is_changed_in_place_in_another_thread() -> None:
    """Middleware may block, and everything behind sees what it made."""
    middleware, environ = Changes(), dict(HANDSHAKE, HTTP_HOST="example.com")
    asyncio.run(rewrite(middleware, environ))
    assert environ == {"changed": True, "HTTP_HOST": "example.com"}
    assert middleware.threads[0] is not threading.main_thread()


def test_without_middleware_no_thread_is_asked() -> None:
    """A handshake costs nothing more then."""
    middleware, environ = Changes(), dict(HANDSHAKE)
    middleware.wraps = False
    asyncio.run(rewrite(middleware, environ))
    assert environ["changed"]
    assert middleware.threads == [threading.main_thread()]
    asyncio.run(rewrite(None, environ))


def test_answer_of_a_middleware_refuses() -> None:
    """With its own status, headers and body."""
    reply = Reply(401, [("WWW-Authenticate", "Basic")], b"who are you?")
    with pytest.raises(AnsweredError) as caught:
        asyncio.run(rewrite(Changes(reply), dict(HANDSHAKE)))
    assert caught.value.reply is reply
    assert caught.value.status == 401


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "\0", "\u20ac"])
def test_answer_that_would_break_the_head_is_a_failure(value: str) -> None:
    """What a peer sent may have come into a header: it must not add one, or end the head."""
    with pytest.raises(ValueError, match="Location"):
        asyncio.run(rewrite(Changes(Reply(302, [("Location", value)])), dict(HANDSHAKE)))


@pytest.mark.parametrize(
    ("environ", "needed"),
    [
        (HANDSHAKE, True),
        ({"QUERY_STRING": "EIO=4&sid=a"}, False),
        ({"QUERY_STRING": "EIO=4&sid="}, True),  # each of these opens a session
        ({"QUERY_STRING": "EIO=4&sid=&sid=a"}, True),
        ({"QUERY_STRING": "EIO=4&xsid=a"}, True),
        ({"QUERY_STRING": "EIO=4&a=sid=b"}, True),
        ({"QUERY_STRING": "s%69d=&sid=a"}, True),
        ({"QUERY_STRING": "EIO=4&token=%20&xsid=a&sid=a"}, False),
        ({"QUERY_STRING": "EIO=4&sid=a", "HTTP_ORIGIN": "http://a"}, True),
    ],
)
def test_only_what_is_looked_at_is_rewritten(environ: dict[str, Any], needed: bool) -> None:
    """Handshakes, which handlers see; and the requests of pages, whose origin is checked."""
    assert is_looked_at(environ) is needed
