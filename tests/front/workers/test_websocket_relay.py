"""Websockets that reach the wrong worker: their connection moves to the right one."""

from __future__ import annotations

import pytest
from colleagues import kill, serve
from raw import Client, frame
from serving import WEBSOCKET, Site


def upgrade(owner: Site, other: Site, **options: object) -> tuple[str, Client]:
    """Upgrade a session of one worker through the other; return its target and the websocket."""
    with owner.client(**options) as client:
        target = owner.polling(client)
    websocket = other.client(**options)
    assert websocket.upgrade(target.replace("polling", "websocket")).status == 101
    websocket.send_text("2probe")
    assert websocket.read_text() == "3probe"
    websocket.send_text("5")
    return target, websocket


def test_upgrade_moves_to_the_worker_that_has_the_session() -> None:
    """From then on the other has nothing to do with it, and may end."""
    with serve() as (owner, other):
        _, websocket = upgrade(owner, other)
        with websocket:
            websocket.send_text('421["echo","moved"]')
            assert websocket.read_text() == '431["moved"]'
            assert len(owner.call(lambda: set(owner.embedded._uvicorn._endpoint.websockets))) == 1
            assert other.call(lambda: len(other.embedded._uvicorn.server_state.connections)) == 0
            other.stop()
            websocket.send_text('422["echo","still there"]')
            assert websocket.read_text() == '432["still there"]'


def test_frames_sent_with_the_handshake_move_too() -> None:
    """A client need not wait for the answer."""
    with serve() as (owner, other):
        with owner.client() as client:
            target = owner.polling(client).replace("polling", "websocket")
        with other.client() as websocket:
            head = (
                f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
            )
            websocket.send(head.encode() + frame(1, b"2probe"))
            assert websocket.read_head().startswith(b"HTTP/1.1 101")
            assert websocket.read_text() == "3probe"


def test_end_of_a_moved_websocket_is_noticed_by_its_owner() -> None:
    """As of any other."""
    with serve() as (owner, other):
        _, websocket = upgrade(owner, other)
        owner.next_seen()
        websocket.socket.close()
        assert owner.reason() == "transport close"


@pytest.mark.parametrize("sid", ["{name}AAAAAAAAAAAAAAAA", "____AAAAAAAAAAAAAAAA"])
def test_upgrade_of_an_unknown_session_is_refused(sid: str) -> None:
    """By its owner on the moved connection, or here if there is none."""
    with serve() as (owner, other), other.client() as client:
        answer = client.upgrade(f"{WEBSOCKET}&sid={sid.replace('{name}', owner.server.name)}")
        assert answer.status == 400
        assert b"Session ID unknown" in answer.body


def test_upgrade_of_a_session_whose_worker_has_died_is_refused() -> None:
    """At once."""
    with serve() as (owner, other):
        with owner.client() as client:
            target = owner.polling(client)
        kill(owner)
        with other.client() as client:
            assert client.upgrade(target.replace("polling", "websocket")).status == 400


def test_handshake_is_checked_where_it_arrives() -> None:
    """What is refused does not travel: a wrong version, a page of a foreign origin."""
    with serve(config={"cors_allowed_origins": "http://page.example"}) as (owner, other):
        with owner.client() as client:
            target = owner.polling(client).replace("polling", "websocket")
        with other.client() as client:
            answer = client.upgrade(target, "Origin: http://evil.example\r\n")
            assert answer.status == 400
            assert b"origin" in answer.body.lower()
        with other.client() as client:
            client.begin(
                "GET",
                target,
                headers="Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n",
            )
            assert client.finish().status == 426
