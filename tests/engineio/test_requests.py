"""Requests are refused in Node's order and words, and nothing strange in a query does any harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.engineio.requests import (
    Query,
    check_request,
    check_websocket_handshake,
    error_body,
    is_websocket_upgrade,
    parse_query,
)
from carboy.exceptions import RequestError

SID = "6FjYKlBYKEBblvy9AAAA"
BOTH = frozenset({"polling", "websocket"})


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("EIO=4&transport=polling", Query("polling", None, "4")),
        ("EIO=4&transport=polling&t=Pdkr&sid=" + SID, Query("polling", SID, "4")),
        ("EIO=4&transport=polling&j=3", Query("polling", None, "4", jsonp=3)),
        ("EIO=4&transport=websocket&b64=1", Query("websocket", None, "4", base64=True)),
        ("EIO=4&transport=websocket&b64=", Query("websocket", None, "4")),
        ("EIO=4&transport=websocket&b64=0", Query("websocket", None, "4")),
        ("", Query("", None, "")),
        ("&&=&===&", Query("", None, "")),
        ("transport&EIO&sid", Query("", None, "")),
        ("EIO=4&transport=polling&sid=", Query("polling", None, "4")),
        ("tr%61nsport=poll%69ng&%45IO=%34", Query("polling", None, "4")),
        ("transport=polling&transport=websocket&EIO=4&EIO=3", Query("polling", None, "4")),
        ("transport=__class__&EIO=4", Query("__class__", None, "4")),
        ("transport=polling;sid=x&EIO=4", Query("polling;sid=x", None, "4")),
        ("transport[]=polling&EIO=4", Query("", None, "4")),
        ("transport=%E2%82%AC&EIO=%FF", Query("€", None, "\ufffd")),
        ("transport=polling+&EIO=%2B4", Query("polling ", None, "+4")),
        ("Transport=polling&eio=4", Query("", None, "")),
        ("token=" + "x" * 4000 + "&transport=polling", Query("polling", None, "")),
    ],
)
def test_query_is_read(text: str, query: Query) -> None:
    """Our five names are decoded, the first of each counts, and all else is the application's."""
    assert parse_query(text) == query


@pytest.mark.parametrize(
    "index", ["", "x", "-1", "1.5", "\u0663", "%D9%A3", "1%20", "0x1", "12345678901", "1);alert(1"]
)
def test_index_of_jsonp_that_is_no_number_is_refused(index: str) -> None:
    """Nothing but digits can come into the script that answers a JSONP client."""
    with pytest.raises(RequestError) as caught:
        parse_query(f"EIO=4&transport=polling&j={index}")
    assert (caught.value.code, caught.value.status) == (3, 400)


def test_query_that_is_too_long_is_refused() -> None:
    """The bound is checked before anything is read."""
    text = "j=x&transport=polling"
    assert parse_query("transport=polling", max_length=17).transport == "polling"
    with pytest.raises(RequestError) as caught:
        parse_query(text, max_length=len(text) - 1)
    assert caught.value.message == "Bad request"


@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(st.sampled_from("transport=sidEIO=4j=b64&%+1é"), max_size=40).map("".join),
    )
)
def test_any_query_is_read_or_refused(text: str) -> None:
    """Whatever stands in a query, it is texts and a number, or a bad request."""
    try:
        query = parse_query(text)
    except RequestError:
        assert "j" in text or "%6" in text.lower()
        return
    assert query.sid is None or query.sid
    assert query.jsonp is None or query.jsonp >= 0


POLLING = Query("polling", None, "4")
WEBSOCKET = Query("websocket", None, "4")
POLLING_NEXT = Query("polling", SID, "4")
WEBSOCKET_NEXT = Query("websocket", SID, "4")


def check(query: Query, method: str, upgrade: bool, session_transport: str | None, **options: Any) -> None:
    """Checks a request where both transports are offered."""
    options.setdefault("transports", BOTH)
    check_request(query, method=method, upgrade=upgrade, session_transport=session_transport, **options)


