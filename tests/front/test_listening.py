"""Sockets that are bound before there are processes."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from carboy.front.listening import listen, remove


def test_clients_can_wait_for_the_first_process() -> None:
    """The socket listens, on a free port if none is given, and does not block."""
    (listener,) = listen("127.0.0.1", 0, None)
    with listener, socket.create_connection(listener.getsockname()):
        assert not listener.getblocking()
        listener.accept()[0].close()


def test_all_addresses_of_a_name_have_one_port() -> None:
    """As `localhost` may have two."""
    listeners = listen("localhost", 0, None)
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_address_of_version_6_is_bound_alone() -> None:
    """The same port of version 4 stays free for others."""
    try:
        (listener,) = listen("::1", 0, None)
    except OSError:
        pytest.skip("IPv6 is switched off here")
    with listener:
        assert listener.family == socket.AF_INET6
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_address_in_use_is_told_and_nothing_stays_open() -> None:
    """The error is the system's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use") as caught:
            listen("127.0.0.1", taken.getsockname()[1], None)
    assert caught.value.errno == errno.EADDRINUSE


def test_unix_socket_replaces_the_one_of_an_earlier_server(tmp_path: Path) -> None:
    """And is removed at the end, once."""
    path = tmp_path / "s"
    listen("", 0, str(path))[0].close()
    (listener,) = listen("", 0, str(path))
    with listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    remove(str(path))
    assert not path.exists()
    remove(str(path))
    remove(None)


def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Somebody may need it."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        listen("", 0, str(path))
    assert path.read_text() == "precious"
