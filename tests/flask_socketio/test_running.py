"""`socketio.run()`: its options, the debugger, and serving until it is stopped."""

from __future__ import annotations

import os
import queue
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.debug import DebuggedApplication

import flask_socketio
from carboy.config import UnknownOptionWarning
from carboy.exceptions import ConfigurationError
from flask_socketio import SocketIO
from flask_socketio.running import Settings, address, is_ignored_by_command_line


def read(app=None, host=None, port=None, **options):
    """Return the settings for arguments of `run`."""
    return Settings.read(app or Flask("application"), host, port, options, {})


@pytest.mark.parametrize(
    ("server_name", "port", "expected"),
    [
        (None, None, 5000),
        ("example.com", None, 5000),
        ("example.com:8080", None, 8080),
        ("example.com:8080", 9000, 9000),
        (None, "9000", 9000),
        (None, 0, 0),
    ],
)
def test_port_comes_from_the_argument_or_the_server_name(server_name, port, expected):
    """Or it is 5000."""
    app = Flask("application")
    app.config["SERVER_NAME"] = server_name
    assert read(app, port=port).port == expected


def test_debug_decides_what_was_not_said():
    """Reloader, debugger and the log of requests follow it."""
    off, on = read(), read(debug=True)
    assert (off.host, off.debug, off.use_reloader, off.use_debugger) == ("127.0.0.1", False, False, False)
    assert (on.debug, on.use_reloader, on.use_debugger) == (True, True, True)
    assert (off.server["access_log"], on.server["access_log"]) == (False, True)
    mixed = read(debug=True, use_reloader=False, log_output=False)
    assert (mixed.use_reloader, mixed.server["access_log"]) == (False, False)


def test_applications_debug_mode_counts_where_none_is_given():
    """As `flask --debug` or FLASK_DEBUG set it."""
    app = Flask("application")
    app.debug = True
    assert read(app).debug is True


def test_reloader_options_have_flasks_and_werkzeugs_names():
    """Those of Flask-SocketIO's deprecated argument too."""
    settings = read(reloader_options={"reloader_type": "stat", "reloader_interval": 2}, extra_files=["a"])
    assert settings.reloader_options == {"reloader_type": "stat", "interval": 2, "extra_files": ["a"]}


@pytest.mark.parametrize(
    ("options", "server"),
    [
        ({"uds": "/run/x"}, {"uds": "/run/x", "options": {}}),
        (
            {"http_threads": 3, "shutdown_timeout": 1.5},
            {"http_threads": 3, "shutdown_timeout": 1.5, "options": {}},
        ),
        ({"certfile": "c", "keyfile": "k"}, {"options": {"ssl_certfile": "c", "ssl_keyfile": "k"}}),
        ({"ssl_ca_certs": "a"}, {"options": {"ssl_ca_certs": "a"}}),
        ({"ssl_context": ("c", "k")}, {"ssl_certfile": "c", "ssl_keyfile": "k", "options": {}}),
        ({"backlog": 7}, {"options": {"backlog": 7}}),
        ({"allow_unsafe_werkzeug": True, "threaded": True, "server_side": True}, {"options": {}}),
    ],
)
def test_options_of_all_its_web_servers_are_understood(options, server):
    """Each goes where it belongs, and what needs nothing is dropped in silence."""
    defaults = {"access_log": False, "http_threads": 10, "shutdown_timeout": 10.0}
    assert read(**options).server == {**defaults, **server}


@pytest.mark.parametrize(
    ("name", "value"),
    [("http_threads", 0), ("http_threads", 2.7), ("shutdown_timeout", -5), ("shutdown_timeout", "long")],
)
def test_number_that_cannot_be_is_refused(name, value):
    """As by `SocketIO(app)`, before anything listens."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a .*number.*, not {value!r}"):
        read(**{name: value})


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("backlogg", "backlog"), ("shutdown_timeouts", "shutdown_timeout"), ("factory", None)],
)
def test_unknown_option_warns_with_the_nearest_name(app, socketio, monkeypatch, name, nearest):
    """An option that the embedded server cannot take is unknown too."""
    with pytest.warns(UnknownOptionWarning, match=f"'{name}'" + (f".*'{nearest}'" if nearest else "")):
        settings = read(**{name: 1})
    assert settings.server["options"] == {}


def test_context_for_tls_is_handed_on():
    """An ssl.SSLContext is used as it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings = read(ssl_context=context)
    assert settings.server["ssl_context"] is context
    assert address(settings, 443) == "https://127.0.0.1:443"


@pytest.mark.parametrize("value", ["nonsense", 1, ("a", "b", "c")])
def test_context_that_is_none_is_an_error(value):
    """It says what would be one."""
    with pytest.raises(ValueError, match=r"ssl_context"):
        read(ssl_context=value)