@pytest.mark.parametrize(
    ("query", "method", "upgrade", "session_transport"),
    [
        (POLLING, "GET", False, None),
        (WEBSOCKET, "GET", True, None),
        (POLLING_NEXT, "GET", False, "polling"),
        (POLLING_NEXT, "POST", False, "polling"),
        (WEBSOCKET_NEXT, "GET", True, "polling"),
        (WEBSOCKET_NEXT, "GET", True, "websocket"),
    ],
)
def test_right_request_is_let_in(
    query: Query, method: str, upgrade: bool, session_transport: str | None
) -> None:
    """Handshakes, polls, posts and upgrades pass; a second websocket is the business of the state table."""
    check(query, method, upgrade, session_transport)


@pytest.mark.parametrize(
    ("query", "method", "upgrade", "session_transport", "code", "message", "status"),
    [
        (Query("", None, "4"), "GET", False, None, 0, "Transport unknown", 400),
        (Query("constructor", None, "3"), "PUT", False, None, 0, "Transport unknown", 400),
        (Query("__proto__", SID, "4"), "GET", False, "polling", 0, "Transport unknown", 400),
        (Query("webtransport", None, "4"), "GET", False, None, 0, "Transport unknown", 400),
        (Query("polling", "x", "9"), "PUT", True, None, 1, "Session ID unknown", 400),
        (Query("polling", "__proto__", "4"), "GET", False, None, 1, "Session ID unknown", 400),
        (POLLING, "POST", False, None, 2, "Bad handshake method", 400),
        (POLLING, "PUT", False, None, 2, "Bad handshake method", 400),
        (Query("websocket", None, "3"), "POST", False, None, 2, "Bad handshake method", 400),
        (Query("websocket", None, "3"), "GET", False, None, 3, "Bad request", 400),
        (POLLING, "GET", True, None, 3, "Bad request", 400),
        (Query("polling", None, "3"), "GET", False, None, 5, "Unsupported protocol version", 400),
        (Query("polling", None, ""), "GET", False, None, 5, "Unsupported protocol version", 400),
        (Query("polling", None, "\uff14"), "GET", False, None, 5, "Unsupported protocol version", 400),
        (Query("websocket", None, "5"), "GET", True, None, 5, "Unsupported protocol version", 400),
        (POLLING_NEXT, "PUT", False, "polling", 2, "Bad handshake method", 405),
        (POLLING_NEXT, "HEAD", False, "polling", 2, "Bad handshake method", 405),
        (POLLING_NEXT, "GET", False, "websocket", 3, "Bad request", 400),
        (POLLING_NEXT, "POST", False, "websocket", 3, "Bad request", 400),
        (POLLING_NEXT, "GET", True, "polling", 3, "Bad request", 400),
        (WEBSOCKET_NEXT, "GET", False, "polling", 3, "Bad request", 400),
        (WEBSOCKET_NEXT, "GET", False, "websocket", 3, "Bad request", 400),
        (WEBSOCKET_NEXT, "POST", False, "websocket", 3, "Bad request", 400),
        (Query("polling", SID, "3"), "GET", False, "polling", 3, "Bad request", 400),
        (Query("polling", SID, ""), "POST", False, "polling", 3, "Bad request", 400),
    ],
)
def test_wrong_request_is_refused_as_node_does(
    query: Query,
    method: str,
    upgrade: bool,
    session_transport: str | None,
    code: int,
    message: str,
    status: int,
) -> None:
    """The first check that fails gives the answer, in the order: transport, sid, method, kind, revision."""
    with pytest.raises(RequestError) as caught:
        check(query, method, upgrade, session_transport)
    error = caught.value
    assert (error.code, error.message, error.status) == (code, message, status)


@pytest.mark.parametrize(
    ("only", "query", "upgrade"), [("polling", WEBSOCKET, True), ("websocket", POLLING, False)]
)
def test_transport_that_is_not_offered_is_unknown(only: str, query: Query, upgrade: bool) -> None:
    """A transport that the configuration leaves out is refused like one that does not exist."""
    with pytest.raises(RequestError, match="Transport unknown"):
        check(query, "GET", upgrade, None, transports=frozenset({only}))


