"""Acceptance is a wall: until its connect handler has accepted, a client runs and receives nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import serving
from attacked import Target
from flask import Flask
from raw import Client
from serving import POLLING, WEBSOCKET
from werkzeug.middleware.proxy_fix import ProxyFix

from carboy.exceptions import ConnectionRefusedError
from flask_socketio import SocketIO

MakeTarget = Callable[..., Target]


class Gate:
    """A connect handler that waits to be told what to do."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.decided = threading.Event()
        self.act: Callable[[Any, Any], Any] = lambda server, client: None
        self.events: list[str] = []

    def attach(self, server: Any) -> None:
        """Register the handlers, in place of those that every site has."""

        def connect(client: Any, environ: Any, auth: Any) -> Any:
            self.entered.set()
            assert self.decided.wait(5)
            return self.act(server, client)

        serving.on(server, "connect", connect)
        serving.on(server, "disconnect", lambda client, reason: self.events.append(f"disconnect: {reason}"))
        serving.on(server, "act", lambda client, *arguments: self.events.append("act"))


@pytest.fixture
def gate() -> Gate:
    """A gate that is shut."""
    return Gate()


@pytest.fixture
def gated(make_target: MakeTarget, gate: Gate) -> Target:
    """A server behind the gate."""
    target = make_target()
    gate.attach(target.server)
    return target


def knock(target: Target, gate: Gate) -> Client:
    """Send a CONNECT, and return when its handler runs."""
    client = target.site.websocket(join=False)
    client.send_text('40{"token":1}')
    assert gate.entered.wait(5)
    return client


def test_what_is_meant_for_a_client_waits_until_it_is_accepted(gated: Target, gate: Gate) -> None:
    """Broadcasts and its connect handler's emits come behind the CONNECT, in their order."""
    client = knock(gated, gate)
    gated.server.emit("before", [1])
    gate.act = lambda server, member: server.emit("inside", [2], rooms=[member.sid])
    gated.wait_until(lambda: not gated.server.hub.outbox.pending, "the broadcast has gone out")
    client.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.read_text()
    client.socket.settimeout(5)
    gate.decided.set()
    assert client.read_text().startswith('40{"sid"')
    assert [client.read_text() for _ in range(2)] == ['42["before",1]', '42["inside",2]']
    client.socket.close()
    gated.wait_for_nothing()


def test_event_before_acceptance_ends_the_connection(gated: Target, gate: Gate) -> None:
    """It is not run, then or later."""
    client = knock(gated, gate)
    client.send_text('42["act"]')
    assert client.read_close() == 1002
    gate.decided.set()
    client.socket.close()
    gated.wait_for_nothing()
    assert gate.events == ["disconnect: transport error"]  # it was accepted, and had gone


def refuse(server: Any, client: Any) -> None:
    """Refuse with a reason."""
    raise ConnectionRefusedError("not you", {"code": 7})


def fail(server: Any, client: Any) -> None:
    """Fail."""
    raise KeyError


def leave(server: Any, client: Any) -> None:
    """Disconnect the client inside its own connect handler."""
    server.disconnect(client.sid)


REJECTED = '44{"message":"Connection rejected by server"}'
REFUSALS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "False": (lambda server, client: False, REJECTED),
    "a refusal": (refuse, '44{"message":"not you","data":{"code":7}}'),
    "an exception": (fail, REJECTED),
    "disconnect()": (leave, REJECTED),
    "the end of the process": (lambda server, client: sys.exit(1), REJECTED),
}


@pytest.mark.parametrize(("act", "packet"), REFUSALS.values(), ids=REFUSALS.keys())
def test_client_that_is_not_accepted_is_out(
    gated: Target, gate: Gate, act: Callable[[Any, Any], Any], packet: str
) -> None:
    """What was held for it is dropped, its rooms are empty, and no disconnect handler runs."""
    client = knock(gated, gate)

    def enter_and_act(server: Any, member: Any) -> Any:
        server.enter_room(member.sid, "inner circle")
        server.emit("secret", [], rooms=["inner circle"])
        return act(server, member)

    gate.act = enter_and_act
    gate.decided.set()
    assert client.read_text() == packet
    assert gated.site.call(gated.server.adapter.namespaces) == ()
    gated.server.emit("secret", [])
    client.send_text('42["act"]')
    assert client.read_close() == 1002
    client.socket.close()
    gated.wait_for_nothing()
    assert gate.events == []


def test_client_that_leaves_while_it_is_decided_on_is_out(gated: Target, gate: Gate) -> None:
    """Accepted or not, nothing is kept; accepted, its disconnect handler runs once."""
    client = knock(gated, gate)
    client.reset()
    gated.wait_until(lambda: not gated.server.connections, "the loss is noticed")
    gate.decided.set()
    gated.wait_for_nothing()
    assert gate.events == ["disconnect: transport close"]


def test_second_connect_while_the_first_is_decided_on_ends_the_connection(gated: Target, gate: Gate) -> None:
    """One handler, one verdict."""
    client = knock(gated, gate)
    client.send_text("40")
    assert client.read_close() == 1002
    gate.decided.set()
    client.socket.close()
    gated.wait_for_nothing()