def test_adhoc_certificate_needs_cryptography():
    """There is a context, or an error that names the package."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="pip install cryptography"):
            read(ssl_context="adhoc")
    else:
        assert isinstance(read(ssl_context="adhoc").server["ssl_context"], ssl.SSLContext)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (read(), "http://127.0.0.1:80"),
        (read(host="::1"), "http://[::1]:80"),
        (read(ssl_context=("c", "k")), "https://127.0.0.1:80"),
        (read(ssl_certfile="c"), "https://127.0.0.1:80"),
        (read(uds="/run/x"), "unix:/run/x"),
    ],
)
def test_address_can_be_opened(settings, expected):
    """It is what the line at the start says."""
    assert address(settings, 80) == expected


def test_run_is_passed_over_under_flask_run(app, socketio, monkeypatch, capsys):
    """With one line, since `flask run` serves the application."""
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    socketio.run(app)
    assert capsys.readouterr().out.count("Ignoring a call to 'socketio.run()'") == 1
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    assert is_ignored_by_command_line()
    assert capsys.readouterr().out == ""


def test_run_takes_what_the_server_was_given(app, monkeypatch):
    """Its own arguments come first."""
    taken = []
    monkeypatch.setattr(
        "flask_socketio.extension.serve", lambda *arguments: taken.append(arguments[3].server)
    )
    socketio = SocketIO(app, shutdown_timeout="30", http_threads=3)
    socketio.run(app)
    socketio.run(app, http_threads=5, shutdown_timeout=0)
    socketio.run(app, http_threads=None, shutdown_timeout=None)
    assert [server["shutdown_timeout"] for server in taken] == [30, 0, 30]
    assert [server["http_threads"] for server in taken] == [3, 5, 3]


def test_run_needs_a_server(app):
    """`init_app` is missing."""
    with pytest.raises(RuntimeError, match="init_app"):
        SocketIO().run(app)


def test_stop_without_run_is_an_error(socketio):
    """There is nothing to stop."""
    with pytest.raises(RuntimeError, match="serves nothing"):
        socketio.stop()


@pytest.fixture
def serve(capfd):
    """Return a function that serves in a thread, and gives the address and the thread once it listens."""
    served = []

    def start(socketio, app, **options):
        thread = threading.Thread(target=socketio.run, args=(app,), kwargs={"port": 0, **options})
        thread.start()
        served.append((socketio, thread))
        printed = ""
        while "Carboy serves" not in printed:
            assert thread.is_alive()
            thread.join(0.01)
            printed += capfd.readouterr().out
        return printed.split("Carboy serves ")[1].split()[0], thread

    yield start
    for socketio, thread in served:
        if thread.is_alive():
            socketio.stop()
            thread.join(10)


def get(url):
    """Return the body of a page."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
        return answer.read().decode()


def test_run_serves_flask_and_socketio_until_it_is_stopped(app, socketio, serve):
    """From a thread, stopped from a route."""

    @app.route("/stop")
    def stop():
        socketio.stop()
        return "stopping"

    url, thread = serve(socketio, app)
    assert get(f"{url}/socket.io/?EIO=4&transport=polling").startswith('0{"sid":')
    assert socketio.wsgi_server is not None
    assert get(f"{url}/stop") == "stopping"
    thread.join(10)
    assert not thread.is_alive()
    assert socketio.wsgi_server is None


@pytest.mark.parametrize("seconds", [0, None])
def test_server_stops_after_the_time_that_it_was_given(app, socketio, serve, seconds):
    """No time at all, or that of `SocketIO(app)`."""
    _, thread = serve(socketio, app, shutdown_timeout=seconds)
    socketio.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_debugger_stands_between_the_middleware_and_flask(app, socketio, serve):
    """Once, with the host that is served among those it trusts."""
    for _ in range(2):
        _, thread = serve(socketio, app, host="localhost", debug=True, use_reloader=False, log_output=False)
        debugged = socketio.sockio_mw.wsgi_app
        socketio.stop()
        thread.join(10)
    assert isinstance(debugged, DebuggedApplication)
    assert not isinstance(debugged.app, DebuggedApplication)
    assert "localhost" in debugged.trusted_hosts


@pytest.mark.parametrize("workers", [0, -1, 1.5, "many"])
def test_number_of_workers_that_cannot_be_is_refused(workers):
    """The error names the option."""
    with pytest.raises(ConfigurationError, match="workers must be a number of processes"):
        read(workers=workers)


def test_number_of_workers_is_one_by_default():
    """None stands for it too."""
    assert read().workers == read(workers=None).workers == 1
    assert read(workers=4).workers == 4


@pytest.mark.parametrize(
    ("options", "removed", "why"),
    [
        (
            {"debug": True, "use_reloader": False, "log_output": False},
            None,
            "with the reloader or the debugger",
        ),
        ({}, "fork", "this system cannot fork"),
    ],
)
def test_one_worker_serves_where_several_cannot(app, socketio, monkeypatch, options, removed, why):
    """A line says why."""
    if removed:
        monkeypatch.delattr(os, removed)
    printed, lines = "", queue.SimpleQueue()
    monkeypatch.setattr("flask_socketio.running.click.echo", lambda text, **_: lines.put(text))
    thread = threading.Thread(target=socketio.run, args=(app,), kwargs={"port": 0, "workers": 3, **options})
    thread.start()
    while "Carboy serves" not in printed:
        printed += lines.get(timeout=20)
    socketio.stop()
    thread.join(10)
    assert f"One worker and not 3: {why}" in printed
    assert "workers (Ctrl+C" not in printed


WORKERS = """
import sys, threading
from flask import Flask
from flask_socketio import SocketIO
app = Flask(__name__)
socketio = SocketIO(app)

@app.get("/stop")
def stop():
    socketio.stop()
    return "stopping"

socketio.run(app, workers=2, uds=sys.argv[1])
print("behind run", socketio.wsgi_server, threading.active_count())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_several_workers_serve_a_unix_socket_until_one_of_them_stops_all(tmp_path):
    """The code behind `run` runs once, and the socket is removed."""
    path = tmp_path / "s"
    source = str(Path(flask_socketio.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", WORKERS, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    ) as process:
        assert process.stdout.readline() == f" * Carboy serves unix:{path} with 2 workers (Ctrl+C to stop)\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /stop HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.stdout.read() == "behind run None 1\n"
    assert process.returncode == 0
    assert not path.exists()
