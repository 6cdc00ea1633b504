"""Polls and POSTs that reach the wrong worker."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import re
import time
from typing import Any, cast

import pytest
from colleagues import kill, membership, play, serve, until
from raw import Response, opened
from serving import POLLING, Site

from carboy.front.workers.http_relay import HTTPRelay
from carboy.transports.endpoint import Endpoint

GONE = {"code": 1, "message": "Session ID unknown"}


def ask(site: Site, method: str, target: str, body: bytes | None = None, headers: str = "") -> Response:
    """Send one request on a connection of its own."""
    with site.client() as client:
        return client.request(method, target, body, headers)


def open_at(site: Site) -> str:
    """Open a session at a worker, in the namespace "/", and return the target of its requests."""
    with site.client() as client:
        return site.polling(client)


def wait_for_poll(owner: Site) -> None:
    """Wait for the poll of its only session to reach a worker."""

    def waits() -> bool:
        (connection,) = owner.server.connections.values()
        return connection.transport._answer is not None

    owner.wait_until(waits, "the poll is there", 5)


def no_relay_waits(site: Site) -> bool:
    """Wait a moment for a worker to be done with what it asked others."""
    relay = membership(site).http
    deadline = time.monotonic() + 5
    while relay._asked or relay._answering:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return True


def begin_to_stop(site: Site) -> None:
    """Do what a worker begins to stop with, and no more."""
    site.embedded._uvicorn._endpoint.closing = True
    membership(site).http.hurry()


def test_session_is_reached_through_every_worker() -> None:
    """Opened here, it is asked and answered there, as if there were one worker."""
    with serve(3) as sites:
        sid = opened(ask(sites[0], "GET", POLLING).body)["sid"]
        target = f"{POLLING}&sid={sid}"
        assert sid[:4] == sites[0].server.name
        assert ask(sites[1], "POST", target, b"40").body == b"ok"
        assert ask(sites[2], "GET", target).body.startswith(b"40{")
        assert ask(sites[1], "POST", target, '421["echo","é"]'.encode()).body == b"ok"
        answer = ask(sites[2], "GET", target)
        assert answer.body == '431["é"]'.encode()
        assert answer["content-type"] == "text/plain; charset=UTF-8"
        assert sites[0].server.connections.keys() == {sid}
        assert not sites[1].server.connections


def test_relayed_poll_waits_for_output() -> None:
    """It holds nothing at the worker where it waits but its connection."""
    with serve() as (owner, other):
        target = open_at(owner)
        with other.client() as poll:
            poll.begin("GET", target)
            assert ask(owner, "POST", target, b'421["echo",1]').body == b"ok"
            assert poll.finish().body == b"431[1]"
        assert no_relay_waits(other)


def test_reply_is_what_the_owner_would_have_said() -> None:
    """Compression, JSONP and the rules of CORS hold."""
    with serve() as (owner, other):
        target = open_at(owner)
        body = b'421["echo","%s"]' % (b"x" * 5000)
        ask(other, "POST", target, body)
        answer = ask(other, "GET", target, None, "Accept-Encoding: gzip\r\nOrigin: http://page.example\r\n")
        assert answer["content-encoding"] == "gzip"
        assert answer["access-control-allow-origin"] == "http://page.example"
        assert gzip.decompress(answer.body) == b'431["%s"]' % (b"x" * 5000)
        ask(other, "POST", target, b'422["echo"]')
        assert re.fullmatch(rb'___eio\[0\]\("432\[\]"\);', ask(other, "GET", target + "&j=0").body)


def test_peer_that_gives_up_its_poll_ends_the_session() -> None:
    """As it does at the owner."""
    with serve() as (owner, other):
        target = open_at(owner)
        owner.next_seen()
        with other.client() as poll:
            poll.begin("GET", target)
            wait_for_poll(owner)
        assert owner.reason() == "transport error"
        assert ask(other, "GET", target).status == 400
        assert no_relay_waits(other)


@pytest.mark.parametrize("declared", [True, False])
def test_body_that_is_too_long_is_refused_where_it_arrives(declared: bool) -> None:
    """It does not travel, and the session goes on."""
    with serve() as (owner, other):
        target = open_at(owner)
        body = b"4" + b"x" * 1_000_001
        with other.client() as client:
            if declared:
                answer = client.request("POST", target, body)
            else:
                client.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n".encode())
                client.send(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
                answer = client.finish()
        assert answer.status == 413
        assert ask(other, "POST", target, b'42["tell"]').body == b"ok"


def test_peer_that_goes_in_its_post_ends_the_session() -> None:
    """The owner hears that its body broke off."""
    with serve() as (owner, other):
        target = open_at(owner)
        owner.next_seen()
        with other.client() as client:
            head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            client.send(head.encode() + b"4")
        assert owner.reason() == "transport error"


def test_broken_payload_is_refused_by_the_owner() -> None:
    """Its answer comes back, and the session is over."""
    with serve() as (owner, other):
        target = open_at(owner)
        owner.next_seen()
        assert ask(other, "POST", target, b"9").status == 400
        assert owner.reason() == "transport error"


@pytest.mark.parametrize(
    "sid", ["{name}AAAAAAAAAAAAAAAA", "____AAAAAAAAAAAAAAAA", "short", "{name}/../AAAAAAAAA"]
)
def test_unknown_session_is_refused_at_once(sid: str) -> None:
    """Whether its worker lives, or never was, or the id is none: the client opens another."""
    with serve() as (owner, other):
        sid = sid.replace("{name}", owner.server.name)
        for site in (owner, other):
            answer = ask(site, "GET", f"{POLLING}&sid={sid}")
            assert (answer.status, json.loads(answer.body)) == (400, GONE)


def test_origin_is_checked_where_the_request_arrives() -> None:
    """No other worker is a way around it."""
    with serve(config={"cors_allowed_origins": "http://page.example"}) as (owner, other):
        target = open_at(owner)
        answer = ask(other, "GET", target, None, "Origin: http://evil.example\r\n")
        assert answer.status == 400
        assert b"origin" in answer.body.lower()
        assert answer["access-control-allow-origin"] == ""
        assert ask(other, "POST", target, b'42["tell"]', "Origin: http://page.example\r\n").body == b"ok"


def test_poll_is_refused_when_the_worker_of_its_session_dies() -> None:
    """It does not wait for a dead one, so that the client comes back at once."""
    with serve() as (owner, other):
        target = open_at(owner)
        with other.client() as poll:
            poll.begin("GET", target)
            wait_for_poll(owner)
            kill(owner)
            answer = poll.finish()
        assert (answer.status, json.loads(answer.body)) == (400, GONE)
        assert ask(other, "POST", target, b"40").status == 400


def test_post_is_refused_when_the_worker_of_its_session_dies_before_its_body_is_there() -> None:
    """It does not wait for a dead one either."""
    with serve() as (owner, other):
        target = open_at(owner)
        peers = membership(other).peers
        with other.client() as client:
            client.send(f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n".encode())
            other.wait_until(lambda: other.embedded._uvicorn.server_state.tasks, "the head is there", 5)
            kill(owner)
            other.wait_until(lambda: not peers.names, "the owner is missed", 5)
            client.send(b"40")
            answer = client.finish()
        assert (answer.status, json.loads(answer.body)) == (400, GONE)
        assert no_relay_waits(other)


def test_post_that_is_cut_off_behind_the_death_of_its_worker_is_no_error() -> None:
    """Its answer, which nobody looks at any more, is not told as an exception that was missed."""

    class Exchange:
        async def read(self, limit: int) -> bytes:
            return await asyncio.get_running_loop().create_future()

    async def scene() -> None:
        missed: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: missed.append(context))
        relay = HTTPRelay(cast("Endpoint", None), 1, lambda *frame: None)
        asking = asyncio.ensure_future(relay.ask("name", {"REQUEST_METHOD": "POST"}, cast("Any", Exchange())))
        await until(lambda: relay._asked)
        relay.lost("name")
        asking.cancel()
        await asyncio.wait((asking,))
        assert asking.cancelled()
        assert not relay._asked
        del asking  # whose traceback holds the answer
        gc.collect()
        assert not missed

    play(scene)


def test_poll_returns_when_the_worker_where_it_waits_stops() -> None:
    """The session lives on, elsewhere: the client asks again."""
    with serve() as (owner, other):
        target = open_at(owner)
        with other.client() as poll:
            poll.begin("GET", target)
            wait_for_poll(owner)
            began = time.monotonic()
            other.stop()
            assert poll.finish().body == b"6"
            assert time.monotonic() - began < 8
        assert ask(owner, "POST", target, b'42["tell"]').body == b"ok"


@pytest.mark.parametrize("chunked", [False, True], ids=["direct", "by ASGI"])
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "comes"])
def test_poll_at_a_worker_that_stops_returns_and_closes_its_connection(waits: bool, chunked: bool) -> None:
    """Whether it waits or only comes then; the client comes to another worker, and the session lives on."""
    with serve() as (owner, other):
        target = open_at(owner)
        with other.client() as poll:
            if not waits:
                other.call(begin_to_stop, other)
            poll.begin("GET", target, None, "Transfer-Encoding: chunked\r\n" if chunked else "")
            poll.send(b"0\r\n\r\n" if chunked else b"")
            if waits:
                wait_for_poll(owner)
                other.call(begin_to_stop, other)
            answer = poll.finish()
            assert (answer.status, answer.body, answer["connection"]) == (200, b"6", "close")
            assert poll.closed()
        assert ask(owner, "POST", target, b'42["tell"]').body == b"ok"
        assert no_relay_waits(other)


def test_worker_that_stops_tells_clients_that_poll_elsewhere() -> None:
    """They get the close packet, as those that poll here."""
    with serve() as (owner, other):
        target = open_at(owner)
        with other.client() as poll:
            poll.begin("GET", target)
            wait_for_poll(owner)
            owner.stop()
            assert poll.finish().body == b"1"
        assert ask(other, "GET", target).status == 400
