"""The scheme of a URL chooses the driver, and whoever gets it wrong is told what to write."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from carboy.adapters.drivers import KINDS, make_driver, name_of
from carboy.exceptions import ConfigurationError

URLS = [
    ("redis://", "RedisDriver"),
    ("rediss://:pw@host", "RedisDriver"),
    ("unix:///run/redis.sock", "RedisDriver"),
    ("redis+unix:///run/redis.sock", "RedisDriver"),
    ("redis+cluster://a:1,b:2", "RedisDriver"),
    ("redis+sentinel://u:pw@a:1,b:2/0/service", "RedisDriver"),
    ("valkey://", "RedisDriver"),
    ("valkeys://host", "RedisDriver"),
    ("valkey+sentinel://a:1/0/service", "RedisDriver"),
    ("amqp://guest:guest@localhost:5672//", "AMQPDriver"),
    ("amqps://host/vhost", "AMQPDriver"),
    ("pyamqp://", "AMQPDriver"),
    ("nats://u:pw@a,b", "NATSDriver"),
    ("tls://a", "NATSDriver"),
    ("kafka://", "KafkaDriver"),
    ("kafka://a:1,b:2", "KafkaDriver"),
    ("zmq+tcp://localhost:5555+5556", "ZMQDriver"),
]


@pytest.mark.parametrize(("url", "class_name"), URLS)
def test_scheme_chooses_the_driver(url, class_name):
    """Each URL that users of Flask-SocketIO write makes a driver, which does not show its password."""
    driver = make_driver(url)
    assert type(driver).__name__ == class_name
    assert name_of(url) in repr(driver)
    assert "pw" not in repr(driver)


def test_every_scheme_is_tried_here():
    """No scheme was forgotten in this table, but for those that differ from their like in a letter."""
    tried = {url.partition("://")[0] for url, _ in URLS}
    assert {scheme for kind in KINDS for scheme in kind.schemes} - tried == {"valkey+unix", "valkey+cluster"}


@pytest.mark.parametrize("url", ["memory://", "mqtt://user:secret@host", "http://host"])
def test_unknown_scheme_is_answered_with_those_that_there_are(url):
    """The error lists the schemes and what to install for each, and no password."""
    with pytest.raises(ConfigurationError) as raised:
        make_driver(url)
    text = str(raised.value)
    assert url.partition("secret")[0].partition("user")[0].rstrip("host") in text
    assert "secret" not in text
    assert [kind.extra for kind in KINDS if f"carboy[{kind.extra}]" not in text] == []
    assert [scheme for kind in KINDS for scheme in kind.schemes if f"{scheme}://" not in text] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.extra)
def test_missing_library_is_answered_with_the_command_that_installs_it(kind, monkeypatch):
    """Without the driver's library the error names it and the extra that brings it."""
    library = {"amqp": "aiormq", "kafka": "aiokafka"}.get(kind.extra, kind.extra)
    module = f"carboy.adapters.{kind.extra}"
    import_module(module)
    monkeypatch.delitem(sys.modules, module)
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"needs {library}.*pip install \"carboy\[{kind.extra}\]\""):
        make_driver(next(url for url, _ in URLS if url.startswith(kind.schemes[0])))


def test_library_is_imported_only_for_its_driver():
    """A process that uses no broker loads no library of one."""
    import subprocess

    code = (
        "import sys, carboy.adapters.drivers\n"
        "print({'redis', 'aiormq', 'nats', 'aiokafka', 'zmq'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("url", "options", "told"),
    [
        ("redis+sentinel://a:1", {}, "0/service"),
        ("redis+sentinel://a:1/0", {}, "0/service"),
        ("redis://a?socket_timeout=soon", {}, "socket_timeout"),
        ("zmq+tcp://a:1", {}, "host:port+port"),
        ("zmq+tcp://a:1+2", {"linger": 1}, "linger"),
        ("redis://a", {"no_such_option": 1}, "no_such_option"),
    ],
)
def test_url_and_options_that_cannot_work_are_refused_at_once(url, options, told):
    """What can be known without the broker is told before it is asked for."""
    with pytest.raises(ConfigurationError) as raised:
        make_driver(url, options)
    assert told in str(raised.value)
