"""The options of a server: one frozen dataclass with unit, default and overflow behaviour of each.

Unknown options warn with the nearest known name, because a typo that vanishes is found in production.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from carboy.exceptions import ConfigurationError

TRANSPORTS = ("polling", "websocket")

# Defaults of what serves, each known to several front ends.
SHUTDOWN_TIMEOUT = 10.0
"""Seconds that handlers and clients are given at the end."""

HTTP_THREADS = 10
"""Threads on which a WSGI application runs behind ASGI."""

SERIALIZERS = ("default", "msgpack")

# Options of Flask-SocketIO's engines that have no counterpart here: taken without a word, since code that
# sets them works.
IGNORED_OPTIONS = frozenset({"engineio_logger", "monitor_clients", "websocket_compression"})


ALIASES = {"resource": "path"}
"""Older names that Flask-SocketIO takes too."""


class UnknownOptionWarning(UserWarning):
    """An option was given that no part of the server knows."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a server is told once, at its start.

    Attributes:
        path: where the server answers below the application's root; a leading and a trailing slash are added.
        transports: which of "polling" and "websocket" are offered.
        allow_upgrades: whether a polling client may move to a websocket.
        ping_interval: seconds from the last pong to the next ping.
        ping_grace: seconds that the client is told to wait in addition to `ping_interval` before it gives up.
        ping_timeout: seconds that an unanswered ping is given; then the client is gone ("ping timeout").
        upgrade_timeout: seconds that an upgrade may take; then the websocket is closed and polling goes on.
        connect_timeout: seconds within which a client must join a namespace; then it is closed.
        request_timeout: seconds that an HTTP request may take to arrive, and one more for each 1,000 bytes of
            it, and within which its peer must take some of the answer; then it is cut off (408). It holds
            under the embedded server; elsewhere it is the WSGI or ASGI server that reads requests.
        attachment_timeout: seconds that a packet may wait for its next binary attachment; then the connection
            is closed.
        poll_time: seconds that a poll may hold a thread of a WSGI server whose sockets cannot be moved; then
            it returns with nothing, and the client polls again.
        poll_threads: polls that may hold a thread for `poll_time` at once, but never more than half of the
            threads; while there are more, each returns after 0.1 seconds.
        max_head_bytes: bytes of the first line and the headers of a request under the embedded server; a
            longer one is refused (431).
        max_http_buffer_size: bytes of one message or one POST; a larger one is refused (413) or closed
            (1009).
        max_fragments: fragments of one websocket message of which many are smaller than 1,024 bytes; more
            close the connection (1009).
        max_payload_packets: packets in one POST; more close the session.
        max_attachments: binary attachments of one packet; more close the connection.
        max_attachment_bytes: bytes of all attachments of one packet; more close the connection.
        max_depth: levels of nesting in a message; deeper ones close the connection.
        max_namespace_length: characters in the name of a namespace; a longer one closes the connection.
        max_namespaces: namespaces that one connection may join; a further CONNECT is refused.
        max_rooms: rooms that one client may be in; a further `join_room` raises LimitError.
        max_acks: acknowledgements that one client may owe; the one that is owed longest is then given up.
        max_connections: engine sessions in all; further ones are refused (503).
        max_connections_per_address: the same from one address, or one /64 network of IPv6, as the application
            sees it (behind a proxy: as ProxyFix has it); None for no such bound.
        max_unconnected: engine sessions that have not joined a namespace, and handshakes under way; further
            ones are refused (503).
        max_queued_events: events of one client that wait for a handler, or are in a coroutine; at the bound
            the client is not read.
        max_output_bytes: bytes that wait for one client; past the bound it is disconnected. Volatile events
            do not wait at all.
        max_queue_messages: messages for other processes: so many wait for the message queue, and so many that
            were sent are kept to be sent again; beyond that the oldest are lost.
        handler_threads: threads on which plain handlers run, at most.
        async_handlers: False keeps the events of one client strictly one after another.
        always_connect: True sends the CONNECT packet before the connect handler runs.
        namespaces: namespaces that accept clients though they have no handler; None means "/", "*" means any.
        serializer: "default" (JSON) or "msgpack".
        json: an object with `dumps` and `loads` that replaces the built-in JSON codec.
        cookie: None, the name of a cookie for the engine session's id, or a dict of its "name" and its
            attributes.
        cors_allowed_origins: None for the own origin, "*", an origin, a list, a pattern, a callable; []
            switches it off.
        cors_credentials: whether browsers may send credentials across origins.
        http_compression: whether answers to polls are compressed.
        compression_threshold: bytes from which they are.
        logger: True for a line about each client and event too, False for warnings and errors, or a logger of
            the application's, whose level decides; the transports tell theirs to it too, so that
            `engineio_logger` has no effect.
    """

    path: str = "/socket.io/"
    transports: tuple[str, ...] = TRANSPORTS
    allow_upgrades: bool = True
    ping_interval: float = 25.0
    ping_grace: float = 0.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    connect_timeout: float = 45.0
    request_timeout: float = 30.0
    attachment_timeout: float = 60.0
    poll_time: float = 5.0
    poll_threads: int = 2
    max_head_bytes: int = 128 * 1024
    max_http_buffer_size: int = 1_000_000
    max_fragments: int = 1024
    max_payload_packets: int = 100_000
    max_attachments: int = 100
    max_attachment_bytes: int = 10_000_000
    max_depth: int = 512
    max_namespace_length: int = 512
    max_namespaces: int = 100
    max_rooms: int = 10_000
    max_acks: int = 10_000
    max_connections: int = 1_000_000
    max_connections_per_address: int | None = None
    max_unconnected: int = 10_000
    max_queued_events: int = 1_000
    max_output_bytes: int = 16 * 1024 * 1024
    max_queue_messages: int = 10_000
    handler_threads: int = 128
    async_handlers: bool = True
    always_connect: bool = False
    namespaces: tuple[str, ...] = ("/",)
    serializer: str = "default"
    json: Any = None
    cookie: Any = None
    cors_allowed_origins: Any = None
    cors_credentials: bool = True
    http_compression: bool = True
    compression_threshold: int = 1024
    logger: Any = False

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Config:
        """Builds a configuration from keyword arguments as users write them.

        Args:
            options: names and values; `None` means the default, as in Flask-SocketIO.

        Returns:
            The checked configuration.

        Raises:
            ConfigurationError: if a value cannot work.
        """
        known = {option.name for option in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for given, value in options.items():
            name = ALIASES.get(given, given)
            if name in known:
                if value is not None:
                    values[name] = _NORMALISE[name](value) if name in _NORMALISE else value
            elif name not in IGNORED_OPTIONS:
                warn_of_option("SocketIO", name, known)
        interval = values.get("ping_interval")
        if isinstance(interval, (tuple, list)):
            if len(interval) != 2:
                raise ConfigurationError(f"ping_interval must be a number or two, not {interval!r}")
            values["ping_interval"], values["ping_grace"] = interval
        for name in _COUNTS:  # 1e8 is a usual way to write a number of bytes
            if isinstance(values.get(name), float) and values[name].is_integer():
                values[name] = int(values[name])
        config = cls(**values)
        _check(config)
        return config


def read_flag(name: str, value: Any) -> bool:
    """Returns the value of an option that is true or false.

    Args:
        name: the option.
        value: what was given for it; 1 and 0 count as well.

    Raises:
        ConfigurationError: if it is anything else: a text like "false" would count as true.
    """
    if value not in (0, 1):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def warn_of_option(call: str, name: str, known: Iterable[str]) -> None:
    """Warns of an option that a call does not know, with the nearest name that it does.

    Args:
        call: what was called, as the application writes it.
        name: the option.
        known: the names that there are.
    """
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    warn_application(f"{call} does not know the option {name!r}{hint}", UnknownOptionWarning)


def warn_application(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the line of the application from which this distribution was called, however deep that is.

    Args:
        message: what is wrong.
        category: the kind of warning.
    """
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in {"carboy", "flask_socketio"}:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _path(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f'path must be text like "/socket.io/", not {value!r}')
    name = value.strip("/")
    return f"/{name}/" if name else "/"


