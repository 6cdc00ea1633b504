"""The driver for Kafka leaves no topic behind for each process, and keeps to one partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

import brokers
from carboy.adapters.drivers import make_driver


@pytest.mark.kafka
def test_nodes_share_one_topic(start_broker: Callable[..., brokers.Broker]) -> None:
    """However many processes come and go, a cluster has two topics; Kafka would keep more for ever."""
    kafka = start_broker(brokers.Kafka)
    channel = f"flask-socketio-{uuid4().hex[:8]}"

    async def scene() -> None:
        for _ in range(3):
            own = f"{channel}.{uuid4().hex}"
            driver = make_driver(kafka.url, {"timeout": 10})
            await driver.connect([channel, own])
            await driver.publish([(own, b"1"), (f"{channel}.{uuid4().hex}", b"2"), (channel, b"3")])
            assert await driver.receive()
            await driver.close()

    asyncio.run(scene())
    topics = [folder.name for folder in (kafka.folder / "data").glob(f"{channel}*")]
    assert sorted(topics) == [f"{channel}-0", f"{channel}.nodes-0"]  # each with the number of its partition
