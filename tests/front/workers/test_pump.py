"""Websockets on TLS, whose connection cannot move to another worker."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from colleagues import play, serve
from raw import BINARY, Client, frame
from serving import Site

from carboy.front.workers.pump import Pump

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


class Connection(asyncio.Transport):
    """A connection on TLS, which tells whatever protocol it has at the time.

    Args:
        closes: whether it says that it is closing once it is lost, which it does not on Python 3.10.
    """

    def __init__(self, *, closes: bool = True) -> None:
        super().__init__()
        self.protocol: Any = asyncio.Protocol()
        self._closes = closes
        self._closing = False
        self.reads = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another one told from here on."""
        self.protocol = protocol

    def is_closing(self) -> bool:
        """Return whether it is closing."""
        return self._closing

    def resume_reading(self) -> None:
        """Take note."""
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Do nothing: nobody reads it."""

    def close(self) -> None:
        """Do nothing: it is closed by being lost."""

    def lose(self) -> None:
        """Tell the protocol of the end."""
        self._closing = self._closes
        self.protocol.connection_lost(None)


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("rounds", range(5))
def test_connection_that_is_lost_meanwhile_leaves_nothing(rounds: int, closes: bool) -> None:
    """Uvicorn's stop would wait for it for ever, and the other worker would keep the session."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        connections: set[Any] = set()
        connection = Connection(closes=closes)

        def lose_after(left: int) -> None:
            if left:
                loop.call_soon(lose_after, left - 1)
            else:
                connection.lose()

        loop.call_soon(lose_after, rounds)  # begin waits in at least the first round
        with await Pump.begin(connection, connections) as far:
            far.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(far, 1), 2) == b""
        assert connections == set()

    play(scene)


def test_connection_that_takes_bytes_again_meanwhile_does_not_read_yet() -> None:
    """What came before the upgrade may still be on its way to the peer."""

    async def scene() -> None:
        connection = Connection()
        read_early = []

        def resume() -> None:
            connection.protocol.resume_writing()
            read_early.append(connection.reads)

        asyncio.get_running_loop().call_soon(resume)
        with await Pump.begin(connection, set()):
            assert read_early == [False]
            assert connection.reads
            connection.lose()

    play(scene)


def test_bytes_that_come_meanwhile_are_kept() -> None:
    """Python 3.10 hands them over though the connection does not read."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        connection = Connection()
        loop.call_soon(lambda: connection.protocol.data_received(b"early"))
        with await Pump.begin(connection, set()) as far:
            far.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(far, 100), 2) == b"early"
            connection.lose()

    play(scene)
