"""The cookie that carries the id of an engine session, for balancers that route by it.

Must not let a value end the header or add an attribute: such a value is a mistake in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from carboy.exceptions import ConfigurationError

CookieAttribute = str | int | bool | None | Callable[[], Any]
Cookie = str | Mapping[str, CookieAttribute] | None

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[ !-:<-~]*")  # RFC 6265 section 4.1.1: printable, without the semicolon


def session_cookie(cookie: Cookie, sid: str) -> str | None:
    """Builds the value of Set-Cookie for the answer to a handshake.

    Args:
        cookie: None for no cookie; a name; or a dict with "name" and the attributes, each a text, True for an
            attribute without a value, False to leave it out, or a callable that returns one of these for each
            handshake.
        sid: the id of the session.

    Returns:
        The value, or None. HttpOnly is added (Node behaviour) unless the dict says `{"HttpOnly": False}`.

    Raises:
        ConfigurationError: if a name or value cannot stand in a cookie.
    """
    if cookie is None:
        return None
    attributes: dict[str, CookieAttribute]
    attributes = {"name": cookie, "path": "/", "SameSite": "Lax"} if isinstance(cookie, str) else dict(cookie)
    parts = [f"{_token(attributes.pop('name', None))}={sid}"]
    if "httponly" not in (attribute.lower() for attribute in attributes):
        attributes["HttpOnly"] = True
    for attribute, given in attributes.items():
        value = given() if callable(given) else given
        if value is True:
            parts.append(_token(attribute))
        elif value is not False and value is not None:
            parts.append(f"{_token(attribute)}={_value(attribute, value)}")
    return "; ".join(parts)


def _token(name: Any) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ConfigurationError(f"the option cookie has {name!r} where a name must stand")
    return name


def _value(attribute: str, value: Any) -> str:
    text = str(value)
    if not _VALUE.fullmatch(text):
        raise ConfigurationError(f"the option cookie has {text!r} as {attribute}, which no header can hold")
    return text
