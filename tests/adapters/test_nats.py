"""The driver for NATS says what went wrong, and takes one of several servers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import pytest

import brokers
from carboy.adapters.drivers import make_driver
from carboy.exceptions import BrokerError
from ports import free_port


@pytest.fixture
def nats(start_broker: Callable[..., brokers.Broker]) -> brokers.Broker:
    """The NATS server of the run."""
    return start_broker(brokers.NATS)


def test_message_that_is_too_large_is_named(nats):
    """A message beyond the server's `max_payload` tells what to raise."""

    async def scene() -> None:
        driver = make_driver(nats.url)
        await driver.connect(["flask-socketio"])
        with pytest.raises(BrokerError, match="raise the size"):
            await driver.publish([("flask-socketio", b"x" * (9 << 20))])
        await driver.close()

    asyncio.run(scene())


def test_confirmation_stands_behind_what_it_confirms(nats):
    """The server answers the PING of a driver after it has read what was published before."""

    async def scene() -> None:
        driver = make_driver(nats.url)
        await driver.connect(["flask-socketio"])
        transport, sent = driver._client._transport, []
        write, write_lines = transport.write, transport.writelines
        transport.write = lambda data: (sent.append(data), write(data))
        transport.writelines = lambda lines: (sent.extend(lines), write_lines(lines))
        await driver.publish([("flask-socketio", b"1")])
        whole = b"".join(sent)
        assert 0 <= whole.find(b"PUB flask-socketio") < whole.find(b"PING")
        await driver.close()

    asyncio.run(scene())


def test_first_server_that_answers_is_taken(nats):
    """Of several servers one may be down."""
    down = free_port()
    url = nats.url.replace(f"@{brokers.HOST}", f"@{brokers.HOST}:{down},{brokers.HOST}")

    async def scene() -> None:
        driver = make_driver(url)
        await driver.connect(["flask-socketio"])
        await driver.publish([("flask-socketio", b"1")])
        assert await asyncio.wait_for(driver.receive(), 10) == [b"1"]
        await driver.close()

    asyncio.run(scene())


def test_tls_is_spoken_with_a_password_and_certificates_are_checked(start_broker):
    """`tls://` trusts what it is told to trust, says when it does not, and names a wrong password."""
    broker = start_broker(brokers.NATSOverTLS)
    trusting = {"tls": ssl.create_default_context(cafile=brokers.CERTIFICATE)}

    async def scene() -> None:
        driver = make_driver(broker.url, trusting)
        await driver.connect(["flask-socketio"])
        await driver.publish([("flask-socketio", b"1")])
        assert await asyncio.wait_for(driver.receive(), 10) == [b"1"]
        await driver.close()
        for url, options, cure in (
            (broker.url, {}, "check the certificates"),
            (broker.url.replace(brokers.ENCODED, "wrong"), trusting, "check the user name and the password"),
        ):
            refused = make_driver(url, {"timeout": 3, **options})
            with pytest.raises(BrokerError, match=cure):
                await refused.connect(["flask-socketio"])
            await refused.close()

    asyncio.run(scene())
