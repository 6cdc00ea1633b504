"""The contract of `carboy.adapters.driver`, which each driver keeps over its real broker."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest

import brokers
from carboy.adapters.driver import Driver
from carboy.adapters.drivers import make_driver
from carboy.exceptions import BrokerError

pytestmark = pytest.mark.timeout(180)  # a broker that starts on a busy machine takes most of a minute

KAFKA = pytest.param(brokers.Kafka, marks=pytest.mark.kafka)
KINDS = [brokers.Redis, brokers.RabbitMQ, brokers.NATS, KAFKA, brokers.ZMQ]

TIMEOUT = 1.0
"""Seconds that the drivers of these tests wait for their broker."""

SLACK = 10.0
"""Seconds that a busy machine may add to a deadline."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def broker(request: pytest.FixtureRequest, start_broker: Callable[..., brokers.Broker]) -> brokers.Broker:
    """A running broker of each kind."""
    return start_broker(request.param)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a test's coroutine to its end, and fails when something is left running."""

    async def alone() -> None:
        await work
        await asyncio.sleep(0)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=SLACK)
        assert [task for task in others if not task.done()] == []

    asyncio.run(alone())


def driver_of(broker: brokers.Broker, **options: Any) -> Driver:
    """Makes a driver for a broker."""
    return make_driver(broker.url, {"timeout": TIMEOUT, **options})


@asynccontextmanager
async def connected(broker: brokers.Broker, *channels: str) -> AsyncIterator[Driver]:
    """A driver that is connected, for as long as the block runs."""
    driver = driver_of(broker, timeout=10)
    await driver.connect(channels)
    try:
        yield driver
    finally:
        await driver.close()


def new_channel() -> str:
    """Returns the name of a channel that no other test uses."""
    return f"flask-socketio-{uuid4().hex[:8]}"


def node_of(channel: str) -> str:
    """Returns the channel of a new node."""
    return f"{channel}.{uuid4().hex}"


async def take(driver: Driver, count: int) -> list[bytes]:
    """Receives so many messages, or more when they come at once."""
    messages: list[bytes] = []

    async def collect() -> None:
        while len(messages) < count:
            messages.extend(await driver.receive())

    await asyncio.wait_for(collect(), 20)
    return messages


async def until_connected(driver: Driver, channel: str) -> None:
    """Connects again and again, as the bus does: a broker that has just started may not be quick."""
    for _ in range(20):
        with suppress(BrokerError):
            return await driver.connect([channel])
        await asyncio.sleep(0.2)
    return await driver.connect([channel])


async def passes(driver: Driver, channel: str, message: bytes) -> bool:
    """Publishes a message, and tells whether the broker took it; then it comes back."""
    try:
        await driver.publish([(channel, message)])
        assert await take(driver, 1) == [message]
    except BrokerError:
        return False
    return True


async def fails(work: Coroutine[Any, Any, Any], within: float) -> str:
    """Returns the text of the BrokerError that comes within so many seconds."""
    started = time.monotonic()
    with pytest.raises(BrokerError) as raised:
        await asyncio.wait_for(work, within + 10)
    assert time.monotonic() - started < within
    assert brokers.PASSWORD not in str(raised.value)
    assert brokers.ENCODED not in str(raised.value)
    return str(raised.value)


def test_every_subscriber_receives_what_is_published_in_order_and_once(broker):
    """A thousand messages in a batch, and one after them, reach both subscribers, one of whom published."""
    channel = new_channel()
    messages = [b'{"number": %d}' % number for number in range(1000)]

    async def scene() -> None:
        async with connected(broker, channel) as first, connected(broker, channel) as second:
            await first.publish([(channel, message) for message in messages])
            await first.publish([(channel, b'"last"')])
            assert await take(first, 1001) == [*messages, b'"last"']
            assert await take(second, 1001) == [*messages, b'"last"']

    run(scene())


def test_large_message_arrives_whole(broker):
    """A message of a megabyte is one message."""
    channel = new_channel()
    message = b'"' + b"x" * 1024 * 1024 + b'"'

    async def scene() -> None:
        async with connected(broker, channel) as first, connected(broker, channel) as second:
            await first.publish([(channel, message), (channel, b'"small"')])
            assert await take(second, 2) == [message, b'"small"']

    run(scene())


def test_subscriber_receives_its_own_channels_only(broker):
    """A node gets what is for all and for itself, not what is for another node or another cluster."""
    channel = new_channel()
    nodes = [node_of(channel), node_of(channel)]
    other = f"{channel}-other"

    async def scene() -> None:
        async with (
            connected(broker, channel, nodes[0]) as first,
            connected(broker, channel, nodes[1]) as second,
            connected(broker, nodes[0]) as quiet,
        ):
            await second.publish([(other, b"0"), (nodes[0], b"1"), (node_of(channel), b"2"), (channel, b"3")])
            await second.publish([(nodes[1], b"4")])
            await first.publish([(nodes[0], b"5")])
            assert sorted(await take(first, 3)) == [b"1", b"3", b"5"]
            assert sorted(await take(second, 2)) == [b"3", b"4"]
            assert await take(quiet, 2) == [b"1", b"5"]

    run(scene())


