"""The options that name a message queue."""

from __future__ import annotations

import time
import warnings
from types import SimpleNamespace

import pytest
from flask import Flask

import brokers
from carboy.config import Config
from carboy.exceptions import ConfigurationError
from carboy.runtime.server import Server
from flask_socketio import SocketIO
from flask_socketio.message_queue import MessageQueue


def read(**given):
    """Read options, of which none may be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return MessageQueue.read(given, write_only=False)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"message_queue": None},
        {"message_queue": ""},
        {"message_queue": False},
        {"client_manager": None, "channel": "x"},
    ],
)
def test_nothing_named_is_no_queue(given):
    """A value from an environment variable that is not set, or that switches the queue off."""
    assert read(**given) is None


def test_queue_has_the_values_of_flask_socketio():
    """The channel has upstream's default."""
    queue = read(message_queue="redis://host", message_queue_options={"a": 1})
    assert (queue.url, queue.channel, queue.options) == ("redis://host", "flask-socketio", {"a": 1})
    assert read(message_queue="redis://host", channel="x").channel == "x"


@pytest.mark.parametrize(
    ("manager", "url"),
    [
        (SimpleNamespace(redis_url="redis://host", channel="c"), "redis://host"),
        (SimpleNamespace(url="amqp://host", channel="c"), "amqp://host"),
        (SimpleNamespace(kafka_urls=["kafka://a:1", "b:2"], channel="c"), "kafka://a:1,b:2"),
        (MessageQueue("nats://host", "c"), "nats://host"),
    ],
)
@pytest.mark.parametrize("other", [{}, {"message_queue": ""}])
def test_client_manager_stands_for_its_url_and_channel(manager, url, other):
    """That of python-socketio, and the one that an earlier init_app has left."""
    queue = read(client_manager=manager, **other)
    assert (queue.url, queue.channel) == (url, "c")


def test_client_manager_for_redis_stands_for_its_options():
    """They are for the same library; those given beside it count more."""
    manager = SimpleNamespace(
        redis_url="redis://host", channel="c", redis_options={"health_check_interval": 5}
    )
    assert read(client_manager=manager).options == {"health_check_interval": 5}
    assert read(client_manager=manager, message_queue_options={"a": 1}).options == {"a": 1}


def test_client_manager_for_zmq_stands_for_the_broker_of_its_sockets(start_broker):
    """It keeps no URL; what it stands for reaches the same broker."""
    zmq = pytest.importorskip("zmq")
    broker = start_broker(brokers.ZMQ)
    with zmq.Context() as context, context.socket(zmq.PUSH) as sink, context.socket(zmq.SUB) as sub:
        sink.connect(f"tcp://{brokers.HOST}:{broker.ports[0]}")
        sub.connect(f"tcp://{brokers.HOST}:{broker.ports[1]}")
        app = Flask(__name__)
        served = SocketIO(app, client_manager=SimpleNamespace(sink=sink, sub=sub, channel="c"))
    queue = served.server_options["client_manager"]
    assert (queue.url, queue.channel) == (broker.url, "c")
    client = served.test_client(app)
    served.runtime.listen()
    assert served.runtime.cluster.bus.wait(20)
    elsewhere = SocketIO(message_queue=broker.url, channel="c")
    elsewhere.emit("e", 1)
    deadline, heard = time.monotonic() + 10, []
    while not heard and time.monotonic() < deadline:
        heard = client.get_received()
        time.sleep(0.01)
    for socketio in (served, elsewhere):
        socketio.runtime.cluster.bus.close()
    assert heard == [{"name": "e", "args": [1], "namespace": "/"}]


def test_manager_without_a_url_is_warned_of():
    """Nothing pretends to connect processes."""
    with pytest.warns(UserWarning, match="connects nothing: give message_queue="):
        assert MessageQueue.read({"client_manager": object()}, write_only=False) is None


def test_url_is_not_shown():
    """It may have a password."""
    assert "secret" not in repr(read(message_queue="redis://:secret@host"))


def test_server_joins_without_connecting():
    """The first emit or client does that; the same server can only be in one cluster."""
    server = Server(Config())
    read(message_queue="redis://127.0.0.1:9").join(server)
    assert (server.cluster.bus.connected, server.cluster.bus.waiting) == (False, 0)


@pytest.mark.parametrize("url", ["nosuch://host", "host", "redis://host:port"])
def test_url_that_cannot_be_right_is_an_error_at_once(url):
    """And not when the first client comes."""
    with pytest.raises(ConfigurationError):
        read(message_queue=url).join(Server(Config()))
