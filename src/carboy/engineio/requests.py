"""The checks of a request: its query, and the opening handshake of a websocket.

Must not look a session up, read a body or check the origin: callers bring what they know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from carboy.exceptions import RequestError

PROTOCOL = "4"
MAX_QUERY_LENGTH = 65536

_NAMES = frozenset({"transport", "sid", "EIO", "j", "b64"})
_INDEX = re.compile(r"[0-9]{1,10}")
_HTTP_VERSION = re.compile(r"HTTP/([0-9])(?:\.([0-9]))?")
# 22 digits of 6 bits are the 16 bytes, and 4 bits that do not count.
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")


class Query(NamedTuple):
    """What a request says about itself.

    Attributes:
        transport: the name of a transport, or whatever stood there; "" if nothing did.
        sid: the id of the session; None in a handshake.
        version: the revision of the protocol; "" if it is missing.
        jsonp: the index of the callback that a JSONP client waits with; None for others.
        base64: whether the client wants binary messages as text, also on a websocket.
    """

    transport: str
    sid: str | None
    version: str
    jsonp: int | None = None
    base64: bool = False


def parse_query(query_string: str, *, max_length: int = MAX_QUERY_LENGTH) -> Query:
    """Reads the query string; what an application put there for itself is left alone.

    Args:
        query_string: QUERY_STRING of the WSGI environment.
        max_length: characters that it may have.

    Returns:
        The query. Of a repeated name the first counts, as in Flask's `request.args`.

    Raises:
        RequestError: if it is too long, or the index of JSONP is no number.
    """
    if len(query_string) > max_length:
        raise _bad_request()
    values: dict[str, str] = {}
    for field in query_string.split("&"):
        name, _, value = field.partition("=")
        name = unquote_plus(name) if "%" in name else name
        if name in _NAMES:
            values.setdefault(name, unquote_plus(value) if "%" in value or "+" in value else value)
    return Query(
        values.get("transport", ""),
        values.get("sid") or None,  # an empty one is a handshake (Node behaviour)
        values.get("EIO", ""),
        _index(values["j"]) if "j" in values else None,
        values.get("b64", "") not in ("", "0", "false"),
    )


def check_request(
    query: Query,
    *,
    method: str,
    upgrade: bool,
    transports: frozenset[str],
    session_transport: str | None,
    allow_upgrades: bool = True,
) -> None:
    """Checks a request in the order in which Node does, so that the answers to wrong ones are Node's.

    CORS preflights (OPTIONS) have been answered before.

    Args:
        query: the query.
        method: the HTTP method.
        upgrade: whether it asks to become a websocket (`is_websocket_upgrade`).
        transports: the transports that are offered.
        session_transport: what carries the session that `query.sid` names; None if there is none.
        allow_upgrades: whether a polling session may move to a websocket.

    Raises:
        RequestError: if it is refused.
    """
    if query.transport not in transports:
        raise RequestError(0, "Transport unknown")
    if query.sid is None:
        _check_opening(query, method, upgrade)
    elif session_transport is None:
        raise RequestError(1, "Session ID unknown")
    else:
        _check_next(query, method, upgrade, session_transport, allow_upgrades)


def _check_opening(query: Query, method: str, upgrade: bool) -> None:
    if method != "GET":
        raise RequestError(2, "Bad handshake method")
    if upgrade != (query.transport == "websocket"):
        raise _bad_request()
    if query.version != PROTOCOL:
        raise RequestError(5, "Unsupported protocol version")


def _check_next(
    query: Query, method: str, upgrade: bool, session_transport: str, allow_upgrades: bool
) -> None:
    # Node answers 500 to other methods, and lets an upgrade for polling hang; both are refused here.
    if method not in ("GET", "POST"):
        raise RequestError(2, "Bad handshake method", 405)
    if upgrade != (query.transport == "websocket") or query.version != PROTOCOL:
        raise _bad_request()
    if query.transport != session_transport and not (upgrade and allow_upgrades):
        raise _bad_request()


def error_body(error: RequestError) -> bytes:
    """Returns the body of the answer to a refused request, of the type application/json."""
    return json.dumps({"code": error.code, "message": error.message}, separators=(",", ":")).encode()


def is_websocket_upgrade(environ: Mapping[str, Any]) -> bool:
    """Tells whether a request asks to become a websocket, be it in the right way or not.

    Args:
        environ: the WSGI environment.
    """
    asks = _has_token(environ, "HTTP_UPGRADE", "websocket")
    return asks and _has_token(environ, "HTTP_CONNECTION", "upgrade")


def check_websocket_handshake(environ: Mapping[str, Any]) -> str:
    """Checks the opening handshake of a websocket (RFC 6455 section 4.2.1).

    Args:
        environ: the WSGI environment.

    Returns:
        The validated Sec-WebSocket-Key.

    Raises:
        RequestError: if it is refused; with the status 426 the answer has to say `Sec-WebSocket-Version: 13`.
    """
    if environ.get("REQUEST_METHOD") != "GET":
        raise _bad_handshake("the method is not GET")
    version = _HTTP_VERSION.fullmatch(environ.get("SERVER_PROTOCOL", ""))
    if version is None or (int(version[1]), int(version[2] or 0)) < (1, 1):
        raise _bad_handshake("the protocol is older than HTTP/1.1")
    if not is_websocket_upgrade(environ):
        raise _bad_handshake("Upgrade or Connection does not ask for a websocket")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() != "13":
        raise _bad_handshake("Sec-WebSocket-Version is not 13", 426)
    key: str = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    if not _KEY.fullmatch(key):
        raise _bad_handshake("Sec-WebSocket-Key is not 16 bytes in base64")
    if environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("HTTP_TRANSFER_ENCODING"):
        # Its bytes would be read as frames.
        raise _bad_handshake("it has a body")
    return key


def _has_token(environ: Mapping[str, Any], header: str, token: str) -> bool:
    value: str | None = environ.get(header)
    if value is None:  # of most requests
        return False
    return token in (item.strip() for item in value.lower().split(","))


def _index(text: str) -> int:
    if not _INDEX.fullmatch(text):
        raise _bad_request()
    return int(text)


def _bad_request() -> RequestError:
    return RequestError(3, "Bad request")


def _bad_handshake(detail: str, status: int = 400) -> RequestError:
    # Browsers show the answer to nobody, so it may as well say what a developer's proxy did to the request.
    return RequestError(3, f"Bad request: {detail}", status)
