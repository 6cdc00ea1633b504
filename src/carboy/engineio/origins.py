"""Which web pages may talk to the server: the check of the origin, and the CORS headers.

Must not read X-Forwarded-* for a decision: any client can send it. Behind a proxy the application's own
ProxyFix has rewritten the environment before it comes here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from carboy.exceptions import ConfigurationError, RequestError

Environ = Mapping[str, Any]
AllowedOrigins = (
    str
    | re.Pattern[str]
    | Collection[str | re.Pattern[str] | None]
    | Callable[..., Any]
    | Literal[False]
    | None
)

_SCHEMES = {"ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

# Nothing else may be echoed into a header; Node refuses such an origin too.
_PRINTABLE = re.compile(r"[!-~]+")
_HEADER_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]+")

# What browsers send for pages from files, in sandboxes and in some packaged applications.
_HOSTLESS = ("null", "file://")
_ENTRY = re.compile(r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<wildcard>\*\.)?(?P<host>[^*/?#@,\s]+)/?")
_LABELS = r"(?:[a-z0-9_-]+\.)+"


def same_origins(environ: Environ) -> frozenset[str]:
    """Returns the origins of pages that this server itself delivers, as the request shows them.

    Args:
        environ: the WSGI environment; `wsgi.url_scheme` and HTTP_HOST are read, and nothing that a proxy
            forwards.
    """
    scheme = str(environ.get("wsgi.url_scheme", "http")).lower()
    host = environ.get("HTTP_HOST") or f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}"
    return frozenset({_normalise(f"{_SCHEMES.get(scheme, scheme)}://{host}")})


def refused_origin() -> RequestError:
    """Returns the error with which a request of a page that is not allowed is refused."""
    return RequestError(3, "Not an accepted origin")


class OriginPolicy:
    """Which origins are allowed, and what the answers say about it.

    Args:
        allowed: the option `cors_allowed_origins`. None or False for the own origin; "*" for any; an origin
            ("https://example.com"); a host ("example.com", with http or https); either with "*." for all its
            subdomains; a compiled pattern, which has to match the whole origin in lower case; a list of
            these; or a callable that gets the origin, or the origin and the WSGI environment. An empty list
            switches CORS off: no check, no headers. What else names nobody refuses every origin, also the
            own: an empty text, a list of nothing but None.
        credentials: the option `cors_credentials`: whether pages of other origins may send cookies.

    Raises:
        ConfigurationError: if it is none of these, or the callable is a coroutine function.
    """

    def __init__(self, allowed: AllowedOrigins = None, credentials: bool = True) -> None:
        self._credentials = credentials
        self._enabled = allowed != []
        self._decide: Callable[[str, Environ], bool]
        if allowed is None or allowed is False:
            self._decide = _is_same_origin
        elif callable(allowed):
            self._decide = _adapt(allowed)
        else:
            self._decide = _any_of(_entries(allowed))

    def allows(self, origin: str | None, environ: Environ) -> bool:
        """Tells whether a request is let in.

        Args:
            origin: its Origin header. Without one it does not come from a page of another origin.
            environ: its WSGI environment.
        """
        if not self._enabled or not origin:
            return True
        return bool(_PRINTABLE.fullmatch(origin)) and self._decide(origin, environ)

    def headers(self, environ: Environ, allowed: bool) -> list[tuple[str, str]]:
        """Returns the CORS headers of an answer.

        Args:
            environ: the WSGI environment of the request.
            allowed: what `allows` said.
        """
        if not self._enabled:
            return []
        headers = [("Vary", "Origin")]
        origin = environ.get("HTTP_ORIGIN")
        if allowed and origin and _PRINTABLE.fullmatch(origin):
            headers.append(("Access-Control-Allow-Origin", origin))
            if self._credentials:
                headers.append(("Access-Control-Allow-Credentials", "true"))
        return headers

    def preflight_headers(self, environ: Environ) -> list[tuple[str, str]]:
        """Returns what the answer to an allowed preflight (OPTIONS) says in addition to `headers`.

        Args:
            environ: the WSGI environment of the request.
        """
        if not self._enabled:
            return []
        headers = [("Access-Control-Allow-Methods", "OPTIONS, GET, POST")]
        requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        if requested and _HEADER_NAMES.fullmatch(requested):
            headers.append(("Access-Control-Allow-Headers", requested))
            headers.append(("Vary", "Access-Control-Request-Headers"))
        return headers

    def explain_refusal(self, origin: str, environ: Environ) -> str:
        """Returns the line for the log: what was refused, and how to allow it.

        Args:
            origin: the Origin header.
            environ: the WSGI environment of the request.
        """
        shown = _show(origin)
        own = _show(" or ".join(sorted(same_origins(environ))))
        forwarded = any(name.startswith(("HTTP_X_FORWARDED_", "HTTP_FORWARDED")) for name in environ)
        where = "The request came through a proxy" if forwarded else "If there is a proxy before the server"
        return (
            f"{shown} is not an accepted origin of a request to {own}. To accept it, add {shown} to"
            f" cors_allowed_origins. {where}: let ProxyFix tell the server its public address, put on after"
            " SocketIO(app) or init_app(app): app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)"
        )


def useless_entries(allowed: AllowedOrigins) -> list[Any]:
    """Returns the entries that can match no origin, for a warning; None and "" are nobody's mistake.

    Args:
        allowed: the option `cors_allowed_origins`.

    Raises:
        ConfigurationError: if it is of a kind that `OriginPolicy` does not take.
    """
    if allowed is None or allowed is False or callable(allowed):
        return []
    return [entry for entry in _entries(allowed) if entry not in (None, "", "*") and _compile(entry) is None]


def _show(text: str) -> str:
    """Returns what a peer sent for a line of the log: in quotes, printable, 200 characters at most."""
    return f"'{ascii(text[:200])[1:-1][:200]}'"


def _is_same_origin(origin: str, environ: Environ) -> bool:
    return _normalise(origin) in same_origins(environ)


def _normalise(origin: str) -> str:
    """Returns an origin as browsers do: in lower case, without a default port (RFC 6454 section 6.1)."""
    origin = origin.strip().lower()
    return origin.removesuffix(_DEFAULT_PORTS.get(origin.partition("://")[0], "\n"))


def _entries(allowed: Any) -> list[Any]:
    if isinstance(allowed, (str, re.Pattern)):
        return [allowed]
    # An iterator could be read only once, and each front has a policy of its own.
    if isinstance(allowed, Collection) and not isinstance(allowed, bytes):
        return list(allowed)
    raise ConfigurationError(
        'cors_allowed_origins must be an origin like "https://example.com", "*", a compiled pattern, a list'
        f" of these, a callable, or [] for no check, not {allowed!r}"
    )


def _any_of(entries: list[Any]) -> Callable[[str, Environ], bool]:
    patterns = [pattern for pattern in map(_compile, entries) if pattern is not None]

    def decide(origin: str, _: Environ) -> bool:
        return "*" in entries or any(pattern.fullmatch(_normalise(origin)) for pattern in patterns)

    return decide


def _compile(entry: Any) -> re.Pattern[str] | None:
    """Returns what the origins of an entry match; None if there are none."""
    if isinstance(entry, re.Pattern) and isinstance(entry.pattern, str):
        return entry
    text = entry.strip().lower() if isinstance(entry, str) else ""
    if text in _HOSTLESS:
        return re.compile(re.escape(text))
    parts = _ENTRY.fullmatch(text)
    if parts is None:
        return None
    labels = _LABELS if parts["wildcard"] else ""
    schemes = [parts["scheme"]] if parts["scheme"] else list(_DEFAULT_PORTS)
    # One alternative for each scheme: which port is the default one depends on it.
    origins = (_normalise(f"{scheme}://{parts['host']}") for scheme in schemes)
    return re.compile("|".join(re.escape(origin).replace("://", f"://{labels}", 1) for origin in origins))


def _adapt(allowed: Callable[..., Any]) -> Callable[[str, Environ], bool]:
    """Reads the signature once, as a call that fails to find out would run the application's code twice."""
    if inspect.iscoroutinefunction(allowed) or inspect.iscoroutinefunction(type(allowed).__call__):
        raise ConfigurationError(
            "cors_allowed_origins is a coroutine function, and nothing can await its answer"
        )
    try:
        inspect.signature(allowed).bind("", {})
    except (TypeError, ValueError):  # ValueError: a builtin without a signature
        return lambda origin, _: bool(allowed(origin))
    return lambda origin, environ: bool(allowed(origin, environ))