def test_client_in_one_namespace_is_not_in_another(gated: Target, gate: Gate) -> None:
    """Acceptance is for each namespace."""
    gate.decided.set()
    with gated.site.websocket() as client:
        client.send_text('42/admin,["act"]')
        assert client.read_close() == 1002
    with gated.site.websocket() as client:
        client.send_text("40/admin,")
        assert client.read_text() == '44/admin,{"message":"Invalid namespace"}'
    gated.wait_for_nothing()
    assert "act" not in gate.events


def test_room_of_a_client_is_nobody_else_s(make_target: MakeTarget) -> None:
    """Another client cannot be put into it, nor can it be closed; its owner may try in vain to leave it."""
    outcomes: list[str] = []

    def attempt(call: Callable[..., None], *arguments: Any) -> str:
        try:
            call(*arguments)
        except ValueError as error:
            outcomes.append(str(error))
        return "done"

    def prepare(server: Any) -> None:
        serving.on(server, "join", lambda client, room: attempt(server.enter_room, client.sid, room))
        serving.on(server, "close", lambda client, room: attempt(server.close_room, room))
        serving.on(server, "leave", lambda client, room: attempt(server.leave_room, client.sid, room))

    target = make_target(prepare)
    with target.site.websocket() as owner, target.site.websocket() as other:
        owned = next(iter(target.server.adapter._namespaces["/"].members))
        for number, event in enumerate(["join", "close", "leave"]):
            other.send_text(f'42{number}["{event}","{owned}"]')
            assert other.read_text() == f'43{number}["done"]'
        assert len(outcomes) == 2
        assert all("cannot" in outcome for outcome in outcomes)
        target.server.emit("private", [], rooms=[owned])
        target.server.emit("public", [])
        assert owner.read_text() == '42["private"]'
        assert other.read_text() == '42["public"]'


def test_in_memory_client_cannot_be_continued_from_the_network(make_target: MakeTarget) -> None:
    """Nor can any session under an id that was never given out."""
    target = make_target()
    with target.site.client() as client:
        for sid in ("x", "..", "AAAAAAAAAAAAAAAAAAAA", "%00", "*"):
            assert client.request("GET", f"{POLLING}&sid={sid}").status == 400


# Origins and addresses


@pytest.fixture(scope="module")
def own_origin(make_target: MakeTarget) -> Target:
    """A server for pages of its own origin alone."""
    return make_target(cors_allowed_origins="http://friend.example")


FOREIGN = "Origin: http://foreign.example\r\n"
FRIEND = "Origin: http://friend.example\r\n"


@pytest.mark.parametrize("query", ["", "?EIO=3", "?EIO=4&transport=pigeon", "?EIO=4&transport=polling&sid=x"])
def test_origin_is_checked_before_anything_else(own_origin: Target, query: str) -> None:
    """A foreign page learns nothing, not even what would be wrong."""
    own_origin.begin()
    with own_origin.site.client() as client:
        answer = client.request("GET", "/socket.io/" + query, headers=FOREIGN)
        assert (answer.status, answer.body) == (400, b'{"code":3,"message":"Not an accepted origin"}')
        assert answer["access-control-allow-origin"] == ""
    assert len(own_origin.lines.texts) == 1


def test_answers_vary_by_origin(own_origin: Target) -> None:
    """Those to friends, foreigners and nobody in particular, errors included: a cache must not mix them."""
    own_origin.begin()
    with own_origin.site.client() as client:
        for headers in (FRIEND, FOREIGN, ""):
            for method, target in (("GET", POLLING), ("OPTIONS", POLLING), ("GET", POLLING + "&sid=x")):
                answer = client.request(method, target, headers=headers)
                assert "Origin" in answer["vary"], (method, target, headers)
                assert (answer["access-control-allow-origin"] != "") == (headers == FRIEND)
    with own_origin.site.client() as client:
        answer = client.upgrade(WEBSOCKET, headers=FOREIGN)
        assert (answer.status, answer["vary"]) == (400, "Origin")
    own_origin.end_polling()


@pytest.mark.parametrize("trusted", [False, True])
def test_forwarded_headers_count_only_through_proxyfix(trusted: bool) -> None:
    """An address, a scheme and a host that the client itself forges reach no handler and no origin check."""
    app = Flask(__name__)
    socketio = SocketIO(app)
    runtime = socketio.sockio_mw.front._server
    if trusted:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)
    forged = (
        "X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\n"
        "Forwarded: for=192.0.2.66;proto=https;host=bank.example\r\nX_Forwarded_For: 192.0.2.66\r\n"
    )
    with serving.serve(runtime, application=app.wsgi_app, middleware=socketio.sockio_mw) as site:
        with site.client() as client:
            answer = client.upgrade(WEBSOCKET, headers=forged + "Origin: https://bank.example\r\n")
            assert answer.status == (101 if trusted else 400)
        with site.client() as client:
            assert client.upgrade(WEBSOCKET, headers=forged).status == 101
            client.read_text()
            client.send_text("40")
            environ = site.next_seen()[1]
    assert environ["REMOTE_ADDR"] == ("192.0.2.66" if trusted else "127.0.0.1")
    assert environ["wsgi.url_scheme"] == ("https" if trusted else "http")
    assert environ["HTTP_HOST"] == ("bank.example" if trusted else "localhost")
