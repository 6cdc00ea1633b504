"""The driver for ZeroMQ writes and reads the frames of python-socketio's ZmqManager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

import brokers
from carboy.adapters.drivers import make_driver

CHANNEL = "flask-socketio"


@pytest.fixture
def broker(start_broker: Callable[..., brokers.Broker]) -> brokers.Broker:
    """The broker of the run."""
    return start_broker(brokers.ZMQ)


@pytest.mark.parametrize(
    ("separators", "order"),
    [
        ((", ", ": "), ("type", "channel", "data")),  # as ZmqManager writes it
        ((",", ":"), ("type", "channel", "data")),  # with a JSON module that writes no spaces
    ],
)
def test_frames_of_python_socketio_are_read(broker, separators, order):
    """A frame that another program pushed gives its message, byte by byte, one of another channel none."""
    import zmq

    def frame(channel: str, data: object) -> bytes:
        fields = {"type": "message", "channel": channel, "data": data}
        return json.dumps({name: fields[name] for name in order}, separators=separators).encode()

    data = {"method": "emit", "data": ["}", "é", {"a": [1, 2]}]}

    async def scene() -> None:
        driver = make_driver(broker.url)
        await driver.connect([CHANNEL])
        with zmq.Context() as context, context.socket(zmq.PUSH) as sink:
            sink.connect(f"tcp://{brokers.HOST}:{broker.port}")
            for part in (b"noise", b"{}", frame("other", data), frame(CHANNEL, data)):
                sink.send(part)
        assert await asyncio.wait_for(driver.receive(), 10) == [
            json.dumps(data, separators=separators).encode()
        ]
        await driver.close()

    asyncio.run(scene())


def test_frames_are_those_of_python_socketio(broker):
    """What a driver publishes is, to any subscriber, the JSON that ZmqManager would have sent."""
    import zmq

    async def scene() -> list[bytes]:
        with zmq.Context() as context, context.socket(zmq.SUB) as source:
            source.subscribe(b"")
            source.connect(f"tcp://{brokers.HOST}:{broker.ports[1]}")
            driver = make_driver(broker.url)
            await driver.connect([CHANNEL])
            frames: list[bytes] = []  # with the driver's probes, which ZmqManager takes no notice of
            while not any(json.loads(frame)["type"] == "message" for frame in frames):
                await driver.publish([(CHANNEL, b'{"method": "emit"}')])
                while source.poll(50):
                    frames.append(source.recv())
            await driver.close()
            return frames

    frames = asyncio.run(asyncio.wait_for(scene(), 20))
    messages = [frame for frame in frames if json.loads(frame)["type"] == "message"]
    assert (
        messages[0]
        == json.dumps({"type": "message", "channel": CHANNEL, "data": {"method": "emit"}}).encode()
    )
