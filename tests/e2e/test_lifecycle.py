"""How the server starts, under what it runs, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import javascript
import pytest
import servers

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
EXIT_SECONDS = 6.0
ECHO = javascript.checks("echo")


def options(**added: Any) -> dict[str, str]:
    """Return the environment that adds options to those of `run()`."""
    return {"RUN_OPTIONS": json.dumps({**json.loads(os.environ.get("RUN_OPTIONS", "{}")), **added})}


def ask(
    server: servers.Server, path: str, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    """Send one request, and return the status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def open_session(server: servers.Server) -> str:
    """Connect a polling client, and return the path of its requests."""
    _, opening = ask(server, HANDSHAKE)
    path = f"{HANDSHAKE}&sid={json.loads(opening[1:])['sid']}"
    assert ask(server, path, "POST", b"40")[0] == 200
    assert ask(server, path)[1].startswith(b"40")
    return path


def serves_javascript(url: str, modes: tuple[str, ...] = javascript.MODES) -> None:
    """See to it that the JavaScript client is served in these modes."""
    for mode in modes:
        report = javascript.run("echo", url, mode)
        for its_mode, name in ECHO:
            if its_mode == mode:
                report.verify(name)


def ends_well(server: servers.Server, line: str = "after run") -> None:
    """See to it that the process ends by itself, with status 0, after the code that follows `run()`."""
    assert server.wait(EXIT_SECONDS) == 0, server.log()
    assert line in server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signal_ends_run_and_the_code_after_it_runs(number: int) -> None:
    """A signal to stop makes run() return, and the process ends with status 0."""
    with servers.serve("lifecycle.py") as server:
        open_session(server)
        server.signal(number)
        ends_well(server)


@pytest.mark.parametrize("path", ["/stop", "/stop-here"], ids=["from a thread", "from a view"])
def test_stop_ends_run_and_the_code_after_it_runs(path: str) -> None:
    """stop() makes run() return, wherever it is called."""
    with servers.serve("lifecycle.py") as server:
        session = open_session(server)
        assert ask(server, path, "POST") == (200, b"stopping")
        ends_well(server)
        assert session


def test_stop_in_a_handler_ends_run() -> None:
    """stop() makes run() return when an event handler calls it."""
    with servers.serve("lifecycle.py") as server:
        session = open_session(server)
        assert ask(server, session, "POST", b'42["stop"]')[0] == 200
        ends_well(server)


@pytest.mark.parametrize("mode", javascript.MODES)
def test_clients_are_let_go_when_the_server_stops(mode: str) -> None:
    """A connected client sees a clean end of its connection, after the handler under way has finished."""
    with servers.serve("lifecycle.py") as server, javascript.running("shutdown", server.url, mode) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        server.signal(signal.SIGTERM)
        told, _ = client.communicate(timeout=10)
        assert "reason: transport close\n" in told
        ends_well(server)
        assert "the handler has finished" in server.log()
        assert server.log().count("disconnected: ") == 1


def test_pending_poll_is_answered_when_the_server_stops() -> None:
    """A poll that waits for events gets an answer, and is not cut off."""
    with servers.serve("lifecycle.py") as server:
        session = open_session(server)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", session)
        ask(server, "/")  # by the time that this is answered the poll waits
        server.signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:1] in (b"1", b"6")) == (200, True)
        connection.close()
        ends_well(server)


def test_busy_server_stops_in_time() -> None:
    """Many idle clients and open connections do not keep the server from stopping."""
    with servers.serve("lifecycle.py") as server:
        for _ in range(20):
            open_session(server)
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
        server.signal(signal.SIGTERM)
        ends_well(server)
        for connection in idle:
            connection.close()


def test_run_works_in_a_thread() -> None:
    """run() serves from a thread other than the main one, and stop() ends it."""
    with servers.serve("threaded.py", standard_input=True) as server:
        serves_javascript(server.url)
        server.write("\n")
        ends_well(server, "the thread has ended")


