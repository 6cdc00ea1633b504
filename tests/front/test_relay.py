"""Carrying bytes on a thread."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from carboy.front import relay as module
from carboy.front.relay import relay

CERTIFICATE = Path(__file__).with_name("localhost.pem")

PIECE = bytes(8000)
"""What a buffer is filled with; the end of a TLS connection must be given the same once more."""


@dataclass
class Ends:
    """The sockets, and the thread between them.

    Attributes:
        client: the client's.
        shown: the server's.
        hub: the hub's.
        ours: the other end of its pair.
        thread: runs the relay once it is started.
    """

    client: socket.socket
    shown: socket.socket
    hub: socket.socket
    ours: socket.socket
    thread: threading.Thread


def fill(end: socket.socket) -> int:
    """Send until nothing more is taken; return how many bytes were."""
    before = end.gettimeout()
    end.setblocking(False)
    taken = 0
    with suppress(BlockingIOError, ssl.SSLWantWriteError):
        while True:
            taken += end.send(PIECE)
    end.settimeout(before)
    return taken


def send_once_there_is_room(end: socket.socket) -> int:
    """Send into a full buffer, hence not before the thread has read from it; return how many bytes went."""
    taken = 0
    while not taken:  # a send that waits is not woken before most of the buffer is free
        taken = fill(end)
    return taken


def read(end: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    data = bytearray()
    while len(data) < size:
        part = end.recv(size - len(data))
        assert part, "the end came first"
        data += part
    return bytes(data)


def encrypted(client: socket.socket, shown: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Begin TLS on both."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    served: list[socket.socket] = []
    thread = threading.Thread(target=lambda: served.append(context.wrap_socket(shown, server_side=True)))
    thread.start()
    wrapped = trusting.wrap_socket(client, server_hostname="localhost")
    thread.join()
    return wrapped, served[0]


@pytest.fixture
def stop() -> threading.Event:
    """Set when the server stops."""
    return threading.Event()


@pytest.fixture(params=["plain", "tls"])
def idle(request: pytest.FixtureRequest, stop: threading.Event) -> Iterator[Ends]:
    """The ends, before the thread is started."""
    client, shown = socket.socketpair()
    hub, ours = socket.socketpair()
    if request.param == "tls":
        client, shown = encrypted(client, shown)
    thread = threading.Thread(target=relay, args=(shown, ours, stop.is_set))
    with ExitStack() as stack:
        for end in (client, shown, hub, ours):
            stack.enter_context(end)
        for end in (client, hub):
            end.settimeout(5)
        yield Ends(client, shown, hub, ours, thread)
        stop.set()
        for end in (client, hub):
            end.close()
        thread.join(5)  # before the other sockets are closed under it


@pytest.fixture
def ends(idle: Ends) -> Ends:
    """The ends, with the thread between them."""
    idle.thread.start()
    return idle


@dataclass
class Stuck(Ends):
    """Ends between which one side reads nothing of what the other sends.

    Attributes:
        ahead: how many bytes are in the buffer that it would read from.
        left: how many are on their way in all.
    """

    ahead: int
    left: int


PLAIN = pytest.mark.parametrize("idle", ["plain"], indirect=True)
"""For what a TLS socket of the test would have to begin and the thread to end."""


def let_stick(idle: Ends, sender: socket.socket, last: socket.socket) -> Stuck:
    """Fill the buffers on the way of what one side sends; then the thread reads what it cannot hand on.

    Args:
        idle: the ends.
        sender: sends.
        last: where the thread would write.
    """
    ahead = fill(last)
    left = ahead + fill(sender)
    idle.thread.start()
    return Stuck(**vars(idle), ahead=ahead, left=left + send_once_there_is_room(sender))


@pytest.fixture
def flooded(idle: Ends) -> Stuck:
    """The ends, when the client has sent and the hub reads nothing."""
    return let_stick(idle, idle.client, idle.ours)


@pytest.fixture
def unread(idle: Ends) -> Stuck:
    """The ends, when the hub has sent and the client reads nothing."""
    return let_stick(idle, idle.hub, idle.shown)


def test_bytes_go_both_ways(ends: Ends) -> None:
    """As many as there are."""
    ends.client.sendall(b"to the hub")
    assert read(ends.hub, 10) == b"to the hub"
    data = bytes(range(250)) * 4000
    for source, target in ((ends.hub, ends.client), (ends.client, ends.hub)):
        sender = threading.Thread(target=source.sendall, args=(data,))
        sender.start()
        assert read(target, len(data)) == data
        sender.join()


def test_rest_of_a_record_does_not_wait(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """On TLS it has been read from the socket, which shows nothing any more."""
    monkeypatch.setattr(module, "CHUNK", 10)
    ends.client.sendall(bytes(1000))
    assert read(ends.hub, 1000) == bytes(1000)


def test_flood_that_the_hub_does_not_read_holds_nothing_up(flooded: Stuck) -> None:
    """What the hub sends meanwhile arrives, or the client would miss pings; later all of the flood does."""
    flooded.hub.send(b"x")
    assert flooded.client.recv(1) == b"x"
    read(flooded.hub, flooded.left)
    flooded.client.sendall(PIECE + b"end")
    assert read(flooded.hub, len(PIECE) + 3) == PIECE + b"end"


def test_server_that_stops_is_noticed_in_a_flood(flooded: Stuck, stop: threading.Event) -> None:
    """Within about a second the thread is free, though the hub reads nothing."""
    stop.set()
    flooded.thread.join(5)
    assert not flooded.thread.is_alive()


def test_end_of_the_hub_is_noticed_in_a_flood(flooded: Stuck) -> None:
    """It reads nothing of it any more."""
    flooded.hub.close()
    flooded.thread.join(5)
    assert not flooded.thread.is_alive()


@PLAIN
def test_client_that_reads_nothing_is_still_heard(unread: Stuck) -> None:
    """What it sends meanwhile arrives."""
    unread.client.send(b"x")
    assert unread.hub.recv(1) == b"x"


@PLAIN
def test_client_that_has_ended_is_given_what_was_on_its_way(unread: Stuck) -> None:
    """It may still read."""
    unread.client.shutdown(socket.SHUT_WR)
    read(unread.client, unread.ahead + 1)
    unread.thread.join(5)
    assert not unread.thread.is_alive()


@PLAIN
def test_client_that_reads_nothing_for_long_is_given_up(idle: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is free."""
    monkeypatch.setattr(module, "SEND_TIME", 0.1)
    fill(idle.shown)
    idle.hub.send(b"x")
    idle.thread.start()
    idle.thread.join(5)
    assert not idle.thread.is_alive()


