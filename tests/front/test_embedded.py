"""The embedded server: HTTP and websockets on one address, start and stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import raw
import serving

from carboy.front import embedded as module
from carboy.front.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]

CERTIFICATE = ROOT / "tests" / "front" / "localhost.pem"


def trusting() -> ssl.SSLContext:
    """Return a client's context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_server_serves_the_application_and_socketio_on_one_address(site: serving.Site) -> None:
    """What stands outside the path is the application's, on the same connection too."""
    with site.client() as client:
        assert client.request("GET", "/").body == b"the application: / for nobody"
        assert client.request("GET", serving.POLLING).body[:1] == b"0"
        assert client.request("GET", "/socket.io").body.startswith(b"the application")


def test_server_says_little_about_itself(site: serving.Site) -> None:
    """Answers have a date and no name of the software."""
    with site.client() as client:
        answer = client.request("GET", "/")
        assert answer["date"]
        assert not answer["server"]


def test_server_sets_tcp_nodelay_on_polling_connections(site: serving.Site) -> None:
    """Small answers leave at once."""
    with site.client() as client:
        client.request("GET", "/")
        (protocol,) = site.embedded._uvicorn.server_state.connections
        sock = protocol.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


LOOPS = ["uvloop", "asyncio"]


@pytest.mark.parametrize("loop", LOOPS)
def test_server_serves_on_a_unix_socket(tmp_path: Path, loop: str) -> None:
    """Polling and websockets work on a Unix socket under both loops; its clients have no address."""
    with serving.serve(uds=str(tmp_path / "socket"), options={"loop": loop}) as site:
        with site.websocket() as client:
            environ = site.next_seen()[1]
            assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == ("", "localhost")
            client.send_text('421["echo","' + "x" * 100_000 + '"]')
            assert len(client.read_text()) == 100_007
        with site.client() as client:
            site.polling(client)


@pytest.mark.parametrize("loop", LOOPS)
def test_server_serves_over_tls(loop: str) -> None:
    """Polling and websockets work over TLS under both loops, with large messages and replaced readers."""
    with serving.serve(ssl_certfile=str(CERTIFICATE), options={"loop": loop}) as site:
        with site.websocket(tls=trusting()) as client:
            assert site.next_seen()[1]["wsgi.url_scheme"] == "https"
            for _ in range(2):
                client.send_text('421["echo","' + "x" * 300_000 + '"]')
                assert len(client.read_text()) == 300_007
                client.send_text("3")
            client.send(raw.frame(raw.TEXT, b"3\xff"))
            assert client.read_close() == 1007
        with site.client(tls=trusting()) as client:
            site.polling(client)


def test_server_takes_a_context_for_tls() -> None:
    """`ssl_context` is used as it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with serving.serve(ssl_context=context) as site, site.websocket(tls=trusting()):
        assert site.next_seen()[1]["wsgi.url_scheme"] == "https"


def test_server_serves_on_asyncio() -> None:
    """The fast lane needs no uvloop."""
    with serving.serve(options={"loop": "asyncio"}) as site, site.websocket() as client:
        for size in (10, 9_000, 900_000):
            client.send_text('421["echo","' + "x" * size + '"]')
            assert len(client.read_text()) == size + 7
            client.send_text("3")


# The stop


def test_server_closes_websockets_with_1001_at_a_stop() -> None:
    """Clients are told that the server goes away, and their answer is awaited for a moment."""
    with serving.serve() as site, site.websocket() as client:
        site.embedded.stop()
        assert client.read_close() == 1001
        client.send(raw.frame(raw.CLOSE, raw.close_body(1001)))
        assert client.closed()
        assert site.reason() == "server disconnect"
        site.thread.join(serving.SECONDS)
        assert not site.thread.is_alive()


def test_server_does_not_wait_for_websockets_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment is bounded: a client that sleeps, and one that does not even read, do not hold a stop up."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.02)
    with serving.serve() as site, site.websocket(), site.websocket(receive_buffer=4096) as stalled:
        stalled.send_text('421["echo","' + "x" * 900_000 + '"]')
        began = time.monotonic()
        site.stop()
        assert time.monotonic() - began < 8


def test_server_answers_a_poll_that_waits_at_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll returns with a close packet, and idle connections are closed."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 60)
    serve = serving.serve(options={"timeout_keep_alive": 60})
    with serve as site, site.client() as client, site.client() as idle:
        idle.request("GET", "/")
        client.begin("GET", site.polling(client))
        site.embedded.stop()
        assert client.finish().body == b"1"
        assert idle.closed()


def slow_application(entered: threading.Event, leave: threading.Event, *, fails: bool = False) -> Any:
    """Return a WSGI application whose views take their time."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.set()
        leave.wait(serving.SECONDS)
        if fails:
            raise RuntimeError
        return serving.application(environ, start_response)

    return application


def test_server_finishes_requests_under_way_at_a_stop() -> None:
    """A view that runs when the stop begins still answers, while nothing new is accepted."""
    entered, leave = threading.Event(), threading.Event()
    site = serving.Site(serving.make_server(), application=slow_application(entered, leave))
    site.start()
    with site.client() as client, site.client() as idle:
        idle.request("GET", "/socket.io/")
        client.begin("GET", "/slow")
        assert entered.wait(serving.SECONDS)
        site.embedded.stop()
        assert idle.closed()
        with pytest.raises(ConnectionRefusedError):
            site.client()
        leave.set()
        assert client.finish().body.startswith(b"the application")
    site.stop()


