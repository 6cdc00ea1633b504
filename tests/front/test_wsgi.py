"""The server behind WSGI servers."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from raw import Response, opened
from serving import POLLING, WEBSOCKET
from wsgi_serving import Site, hide_socket, serve

CERTIFICATE = Path(__file__).parent / "localhost.pem"


def ask(site: Site, method: str, target: str, body: bytes | None = None) -> Response:
    """Send one request on a connection of its own, which is what Werkzeug serves."""
    with site.client() as client:
        return client.request(method, target, body)


def open_polling(site: Site) -> str:
    """Open a session over polling, in the namespace "/", and return the target of its requests."""
    target = f"{POLLING}&sid={opened(ask(site, 'GET', POLLING).body)['sid']}"
    assert ask(site, "POST", target, b"40").body == b"ok"
    assert polled(site, target).startswith(b"40{")
    return target


def polled(site: Site, target: str) -> bytes:
    """Poll until something comes, and return it."""
    while (body := ask(site, "GET", target).body) == b"6":
        pass
    return body


def no_request_holds_a_thread() -> bool:
    """Wait a moment for the threads of the server's requests to end, and tell whether they did."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any("process_request_thread" in thread.name for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


def test_websocket_holds_no_thread_and_exchanges_events() -> None:
    """Its socket moves to the hub, and the server's thread ends."""
    with serve() as site, site.client() as client:
        assert client.upgrade(WEBSOCKET).status == 101
        opened(client.read_text())
        client.send_text("40")
        assert client.read_text().startswith("40{")
        client.send_text('421["echo","é"]')
        assert client.read_text() == '431["é"]'
        assert no_request_holds_a_thread()


def test_poll_that_waits_holds_no_thread_and_is_answered_by_the_hub() -> None:
    """Its connection is closed with the answer, and so says the answer."""
    with serve() as site:
        target = open_polling(site)
        with site.client() as poll:
            poll.begin("GET", target)
            assert no_request_holds_a_thread()
            assert ask(site, "POST", target, b'421["echo",1]').status == 200
            answer = poll.finish()
            assert (answer.status, answer["connection"], answer.body) == (200, "close", b"431[1]")
            assert poll.closed()


def test_peer_that_gives_up_a_moved_poll_is_gone() -> None:
    """The end of a poll's connection ends the session, as in Node."""
    with serve() as site:
        target = open_polling(site)
        with site.client() as poll:
            poll.begin("GET", target)
            assert no_request_holds_a_thread()
        deadline = time.monotonic() + 20
        while ("disconnect", "transport error") not in site.seen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ("disconnect", "transport error") in site.seen


@pytest.mark.parametrize(("change", "upgrades"), [(lambda environ: None, ["websocket"]), (hide_socket, [])])
def test_websockets_are_offered_where_they_work(change: object, upgrades: list[str]) -> None:
    """A client tries no upgrade that cannot come to pass."""
    with serve(change) as site, site.client() as client:  # type: ignore[arg-type]
        assert opened(client.request("GET", POLLING).body)["upgrades"] == upgrades


def test_websocket_is_refused_where_no_socket_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    """The client is told so, and the log once."""
    with serve(hide_socket) as site:
        for _ in range(2):
            with site.client() as client:
                answer = client.upgrade(WEBSOCKET)
                assert (answer.status, answer.body) == (400, b'{"code":0,"message":"Transport unknown"}')
    assert caplog.text.count("does not show the sockets") == 1


def test_poll_that_holds_a_thread_returns_with_nothing_in_time() -> None:
    """It does so again and again, and the session goes on."""
    with serve(hide_socket, poll_time=0.1) as site:
        target = open_polling(site)
        for _ in range(2):
            began = time.monotonic()
            answer = ask(site, "GET", target)
            assert (answer.status, answer.body) == (200, b"6")
            assert 0.09 < time.monotonic() - began < 3
        assert ask(site, "POST", target, b'421["echo"]').status == 200
        assert polled(site, target) == b"431[]"


