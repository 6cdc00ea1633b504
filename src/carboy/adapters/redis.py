"""The driver for Redis and Valkey: PUBLISH and SUBSCRIBE, on one server, behind Sentinel, or in a cluster.

It uses the library's connections without its clients: what those add to each message (retries, metrics,
dispatch) costs more than the message does, and trying again is the bus's work.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlencode

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from carboy.adapters.broker_driver import BrokerDriver
from carboy.adapters.broker_url import BrokerURL
from carboy.exceptions import ConfigurationError

PORT, SENTINEL_PORT = 6379, 26379

KEEPALIVE = {
    getattr(socket, name): seconds
    for name, seconds in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)  # each system has its own
}


class RedisDriver(BrokerDriver):
    """Carries messages over Redis.

    Args:
        url: `redis://`, `rediss://` (TLS), `unix://`, `redis+unix://`, `redis+sentinel://host,host/db/service`
            or `redis+cluster://host,host`, each also with `valkey` for `redis`. The number of a database is
            taken and not used: channels belong to none.
        timeout: see `BrokerDriver`.
        options: arguments of the library's connection, and those for the Sentinels as `sentinel_kwargs`.
    """

    def __init__(self, url: BrokerURL, timeout: float, options: Mapping[str, Any]) -> None:
        super().__init__(url, timeout)
        kind = url.scheme.replace("valkey", "redis")
        self._class = SSLConnection if kind == "rediss" or options.get("ssl") else Connection
        self._sentinel_options = {**self._common(), **options.get("sentinel_kwargs", {})}
        self._options = {**self._common(), **_query_options(url), **_credentials(url), **options}
        for name in ("db", "ssl", "sentinel_kwargs"):
            self._options.pop(name, None)
        self._class(**self._options)  # so that an option that there is not is told now
        self._service = _service(url) if kind == "redis+sentinel" else None
        self._is_socket_file = kind in {"unix", "redis+unix"}
        self._reading: Connection | None = None
        self._writing: Connection | None = None
        self._ponged = asyncio.Event()

    def _common(self) -> dict[str, Any]:
        return {
            "protocol": 2,  # in which a subscriber's messages are plain lists, never events of the library
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": self._timeout,
            "socket_timeout": None,  # a subscriber waits as long as it takes
            "socket_keepalive": True,
            "socket_keepalive_options": KEEPALIVE,
        }

    async def _open(self, channels: Sequence[str]) -> None:
        make = await self._server()
        self._reading = reading = make()
        self._writing = writing = make()
        await reading.connect()
        await writing.connect()
        await reading.send_command("SUBSCRIBE", *channels)
        subscribed = 0
        while subscribed < len(channels):
            subscribed += self._take(await reading.read_response())
        self._spawn(self._read(reading))

    async def _read(self, connection: Connection) -> None:
        # With messages in its buffer `read_response` returns without giving the loop away, so that each
        # wake-up of the receiver finds all that one read from the socket has brought.
        while True:
            self._take(await connection.read_response())

    def _take(self, reply: Any) -> bool:
        """Takes what came to the subscriber; returns whether it was the answer to a subscription."""
        if reply[0] == b"message":
            self._deliver(reply[2])
        elif reply[0] == b"pong":
            self._ponged.set()
        return bool(reply[0] == b"subscribe")

    async def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        connection = self._writing
        assert connection is not None
        commands = connection.pack_commands([("PUBLISH", channel, message) for channel, message in messages])
        await connection.send_packed_command(commands)
        for _ in messages:
            await connection.read_response()

    async def _probe(self) -> None:
        assert self._reading is not None
        self._ponged.clear()
        await self._reading.send_command("PING")
        await self._ponged.wait()

    async def _end(self) -> None:
        connections = [self._reading, self._writing]
        self._reading = self._writing = None
        for connection in connections:
            if connection is not None:
                await connection.disconnect(nowait=True)

    # Which server

    async def _server(self) -> Any:
        """Returns what makes connections to the server that publishes and subscribes."""
        if self._is_socket_file:
            options = {name: value for name, value in self._options.items() if "keepalive" not in name}
            return lambda: UnixDomainSocketConnection(path=unquote(self.url.path), **options)
        if self._service is not None:
            host, port = await self._master(self._service)
        else:
            host, port = await self._first_that_answers()
        return lambda: self._class(host=host, port=port, **self._options)

    async def _first_that_answers(self) -> tuple[str, int]:
        """Returns one node of the cluster, any of which passes what is published on to all others."""
        addresses = self.url.addresses(PORT)
        random.shuffle(addresses)
        for host, port in addresses[:-1]:
            connection = self._class(host=host, port=port, **self._options)
            with suppress(RedisError, OSError):
                await connection.connect()  # type: ignore[no-untyped-call,unused-ignore]
                await connection.disconnect(nowait=True)
                return host, port
        return addresses[-1]

    async def _master(self, service: str) -> tuple[str, int]:
        """Asks one Sentinel after the other who the master is."""
        told: Exception = ConnectionError("none of the Sentinels can be reached")
        for host, port in self.url.addresses(SENTINEL_PORT):
            sentinel = self._class(host=host, port=port, **self._sentinel_options)
            try:
                await sentinel.connect()  # type: ignore[no-untyped-call,unused-ignore]
                await sentinel.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
                answer = await sentinel.read_response()
            except (RedisError, OSError) as error:
                told = error
                continue
            finally:
                await sentinel.disconnect(nowait=True)
            if answer is not None:
                return answer[0].decode(), int(answer[1])
            told = ConnectionError(f"the Sentinels know no service {service!r}, which stands last in the URL")
        raise told


def _credentials(url: BrokerURL) -> dict[str, str]:
    given = {"username": url.username, "password": url.password}
    return {name: value for name, value in given.items() if value is not None}


def _query_options(url: BrokerURL) -> dict[str, Any]:
    """Returns the options of the query, each of the type that the library wants."""
    try:
        return dict(parse_url(f"redis://?{urlencode(url.query)}"))  # type: ignore[no-untyped-call,unused-ignore]
    except ValueError as error:
        raise ConfigurationError(f"{url}: {error}") from None


def _service(url: BrokerURL) -> str:
    parts = url.path.split("/")
    if len(parts) < 3 or not parts[2]:
        raise ConfigurationError(
            f"{url} names no service: write {url.scheme}://host:port,host:port/0/service"
        )
    return unquote(parts[2])