@pytest.mark.parametrize("channel", ["chat/room one", "..", "a.b_c", "größe*>"])
def test_channel_may_have_any_name(broker, channel):
    """Characters that mean something to the broker mean nothing in the name of a channel."""
    channel = channel.replace("one", uuid4().hex[:8])

    async def scene() -> None:
        async with (
            connected(broker, channel, node_of(channel)) as first,
            connected(broker, f"{channel}x") as other,
        ):
            await other.publish([(f"{channel}y", b"0"), (channel, b"1"), (f"{channel}x", b"2")])
            assert await take(first, 1) == [b"1"]
            assert await take(other, 1) == [b"2"]

    run(scene())


def test_close_ends_a_receive_that_waits(broker):
    """A task that waits for messages learns that there will be none; so does each later call."""
    channel = new_channel()

    async def scene() -> None:
        driver = driver_of(broker, timeout=10)
        await driver.connect([channel])
        receiving = asyncio.ensure_future(driver.receive())
        await asyncio.sleep(0)
        await driver.close()
        await driver.close()
        await fails(receiving, SLACK)
        await fails(driver.receive(), SLACK)
        await fails(driver.publish([(channel, b"1")]), SLACK)

    run(scene())


def test_connect_gives_up_an_earlier_connection(broker):
    """A driver that is connected again has the new channels, none of the old, and nothing twice."""
    channel, other = new_channel(), new_channel()

    async def scene() -> None:
        async with connected(broker, channel) as driver, connected(broker, channel) as publisher:
            await publisher.publish([(channel, b"1")])
            await driver.connect([other])
            await publisher.publish([(channel, b"2"), (other, b"3")])
            assert await take(driver, 1) == [b"3"]

    run(scene())


def test_cancelled_receive_loses_nothing(broker):
    """What arrives after a receiver was cancelled is there for the next."""
    channel = new_channel()

    async def scene() -> None:
        async with connected(broker, channel) as driver:
            receiving = asyncio.ensure_future(driver.receive())
            await asyncio.sleep(0)
            receiving.cancel()
            await asyncio.wait([receiving])
            await driver.publish([(channel, b"1")])
            assert await take(driver, 1) == [b"1"]

    run(scene())


def test_idle_connection_lasts(broker):
    """A connection over which nothing comes for several timeouts is as good as new."""
    channel = new_channel()

    async def scene() -> None:
        for _ in range(3):  # what breaks idle connections breaks each of them; a busy broker may break one
            driver = driver_of(broker)
            await until_connected(driver, channel)
            await asyncio.sleep(1.5 * TIMEOUT)
            passed = await passes(driver, channel, b"1")
            await driver.close()
            if passed:
                return
        pytest.fail("idle connections break")

    run(scene())


def test_silent_broker_is_noticed(broker):
    """A broker that stands still, as behind a cable that was cut, fails publishers and receivers in time."""
    channel = new_channel()

    async def scene() -> None:
        receiver, publisher, late = (driver_of(broker) for _ in range(3))
        await until_connected(receiver, channel)
        await until_connected(publisher, channel)
        broker.signal(signal.SIGSTOP)
        try:
            texts = await asyncio.gather(
                fails(receiver.receive(), TIMEOUT + SLACK),
                fails(publisher.publish([(channel, b"1")]), TIMEOUT + SLACK),
                fails(late.connect([channel]), TIMEOUT + SLACK),
            )
        finally:
            broker.signal(signal.SIGCONT)
        assert [text for text in texts if "check" not in text] == []
        await asyncio.gather(receiver.close(), publisher.close(), late.close())

    run(scene())


def test_dead_broker_is_noticed_and_may_come_back(broker):
    """When the broker dies, all that waits for it fails soon; when it is back, so is the same driver."""
    channel = new_channel()

    async def scene() -> None:
        driver, idle = driver_of(broker), driver_of(broker)
        await until_connected(driver, channel)
        await until_connected(idle, channel)
        receiving = asyncio.ensure_future(idle.receive())
        broker.stop()
        await fails(receiving, TIMEOUT + SLACK)
        await fails(driver.publish([(channel, b"1")]), TIMEOUT + SLACK)
        await fails(driver.receive(), SLACK)
        assert "check" in await fails(driver.connect([channel]), TIMEOUT + SLACK)
        broker.start()
        for _ in range(10):  # it may be slow at first
            await until_connected(driver, channel)
            if await passes(driver, channel, b"2"):
                break
        else:
            pytest.fail("the driver does not come back")
        await driver.close()
        await idle.close()

    run(scene())


def test_wrong_password_is_named(broker):
    """Who may not connect is told to look at the password."""
    if not broker.has_password:
        return

    async def scene() -> None:
        driver = make_driver(broker.url.replace(brokers.ENCODED, "wrong"), {"timeout": SLACK})
        text = await fails(driver.connect([new_channel()]), 2 * SLACK)
        assert "check the user name and the password" in text
        assert "wrong" not in text
        await driver.close()

    run(scene())


@pytest.mark.parametrize("accepts", [True, False], ids=["silent", "closed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_port_without_a_broker_is_named(kind, accepts, tmp_path):
    """A port that is closed, or where nobody answers, fails in time, with what to check."""
    nowhere = kind(tmp_path)

    async def scene() -> None:
        driver = driver_of(nowhere)
        text = await fails(driver.connect(["flask-socketio"]), TIMEOUT + SLACK)
        assert "check" in text
        assert f"{brokers.HOST}:{nowhere.port}" in text
        await driver.close()

    if accepts:
        with socket.create_server((brokers.HOST, nowhere.port)):
            run(scene())
    else:
        run(scene())
