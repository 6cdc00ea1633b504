"""A configuration is checked once, and knows its options."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from typing import Any

import pytest

from carboy.config import Config, UnknownOptionWarning
from carboy.exceptions import ConfigurationError

BOOLEANS = ("allow_upgrades", "always_connect", "async_handlers", "cors_credentials", "http_compression")


def test_defaults_are_those_of_the_class() -> None:
    """No option given is the plain configuration, and `None` means the default."""
    assert Config.from_options({}) == Config()
    assert Config.from_options({option.name: None for option in dataclasses.fields(Config)}) == Config()


def test_every_option_is_described() -> None:
    """The docstring of the class has an entry for each option, in their order."""
    lines = (inspect.getdoc(Config) or "").splitlines()
    described = [
        line.strip().partition(":")[0] for line in lines if line.startswith("    ") and line[4] != " "
    ]
    assert described == [option.name for option in dataclasses.fields(Config)]


def test_configuration_does_not_change() -> None:
    """What a server was told once holds."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().path = "/"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "path"),
    [("socket.io", "/socket.io/"), ("/a/b", "/a/b/"), ("a/", "/a/"), ("/", "/"), ("", "/")],
)
def test_path_has_both_slashes(given: str, path: str) -> None:
    """However the path is written, it begins and ends with one slash."""
    assert Config.from_options({"path": given}).path == path


def test_resource_is_an_older_name_of_path() -> None:
    """`resource` of Flask-SocketIO is the path."""
    assert Config.from_options({"resource": "x"}).path == "/x/"


@pytest.mark.parametrize(
    ("given", "transports"),
    [
        ("polling", ("polling",)),
        (["websocket"], ("websocket",)),
        (["websocket", "polling"], ("websocket", "polling")),
        (["polling", "webtransport"], ("polling",)),
    ],
)
def test_transports_may_be_one_or_many(given: Any, transports: tuple[str, ...]) -> None:
    """A name alone is a list of one; what is not offered is left out."""
    assert Config.from_options({"transports": given}).transports == transports


def test_no_known_transport_is_an_error() -> None:
    """A server that no client could reach does not start."""
    with pytest.raises(ConfigurationError, match="No valid transports"):
        Config.from_options({"transports": ["webtransport"]})


@pytest.mark.parametrize(
    ("given", "namespaces"), [("/a", ("/a",)), (["/a", "/b"], ("/a", "/b")), ("*", ("*",))]
)
def test_namespaces_may_be_one_or_many(given: Any, namespaces: tuple[str, ...]) -> None:
    """A name alone is a list of one."""
    assert Config.from_options({"namespaces": given}).namespaces == namespaces


@pytest.mark.parametrize("given", [(10, 3), [10, 3]])
def test_ping_interval_may_carry_the_grace(given: Any) -> None:
    """Two numbers are the interval and what the client is told to wait in addition."""
    config = Config.from_options({"ping_interval": given})
    assert (config.ping_interval, config.ping_grace) == (10, 3)


def test_whole_number_may_be_written_as_a_float() -> None:
    """1e8 bytes are 100,000,000 bytes."""
    size = Config.from_options({"max_http_buffer_size": 1e8}).max_http_buffer_size
    assert (size, type(size)) == (100_000_000, int)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ping_interval", 0),
        ("ping_interval", (1, 2, 3)),
        ("ping_interval", (1, -2)),
        ("ping_timeout", -1),
        ("ping_timeout", float("nan")),
        ("connect_timeout", "45"),
        ("upgrade_timeout", True),
        ("max_http_buffer_size", 0),
        ("max_queued_events", 1.5),
        ("handler_threads", 0),
        ("handler_threads", False),
        ("max_output_bytes", "16M"),
        ("serializer", "pickle"),
        ("path", 5),
        ("namespaces", 5),
        ("namespaces", ["/", 5]),
        ("json", "orjson"),
        ("cookie", 5),
        ("cookie", {"Secure": True}),
        ("compression_threshold", "1k"),
        ("compression_threshold", -1),
        ("compression_threshold", True),
        ("compression_threshold", float("nan")),
        *((name, value) for name in BOOLEANS for value in ("no", "false", "", "1", 2, [])),
    ],
)
def test_value_that_cannot_work_is_an_error(name: str, value: Any) -> None:
    """The error names the option and comes at the start, not with the first client."""
    with pytest.raises(ConfigurationError, match=name):
        Config.from_options({name: value})


def test_unknown_option_warns_with_the_nearest_name() -> None:
    """A typo is told, with what was probably meant."""
    with pytest.warns(UnknownOptionWarning, match="'ping_intervall'; did you mean 'ping_interval'"):
        Config.from_options({"ping_intervall": 5})


def test_unknown_option_without_a_neighbour_warns_too() -> None:
    """What is like no option is told without a guess."""
    with pytest.warns(UnknownOptionWarning, match="'zzz'$"):
        Config.from_options({"zzz": 5})


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize(("given", "value"), [(True, True), (False, False), (1, True), (0, False)])
def test_one_and_zero_are_true_and_false(name: str, given: Any, value: bool) -> None:
    """Whatever else a text could mean, a number has one meaning."""
    assert getattr(Config.from_options({name: given}), name) is value


@pytest.mark.parametrize("given", [0, 1500, 1e3])
def test_compression_may_begin_at_any_size(given: float) -> None:
    """With 0 every answer is compressed."""
    assert Config.from_options({"compression_threshold": given}).compression_threshold == given


@pytest.mark.parametrize("name", ["engineio_logger", "monitor_clients", "websocket_compression"])
def test_option_without_a_counterpart_is_taken_without_a_word(name: str) -> None:
    """Code that sets an option of Flask-SocketIO's engines works as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Config.from_options({name: "x"}) == Config()


def test_bound_per_address_may_be_none() -> None:
    """None is no bound, which is the default behind a proxy that nobody has told the server of."""
    assert Config().max_connections_per_address is None
    assert Config.from_options({"max_connections_per_address": 5}).max_connections_per_address == 5
