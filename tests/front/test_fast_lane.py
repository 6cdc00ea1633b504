"""Sockets that were taken out of their server."""

from __future__ import annotations

import socket

import serving
from raw import ACCEPT, KEY, Client, frame, opened

from carboy.front.fast_lane import FastLane


def test_socket_becomes_a_websocket_with_what_came_early(site: serving.Site) -> None:
    """The handshake is answered, a session opened, and a frame that did not wait is read."""
    near, far = socket.socketpair()
    far.setblocking(False)
    lane = FastLane(site.server, site.embedded._uvicorn._endpoint)
    site.call(lane.adopt, far, {"REMOTE_ADDR": ""}, KEY, None, frame(1, b"40"))
    client = Client.__new__(Client)
    client.socket, client.buffer = near, bytearray()
    near.settimeout(5)
    head = client.read_head().decode()
    assert head.startswith("HTTP/1.1 101")
    assert ACCEPT in head
    opened(client.read_text())
    assert client.read_text().startswith("40{")
    near.close()
    assert site.reason() == "transport close"
