"""The driver for AMQP 0.9.1 (RabbitMQ): a fanout exchange for each channel, as kombu declares it.

The exchange has exactly the arguments that python-socketio's KombuManager gives it, or else the broker would
refuse whoever comes second. The channels of single nodes share one direct exchange beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from pamqp.commands import Basic

from carboy.adapters.broker_driver import BrokerDriver
from carboy.adapters.broker_url import BrokerURL
from carboy.adapters.channel_names import legal_name, split_node

PORTS = {"amqp": 5672, "amqps": 5671}
ALSO_LEGAL = b":@#,/"
"""What the library takes in the name of an exchange besides the usual."""

PROPERTIES = Basic.Properties(content_type="text/plain", content_encoding="utf-8", delivery_mode=1)


class AMQPDriver(BrokerDriver):
    """Carries messages over an AMQP broker.

    Args:
        url: `amqp://`, `amqps://` (TLS) or `pyamqp://`, with the virtual host as its path. Of several hosts
            the first that answers is taken.
        timeout: see `BrokerDriver`.
        options: arguments of the library's connection.
    """

    def __init__(self, url: BrokerURL, timeout: float, options: Mapping[str, Any]) -> None:
        super().__init__(url, timeout)
        self._options = options
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._queue = ""
        self._declared: set[str] = set()

    async def _open(self, channels: Sequence[str]) -> None:
        self._declared.clear()
        self._connection = await self._connect()
        self._channel = channel = await self._connection.channel(publisher_confirms=True)
        # Exclusive, so that it ends with the connection: what comes meanwhile is not waited for. A name of
        # its own each time, since the broker may not have noticed yet that the last connection has ended.
        self._queue = f"python-socketio.{uuid4()}"
        await channel.queue_declare(self._queue, exclusive=True)
        for name in channels:
            exchange, routing_key = await self._exchange(channel, name)
            await channel.queue_bind(self._queue, exchange, routing_key)
        await channel.basic_consume(self._queue, self._take, no_ack=True)
        self._spawn(self._until_closed(channel.closing))
        self._spawn(self._until_closed(self._connection.closing))

    async def _connect(self) -> AbstractConnection:
        addresses = self._addresses()
        for address in addresses[:-1]:
            with suppress(aiormq.AMQPConnectionError):
                return await aiormq.connect(address, **self._options)
        return await aiormq.connect(addresses[-1], **self._options)

    def _addresses(self) -> list[str]:
        scheme = self.url.scheme.removeprefix("py")
        user, password = self.url.username or "guest", self.url.password or "guest"
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        query = urlencode({"heartbeat": max(1, round(self._timeout)), **self.url.query})
        return [
            f"{scheme}://{login}@{f'[{host}]' if ':' in host else host}:{port}{self.url.path}?{query}"
            for host, port in self.url.addresses(PORTS[scheme])
        ]

    async def _exchange(self, channel: AbstractChannel, name: str) -> tuple[str, str]:
        """Returns the exchange and the routing key of a channel, and sees to it that this is there."""
        base, node = split_node(name)
        exchange = legal_name(base, ALSO_LEGAL)
        if exchange not in self._declared:
            await channel.exchange_declare(exchange, exchange_type="fanout" if node is None else "direct")
            self._declared.add(exchange)
        return exchange, node or ""

    async def _take(self, message: DeliveredMessage) -> None:
        self._deliver(message.body)

    async def _until_closed(self, closing: Any) -> None:
        await asyncio.wait([closing])
        error = None if closing.cancelled() else closing.exception()
        raise error or ConnectionError("the broker has closed the connection")

    async def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        channel = self._channel
        assert channel is not None
        targets = {name: await self._exchange(channel, name) for name in {name for name, _ in messages}}
        # Each waits for its own confirmation; they are handed to the connection in this order.
        sending = []
        for name, body in messages:
            exchange, routing_key = targets[name]
            sending.append(
                channel.basic_publish(body, exchange=exchange, routing_key=routing_key, properties=PROPERTIES)
            )
        await asyncio.gather(*sending)

    async def _probe(self) -> None:
        assert self._channel is not None
        await self._channel.queue_declare(self._queue, passive=True)

    async def _end(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await connection.close()
