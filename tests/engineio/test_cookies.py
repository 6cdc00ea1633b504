"""The session cookie has upstream's form, and cannot be used to write headers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.engineio.cookies import session_cookie
from carboy.exceptions import ConfigurationError

SID = "6FjYKlBYKEBblvy9AAAA"


@pytest.mark.parametrize(
    ("cookie", "value"),
    [
        (None, None),
        ("io", f"io={SID}; path=/; SameSite=Lax; HttpOnly"),
        ({"name": "io"}, f"io={SID}; HttpOnly"),
        ({"name": "io", "path": "/x", "Secure": True}, f"io={SID}; path=/x; Secure; HttpOnly"),
        ({"name": "io", "HttpOnly": True, "path": "/"}, f"io={SID}; HttpOnly; path=/"),
        ({"name": "io", "HttpOnly": False}, f"io={SID}"),
        ({"name": "io", "httpOnly": False}, f"io={SID}"),
        ({"name": "io", "Max-Age": 60}, f"io={SID}; Max-Age=60; HttpOnly"),
        ({"name": "io", "Secure": False, "Domain": None}, f"io={SID}; HttpOnly"),
        ({"SameSite": lambda: "None", "name": "io"}, f"io={SID}; SameSite=None; HttpOnly"),
        ({"name": "io", "Secure": lambda: True}, f"io={SID}; Secure; HttpOnly"),
        (
            {"name": "io", "Expires": "Wed, 21 Oct 2015 07:28:00 GMT"},
            f"io={SID}; Expires=Wed, 21 Oct 2015 07:28:00 GMT; HttpOnly",
        ),
    ],
)
def test_cookie_is_written_as_configured(cookie: Any, value: str | None) -> None:
    """A name gets upstream's attributes, a dict its own; HttpOnly is there unless it is declined."""
    assert session_cookie(cookie, SID) == value


def test_callable_is_asked_for_each_handshake() -> None:
    """An attribute may differ from one client to the next."""
    answers = iter(["/a", "/b"])
    cookie: dict[str, Any] = {"name": "io", "path": lambda: next(answers)}
    assert [session_cookie(cookie, SID), session_cookie(cookie, SID)] == [
        f"io={SID}; path=/a; HttpOnly",
        f"io={SID}; path=/b; HttpOnly",
    ]


def test_configuration_is_not_changed() -> None:
    """The dict that the application gave stays as it is."""
    cookie = {"name": "io", "path": "/"}
    session_cookie(cookie, SID)
    assert cookie == {"name": "io", "path": "/"}


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "a b",
        "a;b",
        "a=b",
        "a\r\nSet-Cookie: b",
        "é",
        {},
        {"path": "/"},
        {"name": None},
        {"name": "io", "path": "/; Domain=evil"},
        {"name": "io", "path": "/\r\nX: y"},
        {"name": "io", "path": "/\n"},
        {"name": "io", "path": lambda: "\x00"},
        {"name": "io", "pa th": "/"},
        {"name": "io", "Secure;x": True},
        {"name": "io", "path": "é"},
    ],
)
def test_cookie_that_would_write_headers_is_a_mistake_in_the_configuration(cookie: Any) -> None:
    """A name or value that cannot stand in a cookie is refused."""
    with pytest.raises(ConfigurationError):
        session_cookie(cookie, SID)


@given(st.text(max_size=10), st.text(max_size=10), st.text(max_size=10))
def test_any_configuration_gives_one_cookie_or_an_error(name: str, attribute: str, value: str) -> None:
    """Whatever is configured, the header has one line and as many attributes as were asked for."""
    if attribute.lower() in ("name", "httponly"):
        return
    try:
        header = session_cookie({"name": name, attribute: value}, SID)
    except ConfigurationError:
        return
    assert header is not None
    assert header.isprintable()
    assert header.isascii()
    assert header.count(";") == 2
