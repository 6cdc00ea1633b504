"""The options that name a message queue."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from carboy.config import Config
from carboy.exceptions import ConfigurationError
from carboy.runtime.server import Server
from flask_socketio.message_queue import MessageQueue


def read(**given):
    """Read options, of which none may be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return MessageQueue.read(given, write_only=False)


@pytest.mark.parametrize("given", [{}, {"message_queue": None}, {"client_manager": None, "channel": "x"}])
def test_nothing_named_is_no_queue(given):
    """A value from an environment variable that is not set."""
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
def test_client_manager_stands_for_its_url_and_channel(manager, url):
    """That of python-socketio, and the one that an earlier init_app has left."""
    queue = read(client_manager=manager)
    assert (queue.url, queue.channel) == (url, "c")


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
