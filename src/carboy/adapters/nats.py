"""The driver for NATS: a subject for each channel.

The library's own way of connecting again is switched off: the bus does that, and tells it in the log.
Messages of one channel keep their order; those of two channels of one process may overtake each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from carboy.adapters.broker_driver import BrokerDriver
from carboy.adapters.broker_url import BrokerURL
from carboy.adapters.channel_names import legal_name

PORT = 4222

PAUSE = 0.005
"""Seconds between two looks at what the library has still to write, where the connection is slow."""


class NATSDriver(BrokerDriver):
    """Carries messages over NATS.

    Args:
        url: `nats://` or `tls://`, with one or more servers of one NATS cluster.
        timeout: see `BrokerDriver`.
        options: arguments of the library's `connect`.
    """

    def __init__(self, url: BrokerURL, timeout: float, options: Mapping[str, Any]) -> None:
        super().__init__(url, timeout)
        self._options = options
        self._client: Client | None = None

    async def _open(self, channels: Sequence[str]) -> None:
        client = await self._connect()
        for channel in channels:
            await client.subscribe(legal_name(channel), cb=self._take)
        await self._probe()

    async def _connect(self) -> Client:
        """Connects to the first server that answers: without its reconnecting the library tries one, any."""
        *others, last = self._servers()
        for server in others:
            with suppress(OSError, Error, asyncio.TimeoutError):
                return await self._connect_to(server)
            await self._end()
        return await self._connect_to(last)

    async def _connect_to(self, server: str) -> Client:
        self._client = client = Client()
        is_open = False

        async def failed(error: Exception | None = None) -> None:
            if is_open and self._client is client:  # else whoever connects is told, or nobody wants to know
                self._fail(error or ConnectionError("the server has closed the connection"))

        await client.connect(
            server,
            **{
                "connect_timeout": self._timeout,
                "ping_interval": 3600,  # the watch over the connection sends its own
                **self._login(),
                **self._options,
                "allow_reconnect": False,
                "max_reconnect_attempts": 1,
                "reconnect_time_wait": 0,
                "error_cb": failed,
                "closed_cb": failed,
            },
        )
        is_open = True
        return client

    def _servers(self) -> list[str]:
        return [
            f"{self.url.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
            for host, port in self.url.addresses(PORT)
        ]

    def _login(self) -> dict[str, str]:
        user, password = self.url.username, self.url.password
        if user is not None and password is None:
            return {"token": user}
        return {"user": user, "password": password} if user is not None and password is not None else {}

    async def _take(self, message: Msg) -> None:
        self._deliver(message.data)

    async def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        assert self._client is not None
        for channel, message in messages:
            await self._client.publish(legal_name(channel), message)
        await self._probe()

    async def _probe(self) -> None:
        """Waits for the answer to a PING that stands behind all that was sent."""
        client = self._client
        assert client is not None
        # A task of the library's writes commands, but the PING is written at once and would overtake them.
        for pause in chain((0, 0), repeat(PAUSE)):
            if not client.pending_data_size:
                break
            await asyncio.sleep(pause)
        await client.flush(timeout=3600)  # who calls this has a deadline

    async def _end(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
