"""Websockets on TLS, whose connection cannot move to another worker."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from colleagues import serve
from raw import BINARY, Client, frame
from serving import Site

CERTIFICATE = Path(__file__).parents[1] / "localhost.pem"


def trusting() -> ssl.SSLContext:
    """Return what a client needs to trust the certificate of the tests."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    """Serve with two workers on TLS."""
    with serve(ssl_certfile=str(CERTIFICATE)) as running:
        yield running


def upgrade(owner: Site, other: Site) -> Client:
    """Upgrade a session of one worker through the other."""
    with owner.client(tls=trusting()) as client:
        target = owner.polling(client)
    websocket = other.client(tls=trusting())
    assert websocket.upgrade(target.replace("polling", "websocket")).status == 101
    websocket.send_text("2probe")
    assert websocket.read_text() == "3probe"
    websocket.send_text("5")
    return websocket


def test_bytes_are_carried_both_ways(sites: list[Site]) -> None:
    """Also messages that fill every buffer on their way."""
    with upgrade(*sites) as websocket:
        websocket.send_text('421["echo","é"]')
        assert websocket.read_text() == '431["é"]'
        data = bytes(range(256)) * 3000
        websocket.send(frame(1, b'451-2["echo",{"_placeholder":true,"num":0}]') + frame(BINARY, data))
        assert websocket.read_text().startswith("461-2[")
        assert websocket.read_frame() == (BINARY, data)


def test_end_of_the_peer_reaches_the_owner(sites: list[Site]) -> None:
    """And the worker where it arrived keeps nothing."""
    owner, other = sites
    websocket = upgrade(owner, other)
    owner.next_seen()
    websocket.socket.close()
    assert owner.reason() == "transport close"
    while other.call(lambda: len(other.embedded._uvicorn.server_state.connections)):
        pass


def test_end_of_the_session_reaches_the_peer(sites: list[Site]) -> None:
    """The close frame of the owner arrives."""
    owner, other = sites
    with upgrade(owner, other) as websocket:
        owner.stop()
        assert websocket.read_close() == 1001


def test_stop_of_the_worker_in_between_lets_go(sites: list[Site]) -> None:
    """It does not wait for the peer; the client comes back."""
    owner, other = sites
    with upgrade(owner, other) as websocket:
        other.stop()
        assert websocket.closed()
        owner.next_seen()
        assert owner.reason() == "transport close"
