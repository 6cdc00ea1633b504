"""The driver for AMQP works beside python-socketio's KombuManager, whoever of the two comes first."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from uuid import uuid4

import pytest

import brokers
import socketio
from carboy.adapters.drivers import make_driver
from carboy.exceptions import BrokerError
from ports import free_port

pytestmark = pytest.mark.timeout(180)  # a broker that starts on a busy machine takes most of a minute


@pytest.fixture
def rabbitmq(start_broker: Callable[..., brokers.Broker]) -> brokers.Broker:
    """The RabbitMQ of the run."""
    return start_broker(brokers.RabbitMQ)


@pytest.fixture
def channel() -> str:
    """The name of a channel that has no exchange yet."""
    return f"flask-socketio-{uuid4().hex[:8]}"


@pytest.mark.parametrize("first", ["driver", "manager"])
def test_kombu_manager_is_heard(rabbitmq, channel, first):
    """What a process of Flask-SocketIO publishes comes as the JSON that it wrote, over the same exchange."""
    manager = socketio.KombuManager(rabbitmq.url, channel=channel, write_only=True)

    async def scene() -> None:
        driver = make_driver(rabbitmq.url)
        if first == "manager":
            await asyncio.to_thread(manager.emit, "nobody hears this", {}, namespace="/")
        await driver.connect([channel])
        await asyncio.to_thread(manager.emit, "news", {"a": 1}, namespace="/")
        (message,) = await asyncio.wait_for(driver.receive(), 10)
        await driver.close()
        heard = json.loads(message)
        assert (heard["method"], heard["event"], heard["host_id"]) == ("emit", "news", manager.host_id)

    asyncio.run(scene())
    manager.publisher_connection.release()


def test_kombu_manager_hears(rabbitmq, channel):
    """What a driver publishes comes to a process of Flask-SocketIO as the text that was published."""
    manager = socketio.KombuManager(rabbitmq.url, channel=channel)
    messages = manager._listen()
    heard: list[str] = []

    def listen() -> None:
        heard.append(next(messages))
        messages.close()

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()

    async def scene() -> None:
        driver = make_driver(rabbitmq.url)
        await driver.connect([f"{channel}.{uuid4().hex}"])
        while not heard:
            await driver.publish([(channel, b'{"method": "emit"}')])
            await asyncio.sleep(0.05)
        await driver.close()

    asyncio.run(asyncio.wait_for(scene(), 20))
    listening.join()
    assert heard == ['{"method": "emit"}']


def test_first_host_that_answers_is_taken(rabbitmq, channel):
    """Of several hosts one may be down."""
    down = free_port()
    url = rabbitmq.url.replace(f"@{brokers.HOST}", f"@{brokers.HOST}:{down},{brokers.HOST}")

    async def scene() -> None:
        driver = make_driver(url)
        await driver.connect([channel])
        await driver.publish([(channel, b"1")])
        assert await asyncio.wait_for(driver.receive(), 10) == [b"1"]
        await driver.close()

    asyncio.run(scene())


def test_tls_is_spoken_with_a_password_and_certificates_are_checked(rabbitmq):
    """`amqps://` trusts what it is told to trust, says when it does not, and names a wrong password."""
    trusting = {"context": ssl.create_default_context(cafile=brokers.CERTIFICATE)}

    async def scene() -> None:
        driver = make_driver(rabbitmq.tls_url, trusting)
        await driver.connect(["flask-socketio"])
        await driver.publish([("flask-socketio", b"1")])
        assert await asyncio.wait_for(driver.receive(), 10) == [b"1"]
        await driver.close()
        for url, options, cure in (
            (rabbitmq.tls_url, {}, "check the certificates"),
            (
                rabbitmq.tls_url.replace(brokers.ENCODED, "wrong"),
                trusting,
                "check the user name and the password",
            ),
        ):
            refused = make_driver(url, {"timeout": 10, **options})
            with pytest.raises(BrokerError, match=cure):
                await refused.connect(["flask-socketio"])
            await refused.close()

    asyncio.run(scene())
