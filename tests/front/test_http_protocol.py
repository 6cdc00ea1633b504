"""The time that a peer may take under the embedded server; what it may send is in tests/unbreakable."""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serving
from raw import handshake_headers, opened

from carboy.front import http_protocol

PATIENCE = 0.2
HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
LARGE = 8_000_000


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with much, with little without the body, or read a body slowly."""
    if environ["PATH_INFO"] == "/early":
        body = b"as you like"
    elif environ["PATH_INFO"] in {"/slow", "/quick"}:
        time.sleep(3 * PATIENCE if environ["PATH_INFO"] == "/slow" else 0)
        body = b"%d" % len(environ["wsgi.input"].read())
    else:
        body = b"x" * LARGE
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture(scope="module")
def hasty() -> Iterator[serving.Site]:
    """A server that waits a fifth of a second for a request."""
    with serving.serve(serving.make_server(request_timeout=PATIENCE), application=application) as running:
        yield running


@pytest.fixture(autouse=True)
def _talkative(hasty: serving.Site) -> None:
    hasty.server.log._quiet.clear()


def open_connections(site: serving.Site) -> int:
    """Return how many connections uvicorn has."""
    return len(site.embedded._uvicorn.server_state.connections)


def wait_for_the_rest(site: serving.Site) -> None:
    """Wait until what a client has sent of a request is all there."""
    connections = site.embedded._uvicorn.server_state.connections
    site.wait_until(lambda: not any(each._incomplete for each in connections), "the rest is read")


def wait_for_none(site: serving.Site) -> None:
    """Wait until every connection is gone."""
    site.wait_until(lambda: not open_connections(site), "no connection is kept")


def test_connection_on_which_nothing_comes_is_closed_without_a_word(
    hasty: serving.Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Browsers open some in advance."""
    with hasty.client() as client:
        assert client.closed()
    assert caplog.messages == []


@pytest.fixture(scope="module")
def brief() -> Iterator[serving.Site]:
    """A server that waits a fifth of a second for a further request, and long for one that has begun."""
    options = {"timeout_keep_alive": PATIENCE}
    with serving.serve(application=application, options=options) as running:
        yield running


