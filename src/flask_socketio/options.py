"""Divides the options of a SocketIO object: its own, which are read here, and the server's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import flask.json
from flask import Flask

from carboy.config import HTTP_THREADS, SHUTDOWN_TIMEOUT
from carboy.exceptions import ConfigurationError

from .message_queue import MessageQueue

DEFAULT_ASYNC_MODE = "threading"
ASYNC_MODES = frozenset({DEFAULT_ASYNC_MODE, "eventlet", "gevent", "gevent_uwsgi"})

Number = TypeVar("Number", int, float)

OWN = frozenset(
    {
        *("channel", "http_threads", "legacy_falsy_to", "manage_session", "message_queue"),
        *("message_queue_options", "share_session", "shutdown_timeout", "write_only"),
    }
)


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
            ConfigurationError: if `async_mode` is none of Flask-SocketIO's, or what must be a number is none.
        """
        server = {name: value for name, value in given.items() if name not in OWN}
        if server.get("json") is flask.json and app is not None:
            server["json"] = AppJSON(app)
        manage_session = given.get("manage_session")
        if given.get("share_session"):
            manage_session = False
        return cls(
            async_mode=_async_mode(given),
            manage_session=manage_session,
            legacy_falsy_to=bool(given.get("legacy_falsy_to")),
            http_threads=_number(given, "http_threads", HTTP_THREADS),
            shutdown_timeout=_number(given, "shutdown_timeout", SHUTDOWN_TIMEOUT),
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


def _number(given: Mapping[str, Any], name: str, default: Number) -> Number:
    """Return the value of an option as a number of the kind that its default is."""
    value = given.get(name)
    try:
        return type(default)(value or default)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} must be a number, not {value!r}") from None


def _async_mode(given: Mapping[str, Any]) -> str:
    mode: str | None = given.get("async_mode")
    if mode is not None and mode not in ASYNC_MODES:
        raise ConfigurationError(f"Invalid async_mode specified: {mode!r} is none of {sorted(ASYNC_MODES)}")
    return mode or DEFAULT_ASYNC_MODE