def test_server_cuts_off_requests_that_outlast_the_shutdown_timeout(caplog: pytest.LogCaptureFixture) -> None:
    """A view that does not end holds a stop up for `shutdown_timeout` and no longer."""
    entered, leave = threading.Event(), threading.Event()
    slow = slow_application(entered, leave, fails=True)
    site = serving.Site(serving.make_server(), application=slow, shutdown_timeout=0.05)
    site.start()
    with site.client() as client:
        client.begin("GET", "/slow")
        assert entered.wait(serving.SECONDS)
        site.stop()
        assert client.finish().status == 503
        assert client.closed()
    leave.set()
    assert [record.message for record in caplog.records if record.exc_info] == []


def test_server_aborts_peers_that_do_not_take_their_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not read holds a stop up no longer than the rest, and its connection is closed."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.02)
    begun = threading.Event()

    def endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        begun.set()
        while True:
            yield b"x" * 1_000_000

    site = serving.Site(serving.make_server(), application=endless, shutdown_timeout=0.05)
    site.start()
    with site.client(receive_buffer=4096) as client:
        client.begin("GET", "/endless")
        assert begun.wait(serving.SECONDS)
        site.stop()
        assert not site.embedded._uvicorn.server_state.connections


def test_server_refuses_new_sessions_while_it_stops() -> None:
    """On connections that are still open no session begins any more, so none is cut off right away."""
    release = threading.Event()
    server = serving.make_server()
    with serving.serve(server) as site, site.client() as client, site.websocket() as busy:
        serving.on(server, "slow", lambda client: release.wait(serving.SECONDS))
        client.request("GET", "/")
        busy.send_text('42["slow"]')
        site.embedded.stop()
        assert busy.read_close() == 1001
        assert client.request("GET", serving.POLLING).status == 503
        release.set()


def test_server_stops_twice_and_before_it_starts() -> None:
    """`stop` may come at any time, also before `run`, which then returns at once."""
    early = EmbeddedServer(serving.make_server(), serving.application, port=0)
    early.stop()
    early.run()
    with serving.serve() as site:
        site.stop()
        site.stop()


def test_server_can_be_followed_by_another_on_the_same_socketio_server() -> None:
    """One Socket.IO server may be served again after a stop, and works as before."""
    server = serving.make_server()
    for _ in range(2):
        with serving.serve(server) as site, site.websocket() as client:
            client.send_text('421["echo",1]')
            assert client.read_text() == "431[1]"


def test_server_raises_what_prevents_it_from_listening() -> None:
    """An address in use is an OSError of `run`, in whatever thread; the next attempt works."""
    server = serving.make_server()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            EmbeddedServer(server, serving.application, port=port).run()

        async def run_inside_a_loop() -> None:
            EmbeddedServer(server, serving.application, port=port).run()

        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(run_inside_a_loop())
    assert not server.hub.running
    with serving.serve(server) as site, site.websocket():
        pass


def test_server_runs_beside_a_loop_that_runs_already() -> None:
    """Called where a loop runs, `run` serves in a thread of its own and returns after the stop."""

    async def run_inside_a_loop() -> None:
        server = EmbeddedServer(
            serving.make_server(), serving.application, port=0, started=lambda port: server.stop()
        )
        server.run()

    asyncio.run(run_inside_a_loop())


SCRIPT = """
    import asyncio, logging, sys, time
    sys.path[:0] = {paths!r}
    import serving
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine makes callbacks slow
    from carboy.front.embedded import EmbeddedServer
    def application(environ, start_response):
        print("entered", flush=True)
        time.sleep({seconds})
        return serving.application(environ, start_response)
    server = serving.make_server()
    started = lambda port: print(port, flush=True)
    serve = EmbeddedServer(server, application, port=0, started=started, shutdown_timeout=30).run
    async def inside_a_loop():
        serve()
    asyncio.run(inside_a_loop(), debug=False) if {inside_a_loop} else serve()
    print("after run", flush=True)
    import os
    os._exit(0)
"""


@contextmanager
def script(*, seconds: float = 0, inside_a_loop: bool = False) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve in the main thread of a process; give the process and its port."""
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "front")]
    code = textwrap.dedent(SCRIPT.format(paths=paths, seconds=seconds, inside_a_loop=inside_a_loop))
    command = [sys.executable, "-X", "dev", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "inside_a_loop"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)]
)
def test_server_lets_the_code_after_run_run(number: signal.Signals, inside_a_loop: bool) -> None:
    """A signal ends `run`, not the process, with clients of both kinds there; dev mode has no complaint."""
    running = script(inside_a_loop=inside_a_loop)
    with running as (process, port), raw.Client(port) as client, raw.Client(port) as poller:
        client.upgrade(serving.WEBSOCKET)
        sid = raw.opened(poller.request("GET", serving.POLLING).body)["sid"]
        poller.begin("GET", f"{serving.POLLING}&sid={sid}")
        raw.opened(client.read_text())
        os.kill(process.pid, number)
        assert client.read_close() == 1001
        client.send(raw.frame(raw.CLOSE))
        output, errors = process.communicate(timeout=serving.SECONDS)
    assert (output, errors, process.returncode) == ("after run\n", "", 0)


def test_server_is_forced_by_a_second_sigint() -> None:
    """The second Ctrl+C does not wait for the requests under way."""
    running = script(seconds=20)
    with running as (process, port), raw.Client(port) as client, raw.Client(port) as idle:
        idle.request("GET", "/socket.io/")
        client.begin("GET", "/slow")
        assert process.stdout.readline() == "entered\n"
        os.kill(process.pid, signal.SIGINT)
        assert idle.closed()
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=serving.SECONDS)
        assert (output, process.returncode) == ("after run\n", 0)