def _transports(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    valid = tuple(name for name in names if name in TRANSPORTS)
    if not valid:
        raise ConfigurationError(f"No valid transports provided: {names!r} names none of {TRANSPORTS}")
    return valid


def _namespaces(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"namespaces must be a name or a list of names, not {value!r}")
    return tuple(names)


def _json(value: Any) -> Any:
    if not callable(getattr(value, "dumps", None)) or not callable(getattr(value, "loads", None)):
        raise ConfigurationError(f"json must be a module or an object with dumps and loads, not {value!r}")
    return value


def _cookie(value: Any) -> Any:
    if not isinstance(value, (str, Mapping)):
        raise ConfigurationError(f"cookie must be a name, or a dict of a name and attributes, not {value!r}")
    if isinstance(value, Mapping) and "name" not in value:
        raise ConfigurationError(
            f"cookie must have a name beside its attributes: {{'name': 'io', ...}}, not {value!r}"
        )
    return value


_FLAGS = ("allow_upgrades", "always_connect", "async_handlers", "cors_credentials", "http_compression")

_NORMALISE: dict[str, Any] = {
    **{name: partial(read_flag, name) for name in _FLAGS},
    "path": _path,
    "transports": _transports,
    "namespaces": _namespaces,
    "json": _json,
    "cookie": _cookie,
}

_SECONDS = (
    *("ping_interval", "ping_timeout", "upgrade_timeout", "connect_timeout", "request_timeout"),
    *("attachment_timeout", "poll_time"),
)

_COUNTS = (
    "max_head_bytes",
    "max_http_buffer_size",
    "max_fragments",
    "max_payload_packets",
    "max_attachments",
    "max_attachment_bytes",
    "max_depth",
    "max_namespace_length",
    "max_namespaces",
    "max_rooms",
    "max_acks",
    "max_connections",
    "max_connections_per_address",
    "max_unconnected",
    "max_queued_events",
    "max_output_bytes",
    "max_queue_messages",
    "handler_threads",
    "poll_threads",
)


def _check(config: Config) -> None:
    for name in _SECONDS:
        value = getattr(config, name)
        if not _is_number(value) or not value > 0:
            raise ConfigurationError(f"{name} must be a number of seconds greater than 0, not {value!r}")
    if not _is_number(config.ping_grace) or not config.ping_grace >= 0:
        raise ConfigurationError(
            f"ping_grace, the second number of ping_interval, must be seconds, not {config.ping_grace!r}"
        )
    for name in _COUNTS:
        value = getattr(config, name)
        if value is None and name == "max_connections_per_address":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{name} must be a whole number greater than 0, not {value!r}")
    threshold = config.compression_threshold
    if not _is_number(threshold) or not threshold >= 0:
        raise ConfigurationError(
            f"compression_threshold must be a number of bytes, 0 or more, not {threshold!r}"
        )
    if config.serializer not in SERIALIZERS:
        raise ConfigurationError(f'serializer must be "default" or "msgpack", not {config.serializer!r}')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
