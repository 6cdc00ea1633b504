"""Carrying bytes on a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from carboy.front.relay import relay

Ends = tuple[socket.socket, socket.socket, threading.Thread]


@pytest.fixture
def stop() -> threading.Event:
    """Set when the server stops."""
    return threading.Event()


@pytest.fixture
def ends(stop: threading.Event) -> Iterator[Ends]:
    """The client's end, the hub's end, and the thread between them."""
    client, shown = socket.socketpair()
    hub, ours = socket.socketpair()
    thread = threading.Thread(target=relay, args=(shown, ours, stop.is_set))
    with ExitStack() as stack:
        for end in (client, shown, hub):
            stack.enter_context(end)
            end.settimeout(5)
        thread.start()
        yield client, hub, thread
        stop.set()
        thread.join(5)  # before the sockets are closed under it


def test_bytes_go_both_ways(ends: Ends) -> None:
    """As many as there are."""
    client, hub, _ = ends
    client.sendall(b"to the hub")
    assert hub.recv(100) == b"to the hub"
    sender = threading.Thread(target=hub.sendall, args=(b"x" * 1_000_000,))
    sender.start()
    received = 0
    while received < 1_000_000:
        received += len(client.recv(65536))
    sender.join()


def test_end_of_the_client_is_the_end_for_the_hub(ends: Ends) -> None:
    """The hub reads the end, and the thread is free."""
    client, hub, thread = ends
    client.close()
    assert hub.recv(1) == b""
    thread.join(5)
    assert not thread.is_alive()


def test_end_of_the_hub_frees_the_thread(ends: Ends) -> None:
    """The server closes its socket itself."""
    _, hub, thread = ends
    hub.close()
    thread.join(5)
    assert not thread.is_alive()


def test_server_that_stops_is_not_waited_for(ends: Ends, stop: threading.Event) -> None:
    """Within about a second the thread is free, though neither side has ended."""
    _, _, thread = ends
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
