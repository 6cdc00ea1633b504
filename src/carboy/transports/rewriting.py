"""How handshakes come through the WSGI middleware around an application, where the server is not WSGI.

It happens in a thread, since middleware may block; where there is none, nothing happens at all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from carboy.engineio.requests import parse_query
from carboy.exceptions import RequestError

Headers = Sequence[tuple[str, str]]

_PLAIN_SID = re.compile(r"(?:\A|&)sid=[^&]")
_FIT_FOR_A_HEAD = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110 section 5.5


class Reply(NamedTuple):
    """An HTTP response.

    Attributes:
        status: the status code.
        headers: names and values, without Content-Length.
        body: the body.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


class AnsweredError(RequestError):
    """A middleware has answered a handshake itself, which refuses it.

    Args:
        reply: its answer.

    Attributes:
        reply: its answer.

    Raises:
        ValueError: if one of its headers would end the head, or has bytes that cannot stand there.
    """

    def __init__(self, reply: Reply) -> None:
        for name, value in reply.headers:
            if not _FIT_FOR_A_HEAD.fullmatch(name + value):
                raise ValueError(f"a middleware answered with a header {name!r} that no head can hold")
        super().__init__(3, "Refused by a middleware", reply.status)
        self.reply = reply


class Middleware(Protocol):
    """The WSGI middleware around the application.

    Attributes:
        wraps: whether there is any; if not, `rewrite` never blocks.
    """

    @property
    def wraps(self) -> bool:
        """Returns whether there is any; if not, `rewrite` never blocks."""

    def rewrite(self, environ: dict[str, Any]) -> dict[str, Any] | Reply:
        """Returns what the environment becomes, or the reply of a middleware that answers itself."""


def is_looked_at(environ: dict[str, Any]) -> bool:
    """Returns whether anybody looks at the environment: a new session, or the check of an origin."""
    query_string = environ.get("QUERY_STRING", "")
    if "HTTP_ORIGIN" in environ or "sid=" not in query_string:
        return True
    if _PLAIN_SID.search(query_string) and query_string.count("sid=") == 1 and "%" not in query_string:
        return False  # most polls; reading all of the query twice would cost them a tenth
    try:
        return parse_query(query_string).sid is None  # `sid=&...` opens a session too
    except RequestError:
        return True


async def rewrite(middleware: Middleware | None, environ: dict[str, Any]) -> None:
    """Sends an environment through the middleware; it is changed in place.

    Args:
        middleware: the middleware; None where requests have come through it already.
        environ: the WSGI environment of a request.

    Raises:
        AnsweredError: if a middleware answers the request itself.
    """
    if middleware is None:
        return
    if middleware.wraps:
        loop = asyncio.get_running_loop()
        rewritten = await loop.run_in_executor(None, middleware.rewrite, environ)
    else:
        rewritten = middleware.rewrite(environ)
    if isinstance(rewritten, Reply):
        raise AnsweredError(rewritten)
    if rewritten is not environ:
        environ.clear()
        environ.update(rewritten)
