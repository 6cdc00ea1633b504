"""URLs of brokers are read as their users write them, and what is secret in them is never shown."""

from __future__ import annotations

import pytest

from carboy.adapters.broker_url import BrokerURL
from carboy.exceptions import ConfigurationError

SHOWN = [
    ("redis://", "redis://"),
    ("redis://localhost:6379/0", "redis://localhost:6379/0"),
    ("redis://:secret@host", "redis://host"),
    ("REDIS://user:secret@host:1", "redis://host:1"),
    ("redis://u:se%2Fcret@a:1,b:2/0/service", "redis://a:1,b:2/0/service"),
    ("redis://user:se@cret@host:1", "redis://host:1"),
    ("rediss://host?ssl_password=secret", "rediss://host"),
    ("unix://:secret@/run/redis.sock", "unix:///run/redis.sock"),
    ("amqp://guest:secret@host:5672//", "amqp://host:5672//"),
    ("nats://[::1]:4222", "nats://[::1]:4222"),
    ("nats://[::1]", "nats://[::1]"),
    ("zmq+tcp://host:5555+5556", "zmq+tcp://host:5555+5556"),
]


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_secrets_are_not_shown(url, shown):
    """The text of a URL is the URL without its user, password and query; its repr has no secret either."""
    parsed = BrokerURL.parse(url)
    assert str(parsed) == shown
    assert "secret" not in repr(parsed)
    assert "cret" not in repr(parsed)


def test_parts_are_decoded():
    """User and password are as the broker knows them, and hosts without a port get the usual one."""
    url = BrokerURL.parse("redis+sentinel://us%40er:p%2Fw@a:1,b/0/service?db=2")
    assert (url.scheme, url.username, url.password) == ("redis+sentinel", "us@er", "p/w")
    assert url.addresses(26379) == [("a", 1), ("b", 26379)]
    assert (url.path, url.query) == ("/0/service", {"db": "2"})


def test_url_without_a_host_means_this_machine():
    """`redis://` alone is the broker on this machine, at its usual port."""
    assert BrokerURL.parse("redis://").addresses(6379) == [("localhost", 6379)]


REFUSED = [
    "",
    "localhost:6379",
    "redis:/localhost",
    "redis://host:port",
    "redis://host:0",
    "redis://host:65536",
    "redis://user:se/cret@host:6379",
    "redis://:12/secret@host:6379",
    "redis://user:sec#ret@host:6379",
    "redis://user:sec?ret@host:6379",
    "redis://[secret@host",
    "zmq+tcp://host:5555+secret",
]


@pytest.mark.parametrize("url", REFUSED)
def test_malformed_url_is_refused_without_being_quoted(url):
    """A URL that cannot be right is refused in words that hold no part of what may be a password."""
    with pytest.raises(ConfigurationError, match=r"URL of the message queue") as raised:
        BrokerURL.parse(url)
    assert "secret" not in str(raised.value)
    assert "cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_password_is_taken_out_of_what_others_say():
    """A library that quotes the password in its error does not bring it into ours."""
    assert (
        BrokerURL.parse("nats://u:hunter2@h").without_secrets("login u:hunter2 failed")
        == "login u:*** failed"
    )
    assert BrokerURL.parse("nats://h").without_secrets("failed") == "failed"
