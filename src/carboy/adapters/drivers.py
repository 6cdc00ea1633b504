"""Which driver a URL asks for. Each driver is imported when it is first wanted: its library is an extra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from carboy.adapters.broker_url import BrokerURL
from carboy.adapters.driver import Driver
from carboy.exceptions import ConfigurationError

TIMEOUT = 5.0
"""Seconds that a broker has for what it is asked, and in which a dead connection is noticed."""

Extra = Literal["redis", "amqp", "nats", "kafka", "zmq"]


@dataclass(frozen=True)
class _Kind:
    """A kind of driver: its module, which has the name of its extra; its class; its URLs' schemes."""

    extra: Extra
    class_name: str
    schemes: tuple[str, ...]


_REDIS = ("redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster")
KINDS = (
    _Kind("redis", "RedisDriver", (*_REDIS, *(name.replace("redis", "valkey") for name in _REDIS), "unix")),
    _Kind("amqp", "AMQPDriver", ("amqp", "amqps", "pyamqp")),
    _Kind("nats", "NATSDriver", ("nats", "tls")),
    _Kind("kafka", "KafkaDriver", ("kafka",)),
    _Kind("zmq", "ZMQDriver", ("zmq+tcp",)),
)
_KIND_OF = {scheme: kind for kind in KINDS for scheme in kind.schemes}


def make_driver(url: str, options: Mapping[str, Any] | None = None) -> Driver:
    """Makes the driver for a URL, which does not connect yet.

    Args:
        url: the broker's URL; its scheme chooses the driver.
        options: `timeout`, in seconds, and what the driver hands to its library.

    Raises:
        ConfigurationError: if the URL cannot be right, no driver has its scheme, or the driver's library is
            not installed.
    """
    broker = BrokerURL.parse(url)
    kind = _KIND_OF.get(broker.scheme)
    if kind is None:
        raise ConfigurationError(f"No message queue has the scheme {broker.scheme}://. There are {_known()}")
    try:
        module = import_module(f"carboy.adapters.{kind.extra}")
    except ModuleNotFoundError as error:
        install = f'pip install "carboy[{kind.extra}]"'
        raise ConfigurationError(
            f"{broker.scheme}:// needs {error.name}, which is not installed: {install}"
        ) from None
    others = dict(options or {})
    timeout = others.pop("timeout", TIMEOUT)
    try:
        driver: Driver = getattr(module, kind.class_name)(broker, timeout, others)
    except TypeError as error:
        raise ConfigurationError(f"{broker} has options that its library does not take: {error}") from None
    return driver


def name_of(url: str) -> str:
    """Returns a URL without what is secret in it, for the log.

    Raises:
        ConfigurationError: as `make_driver`, for a URL that cannot be read.
    """
    return str(BrokerURL.parse(url))


def _known() -> str:
    return "; ".join(
        f'{", ".join(f"{scheme}://" for scheme in kind.schemes)} (pip install "carboy[{kind.extra}]")'
        for kind in KINDS
    )
