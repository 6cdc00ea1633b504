"""Dividing the options into those of the extension and those of the server."""

from __future__ import annotations

from datetime import date

import flask.json
import pytest
from flask import Flask

from carboy.exceptions import ConfigurationError
from flask_socketio import SocketIO
from flask_socketio.options import AppJSON, Options, serving_options


def test_server_gets_all_but_the_extensions_own():
    """What nobody knows goes there too, where it is warned of."""
    given = {
        "manage_session": False,
        "message_queue": None,
        "channel": "x",
        "legacy_falsy_to": True,
        "share_session": False,
        "async_mode": "gevent",
        "client_manager": None,
        "ping_interval": 5,
        "unknown": 1,
    }
    options = Options.read(given, None)
    assert options.server == {"ping_interval": 5, "unknown": 1}
    assert options.manage_session is False
    assert options.legacy_falsy_to is True


@pytest.mark.parametrize(
    ("given", "manages"),
    [({}, None), ({"manage_session": True}, True), ({"share_session": True}, False)],
)
def test_share_session_is_flasks_own_session(given, manages):
    """It says in a positive way what `manage_session=False` does."""
    assert Options.read(given, None).manage_session is manages


@pytest.mark.parametrize("mode", ["threading", "eventlet", "gevent", "gevent_uwsgi"])
def test_async_modes_of_flask_socketio_are_taken(mode):
    """They are reported as they were given."""
    assert Options.read({"async_mode": mode}, None).async_mode == mode


def test_threading_is_reported_where_no_mode_was_given():
    """Handlers run on threads."""
    assert Options.read({"async_mode": None}, None).async_mode == "threading"


def test_other_async_mode_is_an_error():
    """With upstream's words."""
    with pytest.raises(ValueError, match="Invalid async_mode specified"):
        Options.read({"async_mode": "asyncio"}, None)


def test_flask_json_gets_an_application_context():
    """Where there is none, in the server's own threads."""
    options = Options.read({"json": flask.json}, Flask("application"))
    assert isinstance(options.server["json"], AppJSON)
    text = options.server["json"].dumps({"day": date(2024, 1, 1)}, separators=(",", ":"))
    assert text == '{"day":"Mon, 01 Jan 2024 00:00:00 GMT"}'
    assert options.server["json"].loads(text) == {"day": "Mon, 01 Jan 2024 00:00:00 GMT"}


def test_other_json_modules_are_left_alone():
    """They need no context."""
    import json

    assert Options.read({"json": json}, Flask("application")).server["json"] is json


@pytest.mark.parametrize("app", [None, Flask("application")])
def test_queue_is_read_with_the_options(app):
    """Whoever has no application has no clients either."""
    queue = Options.read({"message_queue": "redis://", "channel": "x"}, app).queue
    assert (queue.url, queue.channel, queue.write_only) == ("redis://", "x", app is None)
    assert Options.read({"message_queue": None, "client_manager": None}, app).queue is None


@pytest.mark.parametrize("name", ["manage_session", "share_session", "legacy_falsy_to"])
@pytest.mark.parametrize("value", ["false", "", 2])
def test_text_is_neither_true_nor_false(name, value):
    """The error says what to write."""
    with pytest.raises(ConfigurationError, match=f"{name} must be True or False, not {value!r}"):
        Options.read({name: value}, None)


def test_one_and_zero_are_true_and_false():
    """None is the default."""
    options = Options.read({"manage_session": 0, "legacy_falsy_to": 1, "share_session": None}, None)
    assert (options.manage_session, options.legacy_falsy_to) == (False, True)


@pytest.mark.parametrize("value", ["many", 0, -3, 2.7, "2.7", True, float("inf"), []])
def test_number_of_threads_that_cannot_be_is_refused(value):
    """The error names the option, and what it may be."""
    with pytest.raises(ConfigurationError, match=r"http_threads must be a whole number greater than 0, not"):
        Options.read({"http_threads": value}, None)


@pytest.mark.parametrize("value", ["long", -5, False, float("nan"), float("inf"), "inf", 10**400, []])
def test_time_that_cannot_be_is_refused(value):
    """The error names the option, and what it may be."""
    with pytest.raises(
        ConfigurationError, match=r"shutdown_timeout must be a number of seconds, 0 or more, not"
    ):
        Options.read({"shutdown_timeout": value}, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (10, 10.0)),
        ({"http_threads": None, "shutdown_timeout": None}, (10, 10.0)),
        ({"http_threads": "3", "shutdown_timeout": "1.5"}, (3, 1.5)),
        ({"http_threads": 3.0, "shutdown_timeout": 0}, (3, 0.0)),
    ],
)
def test_numbers_are_taken_as_they_are_meant(given, expected):
    """Text, as from the environment, is taken, and 0 seconds are 0 seconds."""
    options = Options.read(given, None)
    assert (options.http_threads, options.shutdown_timeout) == expected
    assert (type(options.http_threads), type(options.shutdown_timeout)) == (int, float)


def test_first_value_that_is_given_counts():
    """What one does not say the next may."""
    found = serving_options(
        {"http_threads": None, "shutdown_timeout": 0}, {"http_threads": 3, "shutdown_timeout": 4}
    )
    assert found == {"http_threads": 3, "shutdown_timeout": 0.0}


def test_origins_that_match_nothing_are_told_once_where_the_application_names_them():
    """It starts as with Flask-SocketIO, whose entries match to the letter; empty ones need no word."""
    origins = [None, "", "http://localhost:*", "https://a.example", "https://b.example/path"]
    with pytest.warns(UserWarning, match="cors_allowed_origins") as told:
        socketio = SocketIO(Flask("application"), cors_allowed_origins=origins)
    assert len(told) == 1
    assert told[0].filename == __file__
    message = str(told[0].message)
    for part in ("'http://localhost:*'", "'https://b.example/path'", "each by itself", "callable"):
        assert part in message
    assert "'https://a.example'" not in message
    assert socketio.runtime.config.cors_allowed_origins is origins


@pytest.mark.parametrize("origins", [False, [None], "", [None, "http://localhost:3000"], []])
def test_origins_that_name_nobody_are_taken_without_a_word(origins):
    """As from a variable of the environment that is not set."""
    SocketIO(Flask("application"), cors_allowed_origins=origins)


@pytest.mark.parametrize("origins", [5, True])
def test_origins_of_a_wrong_kind_are_refused(origins):
    """At the start, with the name of the option."""
    with pytest.raises(ConfigurationError, match=f"cors_allowed_origins must be .*, not {origins}"):
        SocketIO(Flask("application"), cors_allowed_origins=origins)