def test_session_keeps_nothing_of_its_server() -> None:
    """The environment that handlers see holds no socket and no stream of the server."""
    with serve() as site, site.client() as client:
        client.upgrade(WEBSOCKET)
        client.read_text()
        client.send_text("40")
        client.read_text()
        environ = site.seen[0][1]
        assert "werkzeug.socket" not in environ
        assert environ["wsgi.input"].read() == b""
        assert environ["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_is_too_long_is_refused(chunked: bool) -> None:
    """It is not read to its end."""
    with serve(max_http_buffer_size=100) as site:
        target = open_polling(site)
        with site.client() as client:
            if chunked:
                client.begin("POST", target, headers="Transfer-Encoding: chunked\r\n")
                client.send(b"c8\r\n" + b"4" * 200 + b"\r\n0\r\n\r\n")
                assert client.finish().status == 413
            else:
                assert client.request("POST", target, b"4" * 200).status == 413


def test_nothing_begins_once_the_hub_has_stopped() -> None:
    """Requests that come too late are refused; none waits for a loop that has ended."""
    with serve() as site:
        open_polling(site)
        site.front.hub.stop()
        with site.client() as client:
            assert client.request("GET", POLLING).status == 503
        with site.client() as client:
            assert client.upgrade(WEBSOCKET).status == 503


def test_stop_closes_clients_and_runs_their_handlers() -> None:
    """A websocket gets a close frame, and a poll that waits the close packet."""
    with serve() as site:
        target = open_polling(site)
        with site.client() as websocket, site.client() as poll:
            websocket.upgrade(WEBSOCKET)
            websocket.read_text()
            poll.begin("GET", target)
            while not any(
                getattr(each.transport, "_answer", None) for each in site.server.connections.values()
            ):
                time.sleep(0.005)
            assert no_request_holds_a_thread()
            stopping = threading.Thread(target=site.front.hub.stop)
            stopping.start()
            assert websocket.read_close() == 1001
            websocket.socket.close()
            assert poll.finish().body == b"1"
            stopping.join()
        assert site.seen[-1][0] == "disconnect"


def test_websocket_over_tls_is_carried_by_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    """A TLS socket cannot move; the log says once what that costs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    with serve(tls=context) as site:
        for _ in range(2):
            with site.client(tls=trusting) as client:
                assert client.upgrade(WEBSOCKET).status == 101
                opened(client.read_text())
                client.send_text("40")
                assert client.read_text().startswith("40{")
                text = "x" * 100_000
                client.send_text(f'421["echo","{text}"]')
                assert client.read_text() == f'431["{text}"]'
    assert caplog.text.count("over TLS holds a thread") == 1


@pytest.mark.parametrize("shown", [True, False], ids=["socket shown", "socket hidden"])
def test_body_that_ends_early_ends_its_session(shown: bool) -> None:
    """A part of a body is never taken for the whole."""
    with serve(*([] if shown else [hide_socket])) as site, site.client() as client:
        target = open_polling(site)
        client.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n3".encode())
        client.socket.shutdown(socket.SHUT_WR)
        assert client.finish().status == 400
        wait_for_disconnect(site, "transport error")


def test_body_that_does_not_arrive_holds_its_thread_for_a_while_only() -> None:
    """A peer that stops in the middle of a body is cut off after `request_timeout`."""
    with serve(request_timeout=0.2) as site, site.client() as client:
        target = open_polling(site)
        client.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n3".encode())
        assert client.finish().status == 400
        wait_for_disconnect(site, "transport error")
        assert no_request_holds_a_thread()


def wait_for_disconnect(site: Site, reason: str) -> None:
    """Wait for the disconnect handler."""
    deadline = time.monotonic() + 5
    while site.seen[-1] != ("disconnect", reason):
        assert time.monotonic() < deadline, site.seen
        time.sleep(0.005)
