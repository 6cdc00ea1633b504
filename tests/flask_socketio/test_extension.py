"""Making the extension and its server."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
import warnings

import pytest
from flask import Flask

import flask_socketio
from carboy.config import UnknownOptionWarning
from flask_socketio import SocketIO


def test_application_knows_its_extension(app, socketio):
    """Under the name that the functions look for."""
    assert app.extensions["socketio"] is socketio


def test_options_add_up(app):
    """Those of the constructor, those set between, and those of init_app."""
    socketio = SocketIO(allow_upgrades=False, ping_interval=3)
    socketio.server_options["ping_timeout"] = 4
    socketio.init_app(app, ping_interval=5, path="/chat")
    config = socketio.runtime.config
    assert (config.allow_upgrades, config.ping_interval, config.ping_timeout) == (False, 5, 4)
    assert config.path == "/chat/"
    assert socketio.server_options == {
        "allow_upgrades": False,
        "ping_interval": 5,
        "ping_timeout": 4,
        "path": "/chat",
    }


def test_second_init_app_makes_another_server_and_no_second_layer(app, socketio):
    """The middleware of the same application is replaced."""
    first_server, first_layer = socketio.server, app.wsgi_app
    socketio.init_app(app)
    assert socketio.server is not first_server
    assert app.wsgi_app is not first_layer
    assert app.wsgi_app.wsgi_app == app.wsgi_app.wsgi_app.__self__.__class__.wsgi_app.__get__(app)


@pytest.mark.parametrize(
    "make",
    [
        lambda app: SocketIO(app, ping_intervall=3),
        lambda app: SocketIO().init_app(app, ping_intervall=3),
    ],
)
def test_unknown_option_warns_at_the_applications_line(app, make):
    """With the nearest name, from however deep; it is no error."""
    with pytest.warns(UnknownOptionWarning, match="'ping_intervall'; did you mean 'ping_interval'") as caught:
        make(app)
    assert [warning.filename for warning in caught] == [__file__]


def test_second_extension_at_the_same_path_is_told(app, socketio):
    """The handlers of the first would be silent; at a path of its own each has clients."""
    with pytest.warns(UserWarning, match="two SocketIO objects"):
        SocketIO(app)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SocketIO(app, path="/other")


@pytest.mark.parametrize(
    "make", [lambda app: SocketIO(app, async_mode="x"), lambda app: SocketIO(app, ping_timeout=0)]
)
def test_value_that_cannot_work_is_a_value_error(app, make):
    """At once."""
    with pytest.raises(ValueError):  # noqa: PT011 (each has its own words)
        make(app)


@pytest.mark.parametrize("other", [__name__, Flask(__name__).wsgi_app], ids=["a name", "a callable"])
def test_what_is_no_application_is_told(other):
    """With what has to be written instead."""
    with pytest.raises(ValueError, match="take a Flask application, not"):
        SocketIO(other)


def test_queue_without_an_application_makes_a_server_that_only_emits():
    """As a worker process does; nothing is connected before the first emit."""
    socketio = SocketIO(message_queue="redis://")
    assert socketio.runtime.cluster.bus.connected is False
    assert socketio.server_options["client_manager"].url == "redis://"
    assert SocketIO(**socketio.server_options).runtime.cluster is not None


@pytest.mark.parametrize("queue", [None, "", False])
def test_queue_that_is_none_waits_for_the_application(app, queue):
    """Nothing is initialised yet, and nothing is warned of; then it serves alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        socketio = SocketIO(message_queue=queue)
        assert socketio.server is None
        socketio.init_app(app)
    assert socketio.runtime.cluster is None
    assert SocketIO(Flask(__name__), message_queue=queue).runtime.cluster is None


def test_green_threads_are_said_to_be_needless(app, caplog):
    """One line, at info."""
    with caplog.at_level(logging.INFO, "carboy"):
        socketio = SocketIO(app, async_mode="gevent")
    assert socketio.async_mode == socketio.server.async_mode == "gevent"
    assert "no green threads are needed" in caplog.text


@pytest.mark.parametrize(("options", "managed"), [({}, True), ({"manage_session": False}, False)])
def test_manage_session_is_an_attribute(app, options, managed):
    """Tests flip it."""
    assert SocketIO(app, **options).manage_session is managed


def test_reasons_have_their_values():
    """Disconnect handlers compare with them."""
    assert (
        vars(SocketIO.reason).items()
        >= {
            "SERVER_DISCONNECT": "server disconnect",
            "CLIENT_DISCONNECT": "client disconnect",
            "PING_TIMEOUT": "ping timeout",
            "TRANSPORT_CLOSE": "transport close",
            "TRANSPORT_ERROR": "transport error",
        }.items()
    )


def test_flask_json_works_on_every_thread():
    """The codec is called outside of any context."""
    from datetime import date

    import flask.json

    app = Flask("application")
    socketio = SocketIO(app, json=flask.json)
    client = socketio.test_client(app)
    socketio.emit("day", date(2024, 1, 1))
    assert client.get_received()[0]["args"] == ["Mon, 01 Jan 2024 00:00:00 GMT"]


SIGNATURES = {
    SocketIO.init_app: "self app kwargs",
    SocketIO.on: "self message namespace",
    SocketIO.on_error: "self namespace",
    SocketIO.on_error_default: "self exception_handler",
    SocketIO.on_event: "self message handler namespace",
    SocketIO.event: "self args kwargs",
    SocketIO.on_namespace: "self namespace_handler",
    SocketIO.emit: "self event args",
    SocketIO.call: "self event args",
    SocketIO.send: "self data json namespace to callback include_self skip_sid kwargs",
    SocketIO.close_room: "self room namespace",
    SocketIO.run: "self app host port kwargs",
    SocketIO.stop: "self",
    SocketIO.start_background_task: "self target args kwargs",
    SocketIO.sleep: "self seconds",
    SocketIO.test_client: "self app namespace query_string headers auth flask_test_client",
    SocketIO._handle_event: "self handler message namespace sid args",
    flask_socketio.join_room: "room sid namespace",
    flask_socketio.leave_room: "room sid namespace",
    flask_socketio.close_room: "room namespace",
    flask_socketio.rooms: "sid namespace",
    flask_socketio.disconnect: "sid namespace silent",
    flask_socketio.Namespace.emit: "self event data room include_self namespace callback",
    flask_socketio.Namespace.send: "self data room include_self namespace callback",
    flask_socketio.Namespace.close_room: "self room namespace",
    flask_socketio.SocketIOTestClient.send: "self data json callback namespace",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_positions_are_flask_socketios(function):
    """What an application passes by position arrives where it did."""
    assert (
        list(inspect.signature(function).parameters)[: len(SIGNATURES[function].split())]
        == SIGNATURES[function].split()
    )


def test_other_distribution_is_warned_of(tmp_path):
    """Both bring the same package, so that either may break the other."""
    (tmp_path / "flask_socketio-5.7.0.dist-info").mkdir()
    (tmp_path / "flask_socketio-5.7.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Flask-SocketIO\nVersion: 5.7.0\n"
    )
    program = f"import sys; sys.path[:0] = {[str(tmp_path), *sys.path]!r}; import flask_socketio"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip uninstall flask-socketio" in done.stderr


def test_importing_the_extension_imports_no_web_server():
    """A process that only emits, or is served by gunicorn, has no use for uvicorn."""
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; import flask_socketio; print('uvicorn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
