"""The options that name a message queue, and what they make of a server: one of those that share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from carboy.adapters.drivers import make_driver, name_of
from carboy.config import warn_application
from carboy.runtime.broker_bus import BrokerBus
from carboy.runtime.server import Server

DEFAULT_CHANNEL = "flask-socketio"

# Where the managers of python-socketio keep their URL.
_URL_NAMES = ("redis_url", "kafka_urls", "url")


@dataclass(frozen=True)
class MessageQueue:
    """A message queue, which applications find as `server_options["client_manager"]`.

    Attributes:
        url: the broker's.
        channel: the channel on which the processes hear one another.
        write_only: whether this process has no clients, and only emits.
        options: what the driver is given beside the URL.
    """

    url: str = field(repr=False)  # it may have a password
    channel: str = DEFAULT_CHANNEL
    write_only: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any], *, write_only: bool) -> MessageQueue | None:
        """Read the options `message_queue`, `channel`, `message_queue_options` and `client_manager`.

        A client manager of python-socketio stands for the URL, the channel and the options for Redis that it
        was made with.

        Args:
            given: names and values as the application gave them.
            write_only: whether there is no application, and so no client.

        Returns:
            The message queue; None if none is named, as with `message_queue=""`.
        """
        url, channel = given.get("message_queue"), given.get("channel") or DEFAULT_CHANNEL
        manager = given.get("client_manager")
        if not url and manager is not None:
            url, channel = _url_of(manager), getattr(manager, "channel", channel)
            if not url:
                warn_application(
                    f"client_manager={manager!r} connects nothing: give message_queue= and a URL instead"
                )
        if not url:
            return None
        options = given.get("message_queue_options") or getattr(manager, "redis_options", None) or {}
        return cls(str(url), str(channel), write_only, dict(options))

    def join(self, server: Server) -> None:
        """Make a server one of the processes that share this queue; the first emit or client connects it.

        Raises:
            ConfigurationError: if the URL cannot be right, or a package for it is not installed.
        """
        driver = partial(make_driver, self.url, self.options)
        limit = server.config.max_queue_messages
        server.join(BrokerBus(driver, name_of(self.url), self.channel, server.log, limit))


def _url_of(manager: Any) -> str | None:
    for name in _URL_NAMES:
        found = getattr(manager, name, None)
        if isinstance(found, (list, tuple)) and found:
            return "kafka://" + ",".join(str(url).removeprefix("kafka://") for url in found)
        if isinstance(found, str):
            return found
    ends = [getattr(getattr(manager, name, None), "last_endpoint", None) for name in ("sink", "sub")]
    if all(isinstance(end, bytes) for end in ends):  # that for ZeroMQ keeps two sockets instead
        sink, source = (end.decode() for end in ends if isinstance(end, bytes))
        return f"zmq+{sink}+{source.rpartition(':')[2]}"
    return None
