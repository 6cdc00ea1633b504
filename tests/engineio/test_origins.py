"""Pages of other origins are let in by choice only, and what is refused can be put right from the log."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carboy.engineio.origins import OriginPolicy, refused_origin, same_origins, useless_entries
from carboy.exceptions import ConfigurationError

ENVIRON = {"wsgi.url_scheme": "https", "HTTP_HOST": "example.com"}


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"wsgi.url_scheme": "http", "HTTP_HOST": "example.com"}, "http://example.com"),
        ({"wsgi.url_scheme": "http", "HTTP_HOST": "Example.COM:80"}, "http://example.com"),
        ({"wsgi.url_scheme": "https", "HTTP_HOST": "example.com:443"}, "https://example.com"),
        ({"wsgi.url_scheme": "https", "HTTP_HOST": "example.com:80"}, "https://example.com:80"),
        ({"wsgi.url_scheme": "http", "HTTP_HOST": "localhost:5000"}, "http://localhost:5000"),
        ({"wsgi.url_scheme": "http", "HTTP_HOST": "[::1]:80"}, "http://[::1]"),
        ({"wsgi.url_scheme": "http", "HTTP_HOST": "[::80]"}, "http://[::80]"),
        ({"wsgi.url_scheme": "ws", "HTTP_HOST": "example.com"}, "http://example.com"),
        ({"wsgi.url_scheme": "wss", "HTTP_HOST": "example.com"}, "https://example.com"),
        ({"wsgi.url_scheme": "http", "SERVER_NAME": "box", "SERVER_PORT": "80"}, "http://box"),
        (
            ENVIRON | {"HTTP_X_FORWARDED_PROTO": "http", "HTTP_X_FORWARDED_HOST": "evil.example"},
            "https://example.com",
        ),
    ],
)
def test_own_origin_is_what_the_request_was_sent_to(environ: dict[str, str], origin: str) -> None:
    """The scheme and the Host header make the own origin; what a client says of a proxy does not."""
    assert same_origins(environ) == {origin}


@pytest.mark.parametrize(
    ("allowed", "origin", "accepted"),
    [
        (None, "https://example.com", True),
        (None, "https://EXAMPLE.com:443", True),
        (None, "http://example.com", False),
        (None, "https://example.com:8443", False),
        (None, "https://example.com.evil", False),
        (None, "https://sub.example.com", False),
        (None, "null", False),
        ("*", "https://anything", True),
        ("*", "null", True),
        (["https://a.example", "*"], "https://b.example", True),
        ("https://a.example", "https://a.example", True),
        ("https://A.example/", "https://a.example", True),
        ("https://a.example:443", "https://a.example", True),
        ("http://a.example:443", "http://a.example", False),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://aXexample", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://a.example.evil", False),
        ("https://a.example", "https://example.com", False),
        ("http://localhost:5000", "http://localhost:5000", True),
        ("http://[::1]:5000", "http://[::1]:5000", True),
        (["https://a.example", "https://b.example"], "https://b.example", True),
        (("https://a.example",), "https://a.example", True),
        ({"https://a.example"}, "https://c.example", False),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("null", "null", True),
        ("file://", "file://", True),
        ("file://", "null", False),
        ("a.example", "https://a.example", True),
        ("a.example", "http://a.example", True),
        ("a.example", "ftp://a.example", False),
        ("a.example", "http://a.example:8080", False),
        ("a.example", "https://b.a.example", False),
        ("a.example", "https://evila.example", False),
        ("localhost:3000", "http://localhost:3000", True),
        ("localhost:443", "https://localhost", True),
        ("localhost:443", "http://localhost", False),
        ("https://*.a.example", "https://b.a.example", True),
        ("https://*.a.example", "https://c.b.a.example", True),
        ("https://*.a.example", "https://a.example", False),
        ("https://*.a.example", "https://.a.example", False),
        ("https://*.a.example", "https://evila.example", False),
        ("https://*.a.example", "http://b.a.example", False),
        ("https://*.a.example", "https://evil/.a.example", False),
        ("https://*.a.example", "https://b.a.example.evil", False),
        ("https://*.a.example:8443", "https://b.a.example:8443", True),
        ("*.a.example", "http://b.a.example", True),
        (re.compile(r"https://(a|b)\.example"), "https://b.example", True),
        (re.compile(r"https://(a|b)\.example"), "https://b.example.evil", False),
        ([re.compile(r"https://x\d"), "a.example"], "https://x7", True),
        (lambda origin: origin == "https://a.example", "https://a.example", True),
        (lambda origin: None, "https://a.example", False),
        (lambda origin, environ: environ["HTTP_HOST"] == "example.com", "https://x", True),
        (lambda *everything: len(everything) == 2, "https://x", True),
        ({"https://a.example": 1}.get, "https://a.example", True),
        (frozenset({"https://a.example"}).__contains__, "https://b.example", False),
        ([], "https://evil", True),
        (False, "https://example.com", True),
        (False, "https://a.example", False),
        ("", "https://example.com", False),
        ([None], "https://example.com", False),
        (["", "https://a.example/x"], "https://a.example", False),
        ((), "https://example.com", False),
        (set(), "https://a.example", False),
        ([None, "", "http://localhost:*", "https://a.example"], "https://a.example", True),
        (["http://localhost:*", "https://a.example"], "http://localhost:3000", False),
        ("https://a.example,https://b.example", "https://a.example", False),
        ("a.example,b.example", "https://b.example", False),
    ],
)
def test_origin_is_allowed_by_choice(allowed: Any, origin: str, accepted: bool) -> None:
    """Each way to write the option lets in what it says, to the letter and no further."""
    assert OriginPolicy(allowed).allows(origin, ENVIRON) is accepted


@pytest.mark.parametrize("allowed", [None, "*", "https://a.example", [], lambda origin: False])
@pytest.mark.parametrize("origin", [None, ""])
def test_request_without_an_origin_is_let_in(allowed: Any, origin: str | None) -> None:
    """Whoever is no web page sends no Origin, and is not restricted."""
    assert OriginPolicy(allowed).allows(origin, ENVIRON)


@pytest.mark.parametrize(
    "origin", ["https://a.example\r\nX: y", "https://a.example\n", "https://é", " ", "https://a b"]
)
def test_origin_with_strange_characters_is_refused(origin: str) -> None:
    """What could not be echoed into a header is refused even where all are allowed, as in Node."""
    policy = OriginPolicy("*")
    assert not policy.allows(origin, ENVIRON)
    assert policy.headers({"HTTP_ORIGIN": origin}, True) == [("Vary", "Origin")]


@pytest.mark.parametrize(
    "entry",
    [
        "https://",
        "https://*",
        "http*://a.example",
        "http://localhost:*",
        "192.168.1.*",
        "a.*",
        "https://a.*.example",
        "https://a.example/x",
        "https://a.example,https://b.example",
        "a.example,b.example",
        5,
        b"x",
        re.compile(b"x"),
        "a b",
        "*.",
    ],
)
def test_entry_that_matches_nothing_is_found(entry: Any) -> None:
    """The others hold; whoever reads the options can tell which do not."""
    allowed = ["https://a.example", None, entry, "", "*.b.example"]
    assert useless_entries(allowed) == [entry]
    policy = OriginPolicy(allowed)
    assert [policy.allows(f"https://{host}.example", ENVIRON) for host in ("a", "c.b", "x", "")] == [
        *(True, True, False, False)
    ]


@pytest.mark.parametrize(
    "allowed",
    [
        *(None, False, [], [None, ""], "", "*", ["*"], "null", "HTTPS://A.example/", "*.a.example:80"),
        *(re.compile("x"), lambda origin: True, {"https://a.example": 1}),
    ],
)
def test_value_that_says_something_has_no_useless_entry(allowed: Any) -> None:
    """Nor has one that names nobody, as an unset variable of the environment makes it."""
    assert useless_entries(allowed) == []


@pytest.mark.parametrize("allowed", [5, True, b"https://a.example", iter(["https://a.example"]), object()])
def test_value_of_a_wrong_kind_is_a_mistake_in_the_configuration(allowed: Any) -> None:
    """The error names the option and what it may be; an iterator would be empty for the second reader."""
    with pytest.raises(ConfigurationError, match=r"cors_allowed_origins must be .*a list.*, not "):
        OriginPolicy(allowed)
    with pytest.raises(ConfigurationError, match="cors_allowed_origins must be"):
        useless_entries(allowed)


class AsyncCallable:
    """An object that is called like a coroutine function."""

    async def __call__(self, origin: str) -> bool:
        """Refuses everybody, if it is awaited."""
        return False


async def async_function(origin: str) -> bool:
    """Refuses everybody, if it is awaited."""
    return False


@pytest.mark.parametrize("allowed", [async_function, AsyncCallable()])
def test_coroutine_function_is_a_mistake_in_the_configuration(allowed: Any) -> None:
    """A coroutine would be true and let everybody in."""
    with pytest.raises(ConfigurationError, match="coroutine"):
        OriginPolicy(allowed)


def test_error_of_a_callable_is_the_applications() -> None:
    """A TypeError inside the callable is raised once and unchanged, not taken for a wrong signature."""
    calls = []

    def allowed(origin: str) -> bool:
        calls.append(origin)
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        OriginPolicy(allowed).allows("https://a.example", ENVIRON)
    assert calls == ["https://a.example"]


ORIGIN = {"HTTP_ORIGIN": "https://a.example"}
VARY = ("Vary", "Origin")
ECHO = ("Access-Control-Allow-Origin", "https://a.example")
CREDENTIALS = ("Access-Control-Allow-Credentials", "true")


@pytest.mark.parametrize(
    ("policy", "environ", "allowed", "headers"),
    [
        (OriginPolicy("*"), ORIGIN, True, [VARY, ECHO, CREDENTIALS]),
        (OriginPolicy("*", credentials=False), ORIGIN, True, [VARY, ECHO]),
        (OriginPolicy(None), ORIGIN, False, [VARY]),
        (OriginPolicy(None), {}, True, [VARY]),
        (OriginPolicy([]), ORIGIN, True, []),
    ],
)
def test_answer_names_the_origin_and_nobody_else(
    policy: OriginPolicy, environ: dict[str, str], allowed: bool, headers: list[tuple[str, str]]
) -> None:
    """An allowed origin is echoed, caches learn that it matters, and credentials go with an origin only."""
    assert policy.headers(environ, allowed) == headers


@pytest.mark.parametrize(
    ("requested", "echoed"),
    [
        (None, None),
        ("", None),
        ("content-type", "content-type"),
        ("X-A, x-b", "X-A, x-b"),
        ("x\r\nSet-Cookie: y", None),
        ("x: y", None),
        ("é", None),
    ],
)
def test_preflight_allows_the_headers_that_were_asked_for(requested: str | None, echoed: str | None) -> None:
    """Names of headers are echoed, anything else is not."""
    environ = {} if requested is None else {"HTTP_ACCESS_CONTROL_REQUEST_HEADERS": requested}
    headers = OriginPolicy("*").preflight_headers(environ)
    assert headers[0] == ("Access-Control-Allow-Methods", "OPTIONS, GET, POST")
    rest = [("Access-Control-Allow-Headers", echoed), ("Vary", "Access-Control-Request-Headers")]
    assert headers[1:] == ([] if echoed is None else rest)


def test_switched_off_policy_adds_no_preflight_headers() -> None:
    """An empty list leaves CORS to the application or the proxy."""
    assert OriginPolicy([]).preflight_headers({"HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "x"}) == []


def test_refusal_has_nodes_code() -> None:
    """The answer is 400, with Node's number for a bad request."""
    error = refused_origin()
    assert (error.code, error.message, error.status) == (3, "Not an accepted origin", 400)


