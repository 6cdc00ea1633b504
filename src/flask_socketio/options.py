"""Divides the options of a SocketIO object: its own, which are read here, and the server's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flask.json
from flask import Flask

from carboy.config import HTTP_THREADS, SHUTDOWN_TIMEOUT, read_flag, warn_application
from carboy.engineio.origins import useless_entries
from carboy.exceptions import ConfigurationError

from .message_queue import MessageQueue

DEFAULT_ASYNC_MODE = "threading"
ASYNC_MODES = frozenset({DEFAULT_ASYNC_MODE, "eventlet", "gevent", "gevent_uwsgi"})

OWN = frozenset(
    {
        *("async_mode", "channel", "client_manager", "http_threads", "legacy_falsy_to", "manage_session"),
        *("message_queue", "message_queue_options", "share_session", "shutdown_timeout", "write_only"),
    }
)

SERVING = ("http_threads", "shutdown_timeout")
"""Options that `run` takes too."""


@dataclass(frozen=True)
class Options:
    """The options of a SocketIO object.

    Attributes:
        async_mode: what `SocketIO.async_mode` reports; it changes nothing.
        manage_session: True for a session of the connection's own, False for Flask's; None for no change.
        legacy_falsy_to: whether an empty `to` means everybody, as in Flask-SocketIO.
        http_threads: threads for Flask's routes behind an ASGI server.
        shutdown_timeout: seconds that handlers are given at the end.
        queue: the message queue that several processes share, if there is one.
        server: the options of the server.
    """

    async_mode: str
    manage_session: bool | None
    legacy_falsy_to: bool
    http_threads: int
    shutdown_timeout: float
    queue: MessageQueue | None
    server: dict[str, Any]

    @classmethod
    def read(cls, given: Mapping[str, Any], app: Flask | None) -> Options:
        """Divide the options.

        Args:
            given: names and values as the application gave them.
            app: the application, whose context `flask.json` needs.

        Returns:
            The options.

        Raises:
            ConfigurationError: if `async_mode` is none of Flask-SocketIO's, what must be a number or true or
                false is not, or `cors_allowed_origins` is of a kind that says nothing.
        """
        server = {name: value for name, value in given.items() if name not in OWN}
        if server.get("json") is flask.json and app is not None:
            server["json"] = AppJSON(app)
        _warn_of_origins(server.get("cors_allowed_origins"))
        manage_session = _flag(given, "manage_session")
        if _flag(given, "share_session"):
            manage_session = False
        return cls(
            async_mode=_async_mode(given),
            manage_session=manage_session,
            legacy_falsy_to=bool(_flag(given, "legacy_falsy_to")),
            **serving_options(given),
            queue=MessageQueue.read(given, write_only=app is None),
            server=server,
        )


class AppJSON:
    """`flask.json`, which needs an application context, for a server that has none.

    Args:
        app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app

    def dumps(self, *args: Any, **kwargs: Any) -> str:
        """Write JSON as the application does."""
        with self._app.app_context():
            return flask.json.dumps(*args, **kwargs)

    def loads(self, *args: Any, **kwargs: Any) -> Any:
        """Read JSON as the application does."""
        with self._app.app_context():
            return flask.json.loads(*args, **kwargs)


def serving_options(*given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `http_threads` and `shutdown_timeout`, as numbers that can work.

    Args:
        *given: names and values as the application gave them; the first that is not None counts, and where
            there is none the default.

    Raises:
        ConfigurationError: if one is no such number; a number as text, as from the environment, is one.
    """
    threads, timeout = (
        next((source[name] for source in given if source.get(name) is not None), default)
        for name, default in zip(SERVING, (HTTP_THREADS, SHUTDOWN_TIMEOUT), strict=True)
    )
    count, seconds = _number(threads), _number(timeout)
    if not count.is_integer() or count < 1:
        raise ConfigurationError(f"http_threads must be a whole number greater than 0, not {threads!r}")
    if not 0 <= seconds < math.inf:
        raise ConfigurationError(f"shutdown_timeout must be a number of seconds, 0 or more, not {timeout!r}")
    return {"http_threads": int(count), "shutdown_timeout": seconds}


def _number(value: Any) -> float:
    """Return a number; NaN for what is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _flag(given: Mapping[str, Any], name: str) -> bool | None:
    value = given.get(name)
    return None if value is None else read_flag(name, value)


def _warn_of_origins(allowed: Any) -> None:
    """Warn of entries that match no origin, with which applications of Flask-SocketIO start."""
    useless = useless_entries(allowed)
    if useless:
        warn_application(
            f"cors_allowed_origins has {', '.join(map(repr, useless))}, which can match no origin: list each"
            ' by itself as scheme://host[:port] without a path, or host[:port], either with "*." before the'
            " host for its subdomains; for any port, or a range of addresses, give a compiled pattern or a"
            " callable"
        )


def _async_mode(given: Mapping[str, Any]) -> str:
    mode: str | None = given.get("async_mode")
    if mode is not None and mode not in ASYNC_MODES:
        raise ConfigurationError(f"Invalid async_mode specified: {mode!r} is none of {sorted(ASYNC_MODES)}")
    return mode or DEFAULT_ASYNC_MODE
