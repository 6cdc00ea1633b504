"""Dividing the options into those of the extension and those of the server."""

from __future__ import annotations

from datetime import date

import flask.json
import pytest
from flask import Flask

from carboy.exceptions import ConfigurationError
from flask_socketio.options import AppJSON, Options


def test_server_gets_all_but_the_extensions_own():
    """What nobody knows goes there too, where it is warned of."""
    given = {
        "manage_session": False,
        "message_queue": None,
        "channel": "x",
        "legacy_falsy_to": True,
        "share_session": False,
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


@pytest.mark.parametrize("name", ["http_threads", "shutdown_timeout"])
def test_what_must_be_a_number_is_one(name):
    """The error names the option; a number as text, as from the environment, is taken."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a number, not 'many'"):
        Options.read({name: "many"}, None)
    assert getattr(Options.read({name: "3"}, None), name) == 3