@pytest.mark.parametrize("target", ["/quick", "/socket.io/?EIO=4&transport=polling"])
def test_connection_on_which_nothing_more_comes_is_closed_without_a_word(
    brief: serving.Site, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    """Not before its time, whatever answered the request."""
    with brief.client() as client:
        began = time.monotonic()
        assert client.request("GET", target).status == 200
        assert client.closed()
        assert PATIENCE * 0.9 < time.monotonic() - began < 5
    assert caplog.messages == []


def test_request_that_has_begun_in_time_may_take_longer(brief: serving.Site) -> None:
    """The time of an idle connection ends with the first byte, also on one that was idle before."""
    with brief.client() as client:
        for _ in range(2):
            client.send(b"GET /qu")
            time.sleep(2 * PATIENCE)
            client.send(b"ick HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.finish().status == 200


@pytest.mark.parametrize("goes_on", [True, False])
def test_body_of_a_request_that_is_answered_already_has_its_time(brief: serving.Site, goes_on: bool) -> None:
    """The connection is idle when the rest has come, and closed when nothing comes after it."""
    with brief.client() as client:
        client.send(HEAD % (b"/early", 10) + b"12345")
        assert client.finish().status == 200
        time.sleep(2 * PATIENCE)
        client.send(b"67890")
        wait_for_the_rest(brief)
        if goes_on:
            assert client.request("GET", "/quick").status == 200
        assert client.closed()


@pytest.mark.parametrize(
    "part",
    [b"G", b"GET / HTTP/1.1\r\nHost: loc", HEAD % (b"/quick", 100), HEAD % (b"/quick", 100) + b"x" * 99],
    ids=["a letter", "half a head", "a head", "half a body"],
)
def test_request_that_does_not_arrive_is_cut_off(
    hasty: serving.Site, caplog: pytest.LogCaptureFixture, part: bytes
) -> None:
    """Status 408 and the end, with one line that names the option."""
    with hasty.client() as client:
        began = time.monotonic()
        client.send(part)
        assert client.finish().status == 408
        assert client.closed()
        assert PATIENCE * 0.9 < time.monotonic() - began < 5
    (line,) = caplog.messages
    assert line.endswith("it does not arrive (option request_timeout)")
    wait_for_none(hasty)


def test_trickle_is_no_request(hasty: serving.Site) -> None:
    """A byte now and then does not keep a connection open."""
    with hasty.client() as client:
        began = time.monotonic()
        client.send(b"GET /")
        while not select.select([client.socket], [], [], PATIENCE / 4)[0]:
            assert time.monotonic() - began < serving.SECONDS
            client.send(b"x")
        assert client.finish().status == 408


def test_body_that_keeps_coming_has_its_time(hasty: serving.Site) -> None:
    """Each thousand bytes buy a second, so a slow upload arrives whole."""
    size = 40_000
    with hasty.client() as client:
        client.send(HEAD % (b"/slow", size))
        for _ in range(8):
            client.send(b"x" * (size // 8))
            time.sleep(PATIENCE / 4)
        assert client.finish().body == b"%d" % size


def test_application_that_is_slow_to_read_is_not_the_peer_s_fault(hasty: serving.Site) -> None:
    """While a body waits for the application, the time stands still."""
    size = 1_000_000
    with hasty.client() as client:
        sender = threading.Thread(target=client.send, args=(HEAD % (b"/slow", size) + b"x" * size,))
        sender.start()
        assert client.finish().body == b"%d" % size
        sender.join()


def test_session_whose_post_does_not_arrive_is_over(hasty: serving.Site) -> None:
    """Its disconnect handler is told, and nothing is kept."""
    with hasty.client() as client:
        target = hasty.polling(client)
        client.send(HEAD % (target.encode(), 10) + b"42")
        assert client.finish().status == 408
        assert hasty.reason() == "transport error"


def test_peer_that_does_not_take_its_answer_is_cut_off(
    hasty: serving.Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Its buffer is given back; one line names the option."""
    with hasty.client(receive_buffer=4096) as client:
        client.begin("GET", "/")
        client.read_head()
        wait_for_none(hasty)
    (line,) = caplog.messages
    assert line.endswith("it does not take its answer (option request_timeout)")


def test_peer_that_takes_its_answer_slowly_gets_it_whole() -> None:
    """As long as something leaves, time is given anew."""
    server = serving.make_server(request_timeout=2)
    with (
        serving.serve(server, application=application) as site,
        site.client(receive_buffer=65536) as client,
    ):
        client.begin("GET", "/")
        client.read_head()
        received = 0
        while received < LARGE:
            received += len(client.read(min(LARGE // 8, LARGE - received)))
            time.sleep(0.3)


def test_peer_that_does_not_take_the_end_of_its_answer_is_cut_off(
    hasty: serving.Site,
) -> None:
    """A connection that was closed with bytes unsent does not linger."""
    with hasty.client(receive_buffer=4096) as client:
        client.begin("GET", "/", headers="Connection: close\r\n")
        client.read_head()
        wait_for_none(hasty)


def test_peer_that_does_not_take_its_answer_gets_no_websocket(
    hasty: serving.Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The websocket would not hear that the connection is stalled, and its output be without a bound."""
    with hasty.client(receive_buffer=4096) as client:
        target = f"{serving.POLLING}&sid={opened(client.request('GET', serving.POLLING).body)['sid']}"
        client.request("POST", target, b"40")
        client.request("GET", target)
        hasty.server.emit("news", ["x" * LARGE])
        client.begin("GET", target)
        client.read_head()
        client.begin("GET", serving.WEBSOCKET, headers=handshake_headers())
        wait_for_none(hasty)
    assert caplog.messages[0].endswith("it asks for a websocket and does not take an earlier answer")


def test_refused_peer_may_read_why_and_is_then_cut_off(
    hasty: serving.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it goes on to send is dropped for a moment, so that the answer is not lost in a reset."""
    monkeypatch.setattr(http_protocol, "LINGER", 1.0)
    with hasty.client() as client:
        client.send(b"nonsense\r\n\r\n" + b"x" * 500_000)
        assert client.finish().status == 400
        wait_for_none(hasty)


def test_lines_about_refused_requests_are_few(hasty: serving.Site, caplog: pytest.LogCaptureFixture) -> None:
    """A flood of nonsense is one line."""
    caplog.set_level(logging.INFO)
    for _ in range(20):
        with hasty.client() as client:
            client.send(b"nonsense\r\n\r\n")
            assert client.finish().status == 400
    assert caplog.messages == ["Refusing a request from 127.0.0.1: it is not HTTP/1.1"]


def test_protocol_reads_a_websocket_s_first_frames(hasty: serving.Site) -> None:
    """The time for a request does not run on after the upgrade."""
    with hasty.websocket() as client:
        time.sleep(2 * PATIENCE)
        client.send_text('421["echo"]')
        assert client.read_text() == "431[]"
