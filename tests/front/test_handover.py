"""How a socket leaves its server."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from carboy.front.handover import Remains, can_move, find_socket, lasting, take_socket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """What a server has accepted, and its client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    with accepted, client:
        yield accepted, client


def test_taken_socket_is_the_clients(pair: tuple[socket.socket, socket.socket]) -> None:
    """What is written to it reaches the client, and what the server writes and closes does not."""
    shown, client = pair
    ours, remains = take_socket(shown)
    with ours:
        shown.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        assert shown.recv(10) == b"", "a server that waits for the client to close need not wait"
        shown.shutdown(socket.SHUT_WR)
        shown.close()
        remains.close()
        assert not ours.getblocking()
        ours.send(b"ours")
        assert client.recv(10) == b"ours"


def test_remains_are_an_empty_body() -> None:
    """That may be iterated and closed, more than once, and closes by itself when it is forgotten."""
    near, far = socket.socketpair()
    with near:
        remains = Remains(far)
        assert list(remains) == []
        assert far.fileno() >= 0
        del remains
        gc.collect()
        assert far.fileno() == -1


@pytest.mark.parametrize("key", ["werkzeug.socket", "gunicorn.socket"])
def test_socket_is_found_where_servers_show_it(key: str, pair: tuple[socket.socket, socket.socket]) -> None:
    """Under HTTP/1.1, the only version on whose connections a websocket can follow."""
    environ: dict[str, Any] = {"SERVER_PROTOCOL": "HTTP/1.1", key: pair[0]}
    assert find_socket(environ) is pair[0]
    assert find_socket({**environ, "SERVER_PROTOCOL": "HTTP/1.0"}) is None
    assert find_socket({**environ, "SERVER_PROTOCOL": "HTTP/2"}) is None
    assert find_socket({**environ, key: object()}) is None
    assert find_socket({"SERVER_PROTOCOL": "HTTP/1.1", "mod_wsgi.version": (5, 0, 0)}) is None


def test_only_plain_sockets_move(pair: tuple[socket.socket, socket.socket]) -> None:
    """What a TLS socket has read and not given out is in an object of the server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert can_move(pair[0])
    with context.wrap_socket(pair[0], server_side=True, do_handshake_on_connect=False) as wrapped:
        assert not can_move(wrapped)


def test_lasting_environment_is_that_of_the_handshake() -> None:
    """Without what the server needs no longer; the original is left alone."""
    environ: dict[str, Any] = {
        "PATH_INFO": "/",
        "gunicorn.socket": 1,
        "wsgi.input": 2,
        "wsgi.file_wrapper": 3,
    }
    kept = lasting(environ)
    assert kept.pop("wsgi.input").read() == b""
    assert kept == {"PATH_INFO": "/"}
    assert environ["gunicorn.socket"] == 1
