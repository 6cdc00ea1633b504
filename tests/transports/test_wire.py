"""What stands between picows and a socket: disguises, taken lines, replaced readers."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import picows
import pytest
import raw

from carboy.runtime.log import Log
from carboy.transports.wire import ANY_KEY, RETAINED_BUFFER, QuietLogger, Wire


class Rider(picows.WSListener):
    """A websocket that records what its wire tells it."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.frames: list[bytes] = []
        self.transport: Any = None

    def on_ws_connected(self, transport: Any) -> None:
        """Take the transport."""
        self.transport = transport

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Take a frame."""
        self.frames.append(frame.get_payload_as_bytes())

    def fail(self, code: int, what: str) -> None:
        """Hear of a broken rule."""
        self.told.append(code)

    def ended(self) -> None:
        """Hear of the end."""
        self.told.append("ended")


class Line:
    """A rider on one end of a pair of sockets, and the other end."""

    def __init__(self, rider: Rider, wire: Wire, far: socket.socket) -> None:
        self.rider = rider
        self.wire = wire
        self.far = far

    async def send(self, data: bytes) -> None:
        """Send as the peer, and wait until it was read."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.far, data)
        for _ in range(20):
            await asyncio.sleep(0)

    async def read(self) -> bytes:
        """Read as the peer."""
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.far, 65536), raw.SECONDS)


async def connect(*, tcp: bool = False) -> Line:
    """Hand one end of a pair of sockets to picows, of Unix sockets if nothing else is said."""
    near, far = tcp_pair() if tcp else socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, near)
    rider = Rider()
    wire = Wire(transport, rider, QuietLogger(Log()), 1_000_000)
    wire.open(ANY_KEY)
    line = Line(rider, wire, far)
    assert (await line.read()).startswith(b"HTTP/1.1 101")
    return line


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return an accepted connection and its other end, as a server makes one that is not asyncio's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        return listener.accept()[0], far


def driven(test: Any, **options: Any) -> None:
    """Run a coroutine with a line."""

    async def run() -> None:
        line = await connect(**options)
        try:
            await asyncio.wait_for(test(line), raw.SECONDS)
        finally:
            line.wire.abort()
            line.far.close()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_wire_takes_tcp_options_on_a_unix_socket() -> None:
    """Picows sets options that a Unix socket does not have; frames flow all the same."""

    async def test(line: Line) -> None:
        await line.send(raw.frame(raw.TEXT, b"hello"))
        assert line.rider.frames == [b"hello"]
        line.rider.transport.send(picows.WSMsgType.TEXT, b"back")
        assert await line.read() == b"\x81\x04back"
        disguised = line.wire.get_extra_info("socket")
        assert disguised.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        assert line.wire.get_extra_info("nothing", 1) == 1

    driven(test)


def test_wire_delays_no_packet_of_tcp() -> None:
    """A short frame goes out at once, also on a socket that another server has accepted."""

    async def test(line: Line) -> None:
        real = line.wire.inner.get_extra_info("socket")
        assert real.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        await line.send(raw.frame(raw.TEXT, b"hello"))
        while not line.rider.frames:  # noqa: ASYNC110  # the system takes its time to carry it
            await asyncio.sleep(0)
        assert line.rider.frames == [b"hello"]

    driven(test, tcp=True)


def test_wire_reads_what_came_with_the_head() -> None:
    """Early bytes are frames like any others, however many."""

    async def run() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        with far:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, near)
            rider = Rider()
            early = raw.frame(raw.TEXT, b"x" * 30_000) + raw.frame(raw.TEXT, b"y")
            Wire(transport, rider, QuietLogger(Log()), 1_000_000).open(ANY_KEY, early)
            assert rider.frames == [b"x" * 30_000, b"y"]
            transport.abort()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_wire_hears_of_rules_that_picows_finds_broken() -> None:
    """The verdict comes with its code before anything is sent, and picows does not close the socket."""

    async def test(line: Line) -> None:
        await line.send(b"\x83\x80\x00\x00\x00\x00")
        assert line.rider.told == [1002]
        await asyncio.sleep(0.03)  # picows would close by now
        assert not line.wire.inner.is_closing()

    driven(test)


def test_wire_hears_of_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    """A failure of ours is logged with its traceback, and the connection fails with 1011."""

    async def test(line: Line) -> None:
        line.rider.frames = None  # type: ignore[assignment]
        await line.send(raw.frame(raw.TEXT, b"hello"))
        assert line.rider.told == [1011]

    driven(test)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None


def test_wire_replaces_a_reader_that_has_grown() -> None:
    """The new reader is small, the peer notices nothing, and sends go on."""

    async def test(line: Line) -> None:
        before = line.wire.inner.get_protocol()
        line.wire.keep_small()
        assert line.wire.inner.get_protocol() is before, "a small one is kept"
        for start in range(0, 100_000, 20_000):
            await line.send(raw.frame(raw.TEXT, b"x" * 100_000)[start : start + 20_000])
        await line.send(raw.frame(raw.TEXT, b"x" * 100_000)[100_000:])
        assert before.get_buffer(0).nbytes > RETAINED_BUFFER
        line.wire.keep_small()
        after = line.wire.inner.get_protocol()
        assert after.get_buffer(0).nbytes <= RETAINED_BUFFER
        line.rider.transport.send(picows.WSMsgType.TEXT, b"back")
        assert await line.read() == b"\x81\x04back"
        await line.send(raw.frame(raw.TEXT, b"on"))
        assert [len(frame) for frame in line.rider.frames] == [100_000, 2]

    driven(test)


def test_wire_drains_a_connection_to_its_end() -> None:
    """Nothing that still comes is looked at; the peer sees our end, and we see the peer's."""

    async def test(line: Line) -> None:
        line.wire.pause_reading()
        line.wire.drain()
        assert await line.read() == b""
        for _ in range(5):
            await line.send(b"\x83" * 60_000)
        assert line.rider.told == []
        line.far.shutdown(socket.SHUT_WR)
        while not line.rider.told:  # noqa: ASYNC110  # the loop tells it
            await asyncio.sleep(0)
        assert line.rider.told == ["ended"]
        line.wire.drain()  # of a connection that is closed already: nothing happens

    driven(test)
