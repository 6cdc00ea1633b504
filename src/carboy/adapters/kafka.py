"""The driver for Kafka: a topic for each channel, which each process reads from its end, in no group.

The channels of single nodes share one topic, whose records' keys are the nodes. All that is published goes to
partition 0: Kafka keeps an order only inside a partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from carboy.adapters.broker_driver import BrokerDriver
from carboy.adapters.broker_url import BrokerURL
from carboy.adapters.channel_names import legal_name, split_node

PORT = 9092
NO_LIMIT = 2**30
"""Bytes of one message: the broker's own limit is to be the one that counts."""


class KafkaDriver(BrokerDriver):
    """Carries messages over Kafka.

    Args:
        url: `kafka://host[,host]`; with a user and a password for SASL/PLAIN.
        timeout: see `BrokerDriver`.
        options: arguments of both the library's producer and its consumer, such as `security_protocol`.
    """

    def __init__(self, url: BrokerURL, timeout: float, options: Mapping[str, Any]) -> None:
        super().__init__(url, timeout)
        self._options = {
            "bootstrap_servers": [
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in url.addresses(PORT)
            ],
            "request_timeout_ms": int(timeout * 500),  # what it has begun must end before our own deadline
            **_login(url),
            **options,
        }
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []

    async def _open(self, channels: Sequence[str]) -> None:
        self._producer = AIOKafkaProducer(acks=1, max_request_size=NO_LIMIT, **self._options)
        try:
            await self._producer.start()
        except KafkaConnectionError as error:
            if self.url.username is None:
                raise
            raise ConnectionError(f"{error}, or the user name and password are refused") from None
        self._consumer = consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=min(500, int(self._timeout * 250)),  # a probe waits behind it
            **self._options,
        )
        await consumer.start()
        self._partitions = [
            TopicPartition(topic, number)
            for topic in dict.fromkeys(_address(channel)[0] for channel in channels)
            for number in await self._producer.partitions_for(topic)
        ]
        consumer.assign(self._partitions)
        await consumer.seek_to_end(*self._partitions)
        for partition in self._partitions:
            await consumer.position(partition)  # asks for the end now, not with the first fetch
        self._spawn(self._read(consumer, {_address(channel) for channel in channels}))

    async def _read(self, consumer: AIOKafkaConsumer, addresses: set[tuple[str, bytes | None]]) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=60_000)).values():
                for record in records:
                    to_us = (record.topic, record.key) in addresses or (record.topic, None) in addresses
                    if to_us and record.value is not None:
                        self._deliver(record.value)

    async def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        assert self._producer is not None
        sent = []
        for channel, message in messages:
            topic, key = _address(channel)
            sent.append(await self._producer.send(topic, message, key=key, partition=0))
        for future in sent:
            await future

    async def _probe(self) -> None:
        assert self._consumer is not None
        await self._consumer.end_offsets(self._partitions)

    async def _end(self) -> None:
        consumer, producer = self._consumer, self._producer
        self._consumer = self._producer = None
        if consumer is not None:
            await asyncio.wait([asyncio.ensure_future(consumer.stop())])
            await consumer._client.close()  # noqa: SLF001  # `stop` may have been cut short by what it cancels
        if producer is not None:
            await producer.stop()


def _address(channel: str) -> tuple[str, bytes | None]:
    """Returns the topic of a channel, and the key of its records when it is that of one node."""
    topic, node = split_node(channel)
    return legal_name(topic), node.encode() if node else None


def _login(url: BrokerURL) -> dict[str, str]:
    if url.username is None:
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": url.username,
        "sasl_plain_password": url.password or "",
    }