@pytest.mark.parametrize("idle", ["tls"], indirect=True)
def test_record_that_comes_in_parts_holds_nothing_up(ends: Ends) -> None:
    """Its beginning makes the socket readable, and there is nothing to read."""
    os.write(ends.client.fileno(), b"\x17\x03\x03")
    while select.select((ends.shown,), (), (), 0)[0]:
        pass  # until the thread has read it
    ends.hub.send(b"x")
    assert ends.client.recv(1) == b"x"


def test_end_of_the_client_is_the_end_for_the_hub(ends: Ends) -> None:
    """The hub reads the end, and the thread is free."""
    ends.client.close()
    assert ends.hub.recv(1) == b""
    ends.thread.join(5)
    assert not ends.thread.is_alive()
    assert ends.shown.gettimeout() == module.SEND_TIME  # the server writes its response yet


def test_end_of_the_hub_frees_the_thread(ends: Ends) -> None:
    """The server closes its socket itself."""
    ends.hub.close()
    ends.thread.join(5)
    assert not ends.thread.is_alive()


def test_server_that_stops_is_not_waited_for(ends: Ends, stop: threading.Event) -> None:
    """Within about a second the thread is free, though neither side has ended."""
    stop.set()
    ends.thread.join(5)
    assert not ends.thread.is_alive()