def test_upgrade_is_refused_where_it_is_not_allowed() -> None:
    """Without upgrades a polling session takes no websocket, while sessions that begin with one work."""
    check(WEBSOCKET, "GET", True, None, allow_upgrades=False)
    with pytest.raises(RequestError, match="Bad request"):
        check(WEBSOCKET_NEXT, "GET", True, "polling", allow_upgrades=False)


def test_error_has_nodes_body() -> None:
    """The body is the JSON that Node writes."""
    assert error_body(RequestError(0, "Transport unknown")) == b'{"code":0,"message":"Transport unknown"}'


HANDSHAKE = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"HTTP_CONNECTION": "keep-alive, Upgrade"},
        {"HTTP_CONNECTION": "upgrade,close"},
        {"HTTP_UPGRADE": "WebSocket"},
        {"HTTP_UPGRADE": "h2c , websocket"},
        {"HTTP_SEC_WEBSOCKET_KEY": " dGhlIHNhbXBsZSBub25jZQ== "},
        {"SERVER_PROTOCOL": "HTTP/1.2"},
        {"SERVER_PROTOCOL": "HTTP/2"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},
    ],
)
def test_websocket_handshake_is_accepted(changes: dict[str, str]) -> None:
    """Browsers' handshakes pass, with lists of tokens in any case, and the key comes back."""
    assert check_websocket_handshake(HANDSHAKE | changes) == "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"REQUEST_METHOD": "POST"}, 400),
        ({"REQUEST_METHOD": ""}, 400),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 400),
        ({"SERVER_PROTOCOL": "HTTP/0.9"}, 400),
        ({"SERVER_PROTOCOL": ""}, 400),
        ({"SERVER_PROTOCOL": "HTTP/1.1\n"}, 400),
        ({"HTTP_UPGRADE": ""}, 400),
        ({"HTTP_UPGRADE": "websockets"}, 400),
        ({"HTTP_UPGRADE": "h2c"}, 400),
        ({"HTTP_CONNECTION": ""}, 400),
        ({"HTTP_CONNECTION": "keep-alive"}, 400),
        ({"HTTP_CONNECTION": "upgrades"}, 400),
        ({"HTTP_SEC_WEBSOCKET_VERSION": ""}, 426),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "8"}, 426),
        ({"HTTP_SEC_WEBSOCKET_VERSION": "13, 8"}, 426),
        ({"HTTP_SEC_WEBSOCKET_KEY": ""}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25j"}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZTE="}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZ!=="}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==, x"}, 400),
        ({"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==\r\nX: y"}, 400),
        ({"CONTENT_LENGTH": "5"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
    ],
)
def test_wrong_websocket_handshake_is_refused(changes: dict[str, str], status: int) -> None:
    """Whatever RFC 6455 section 4.2.1 does not allow is a bad request, or 426 for another version."""
    with pytest.raises(RequestError) as caught:
        check_websocket_handshake(HANDSHAKE | changes)
    assert (caught.value.code, caught.value.status) == (3, status)


@pytest.mark.parametrize("name", sorted(HANDSHAKE))
def test_websocket_handshake_needs_each_of_its_parts(name: str) -> None:
    """A handshake without one of its headers is refused, and does not fail."""
    with pytest.raises(RequestError):
        check_websocket_handshake({key: value for key, value in HANDSHAKE.items() if key != name})


@pytest.mark.parametrize(
    ("environ", "upgrade"),
    [
        (HANDSHAKE, True),
        (HANDSHAKE | {"HTTP_SEC_WEBSOCKET_KEY": "x"}, True),
        ({}, False),
        ({"HTTP_UPGRADE": "websocket"}, False),
        ({"HTTP_CONNECTION": "upgrade"}, False),
        ({"HTTP_UPGRADE": "h2c", "HTTP_CONNECTION": "upgrade"}, False),
    ],
)
def test_wish_to_become_a_websocket_is_recognised(environ: dict[str, str], upgrade: bool) -> None:
    """Both headers together are the wish, be the rest right or wrong."""
    assert is_websocket_upgrade(environ) is upgrade