def test_run_works_where_a_loop_runs() -> None:
    """run() serves when it is called under a running event loop, as in a notebook."""
    with servers.serve("in_a_loop.py") as server:
        serves_javascript(server.url)
        assert ask(server, "/stop", "POST") == (200, b"stopping")
        ends_well(server)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of our own for localhost, and its key."""
    if shutil.which("openssl") is None:
        javascript.missing("openssl is not installed, TLS was not tried")
    folder = tmp_path_factory.mktemp("tls")
    paths = (str(folder / "certificate.pem"), str(folder / "key.pem"))
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "2", "-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]]
    subprocess.run(command, check=True, capture_output=True)
    return paths


@pytest.mark.parametrize(
    "name",
    [
        lambda certificate, key: {"ssl_certfile": certificate, "ssl_keyfile": key},
        lambda certificate, key: {"certfile": certificate, "keyfile": key},
        lambda certificate, key: {"ssl_context": [certificate, key]},
    ],
    ids=["ssl_certfile and ssl_keyfile", "certfile and keyfile", "ssl_context"],
)
def test_tls_is_served(name: Callable[[str, str], dict[str, object]], certificate: tuple[str, str]) -> None:
    """With a certificate the server speaks https and wss, under each of the names of the option."""
    with servers.serve("lifecycle.py", environment=options(**name(*certificate))) as server:
        context = ssl.create_default_context(cafile=certificate[0])
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=context)
        connection.request("GET", HANDSHAKE)
        assert connection.getresponse().read().startswith(b'0{"sid":')
        connection.close()
        serves_javascript(f"https://localhost:{server.port}")
        server.signal(signal.SIGTERM)
        ends_well(server)


def request_over_unix_socket(path: Path, text: str) -> bytes:
    """Send a request over a Unix socket, and return the answer's beginning."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(text.replace("\n", "\r\n").encode())
        answer = b""
        while b"pingInterval" not in answer:
            part = connection.recv(4096)
            assert part, f"the connection ended after {answer!r}"
            answer += part
        return answer


def test_unix_socket_is_served(tmp_path: Path) -> None:
    """With uds= the server listens on a Unix socket, for polling and websockets alike."""
    path = tmp_path / "server.sock"
    with servers.serve("lifecycle.py", environment=options(uds=str(path)), unix_socket=path) as server:
        polling = request_over_unix_socket(path, f"GET {HANDSHAKE} HTTP/1.1\nHost: localhost\n\n")
        assert polling.startswith(b"HTTP/1.1 200")
        upgrade = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
        upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
        target = "/socket.io/?EIO=4&transport=websocket"
        websocket = request_over_unix_socket(path, f"GET {target} HTTP/1.1\nHost: localhost\n{upgrade}")
        assert websocket.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in websocket
        server.signal(signal.SIGTERM)
        ends_well(server)


def flask_run(application: str) -> Any:
    """Serve an application with the command of Flask."""
    path = str(servers.APPLICATIONS / application)
    return servers.serve("", "-m", "flask", "--app", path, "run", "--port", "{port}")


def test_flask_run_serves_the_events() -> None:
    """`flask run` serves the events of an application over every transport, and ends when it is told to."""
    with flask_run("lifecycle.py") as server:
        serves_javascript(server.url)
        assert ask(server, "/") == (200, b"index")


def test_flask_run_passes_over_run() -> None:
    """Under `flask run` a call of run() does nothing but say so once, and the command serves the events."""
    with flask_run("unguarded.py") as server:
        assert server.log().count("Ignoring a call to") == 1, server.log()
        serves_javascript(server.url)


@pytest.fixture
def debugged(tmp_path: Path) -> Path:
    """A copy of the application in debug mode, beside a module that it reads."""
    (tmp_path / "greeting.py").write_text('TEXT = "before"\n')
    return Path(shutil.copy(servers.APPLICATIONS / "debugged.py", tmp_path))


# A request that comes while the reloader ends the old process may fail in it.
@pytest.mark.allow_traceback("after interpreter shutdown")
def test_debug_mode_restarts_when_a_file_changes(debugged: Path) -> None:
    """The reloader restarts the application when its module changes; clients are served before and after."""
    with servers.serve(debugged) as server:
        assert ask(server, "/") == (200, b"before")
        serves_javascript(server.url, ("upgrade",))
        (debugged.parent / "greeting.py").write_text('TEXT = "changed"\n')
        servers.wait_until(lambda: server.reads("/") == b"changed", "the application restarts", 15)
        serves_javascript(server.url, ("websocket",))


@pytest.mark.allow_traceback("on purpose")
def test_debug_mode_shows_the_debugger(debugged: Path) -> None:
    """An exception in a view is answered with the debugger's page."""
    with servers.serve(debugged) as server:
        status, body = ask(server, "/fail")
        assert status == 500
        assert b"Werkzeug Debugger" in body
        assert b"on purpose" in body