@pytest.mark.parametrize(
    ("more", "words"),
    [({}, "If there is a proxy"), ({"HTTP_X_FORWARDED_PROTO": "https"}, "The request came through a proxy")],
)
def test_refusal_is_explained(more: dict[str, str], words: str) -> None:
    """The line names the origin, what it was compared with, the option, and the place of ProxyFix."""
    line = OriginPolicy(None).explain_refusal("https://a.example", ENVIRON | more)
    for part in (
        "'https://a.example'",
        "'https://example.com'",
        "cors_allowed_origins",
        "ProxyFix(app.wsgi_app",
        words,
    ):
        assert part in line
    assert "after SocketIO(app) or init_app(app)" in line


def test_value_that_the_refusal_names_is_the_one_to_add() -> None:
    """Adding what the log says lets the page in."""
    line = OriginPolicy(None).explain_refusal("https://a.example:8443", ENVIRON)
    named = re.search(r"add '([^']*)' to cors_allowed_origins", line)
    assert named is not None
    assert OriginPolicy([named[1]]).allows("https://a.example:8443", ENVIRON)


@example("\0" * 400, "\0" * 400)
@given(st.text(max_size=400), st.text(max_size=400))
def test_any_refusal_is_one_short_printable_line(origin: str, host: str) -> None:
    """Nothing that a client sends can write lines into the log, or long ones."""
    line = OriginPolicy(None).explain_refusal(origin, {"HTTP_HOST": host})
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 1200


@given(st.text(max_size=60))
def test_any_origin_is_judged(origin: str) -> None:
    """Whatever stands in the header, the answer is yes or no."""
    accepted = OriginPolicy("https://a.example").allows(origin, ENVIRON)
    assert accepted is (origin.lower() in ("", "https://a.example", "https://a.example:443"))


def test_origin_is_judged_in_linear_time() -> None:
    """A long name of many labels costs no more than its length."""
    policy = OriginPolicy("https://*.a.example")
    start = time.process_time()
    assert not policy.allows("https://" + "a." * 30_000 + "evil", ENVIRON)
    assert time.process_time() - start < 0.5
