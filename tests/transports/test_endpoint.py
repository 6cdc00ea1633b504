"""Engine.IO requests and their answers, without a network."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

import pytest
import serving
from polled import Body, Poller, at_endpoint, environ, settle, upgrade
from raw import handshake_headers, opened

from carboy.exceptions import RequestError
from carboy.runtime.message import Message
from carboy.transports import replies as module

ORIGIN = "Origin: http://page.example\r\n"


def answered(method: str, target: str, headers: str = "", body: bytes = b"", **options):
    """Return the reply to one request of a stranger."""
    replies = []

    async def test(poller: Poller) -> None:
        replies.append(await poller.request(method, target, body, headers))

    at_endpoint(test, serving.make_server(**options))
    return replies[0]


# Handshakes


def test_handshake_opens_a_session_with_the_five_keys() -> None:
    """The packet has Node's keys in Node's order, with times in milliseconds."""
    reply = answered("GET", serving.POLLING, ping_interval=(3, 1), ping_timeout=2.5)
    assert reply.status == 200
    assert ("Content-Type", "text/plain; charset=UTF-8") in reply.headers
    packet = opened(reply.body)
    assert list(packet) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    assert list(packet.values())[1:] == [["websocket"], 4000, 2500, 1_000_000]


@pytest.mark.parametrize("options", [{"allow_upgrades": False}, {"transports": ["polling"]}])
def test_handshake_offers_no_upgrade_that_would_be_refused(options: dict) -> None:
    """What is switched off is not offered."""
    assert opened(answered("GET", serving.POLLING, **options).body)["upgrades"] == []


def test_handshake_offers_no_websocket_where_none_works() -> None:
    """A front end that cannot carry websockets says so."""

    async def test(poller: Poller) -> None:
        reply = await poller.endpoint.serve(environ("GET", serving.POLLING), Body(), websockets=False)
        assert opened(reply.body)["upgrades"] == []

    at_endpoint(test)


STRANGERS = [
    ("GET", "/socket.io/?EIO=4", 400, 0, "Transport unknown"),
    ("GET", "/socket.io/?EIO=4&transport=constructor", 400, 0, "Transport unknown"),
    ("GET", "/socket.io/?EIO=4&transport=webtransport", 400, 0, "Transport unknown"),
    ("GET", serving.POLLING + "&sid=AAAAAAAAAAAAAAAAAAAA", 400, 1, "Session ID unknown"),
    ("POST", serving.POLLING + "&sid=AAAAAAAAAAAAAAAAAAAA", 400, 1, "Session ID unknown"),
    ("POST", serving.POLLING, 400, 2, "Bad handshake method"),
    ("HEAD", serving.POLLING, 400, 2, "Bad handshake method"),
    ("GET", serving.WEBSOCKET, 400, 3, "Bad request"),
    ("GET", "/socket.io/?transport=polling", 400, 5, "Unsupported protocol version"),
    ("GET", "/socket.io/?EIO=3&transport=polling", 400, 5, "Unsupported protocol version"),
]


@pytest.mark.parametrize(("method", "target", "status", "code", "message"), STRANGERS)
def test_request_is_refused_as_node_does(
    method: str, target: str, status: int, code: int, message: str
) -> None:
    """The status and the JSON body are Node's, and pages of other origins may read them."""
    reply = answered(method, target, ORIGIN)
    assert (reply.status, json.loads(reply.body)) == (status, {"code": code, "message": message})
    assert ("Content-Type", "application/json") in reply.headers
    assert ("Access-Control-Allow-Origin", "http://page.example") in reply.headers


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("HEAD", 405), ("DELETE", 405)])
def test_request_of_another_method_is_refused_and_costs_nothing(method: str, status: int) -> None:
    """The session of a client whose proxy plays with methods goes on."""

    async def test(poller: Poller) -> None:
        await poller.open()
        assert (await poller.request(method)).status == status
        assert (await poller.post(b"3")).status == 200

    at_endpoint(test)


def test_request_for_another_transport_or_version_is_refused_and_costs_nothing() -> None:
    """A request that does not fit its session gets code 3; the session goes on."""

    async def test(poller: Poller) -> None:
        await poller.open()
        for target in (
            poller.target.replace("EIO=4", "EIO=3"),
            poller.target.replace("polling", "websocket"),
        ):
            reply = await poller.request("GET", target)
            assert (reply.status, json.loads(reply.body)["code"]) == (400, 3)
        assert (await poller.post(b"3")).status == 200

    at_endpoint(test)


def test_in_memory_client_is_nobody_s_to_talk_to() -> None:
    """The session of a test client has an id, which no request reaches."""
    from carboy.transports.memory import MemoryConnection

    async def test(poller: Poller) -> None:
        connection = MemoryConnection(poller.endpoint._server, environ("GET", "/"))
        reply = await poller.request("GET", f"{poller.target}&sid={connection.session.sid}")
        assert json.loads(reply.body)["code"] == 1
        connection.hang_up()

    at_endpoint(test)


def test_handshake_is_refused_while_the_server_stops() -> None:
    """No session begins that would end at once, by whichever way; open ones are still answered."""

    async def test(poller: Poller) -> None:
        await poller.open()
        poller.endpoint.closing = True
        assert (await Poller(poller.endpoint).request("GET")).status == 503
        with pytest.raises(RequestError, match="stopping"):
            await poller.endpoint.admit(upgrade(serving.WEBSOCKET))
        assert (await poller.post(b"3")).status == 200

    at_endpoint(test)


# Posts


def test_post_over_the_limit_costs_nothing_but_itself() -> None:
    """413 with an empty body; the session stays (Node behaviour)."""

    async def test(poller: Poller) -> None:
        await poller.open()
        reply = await poller.post(b"4" * 101)
        assert (reply.status, reply.body) == (413, b"")
        assert (await poller.post(b"3" + b" " * 99)).status == 200

    at_endpoint(test, serving.make_server(max_http_buffer_size=100))


@pytest.mark.parametrize(
    ("headers", "query", "body"),
    [
        ("Content-Type: application/octet-stream\r\n", "", b"3"),
        ("Content-Type: Application/Octet-Stream; x=y\r\n", "", b"3"),
        ("", "&j=0", b"no form"),
    ],
)
def test_post_in_a_form_that_nobody_reads_ends_the_session(headers: str, query: str, body: bytes) -> None:
    """Binary bodies belong to Engine.IO v3, and a JSONP body is a form: 400, and the session is over."""

    async def test(poller: Poller) -> None:
        await poller.open()
        waiting = poller.begin(poller.poll())
        await settle()
        assert (await poller.post(body, headers, query)).status == 400
        assert (await waiting).body == b"1"
        assert not poller.endpoint._server.connections

    at_endpoint(test)


# JSONP


def test_jsonp_client_is_answered_with_a_script() -> None:
    """GETs with an index return calls of that callback; POSTs are forms with doubled backslashes."""

    async def test(poller: Poller) -> None:
        sid = await poller.request("GET", poller.target + "&j=3")
        assert sid.body.startswith(b'___eio[3]("0{\\"sid\\":')
        assert ("Content-Type", "text/javascript; charset=UTF-8") in sid.headers
        poller.sid = json.loads(json.loads(sid.body[10:-2])[1:])["sid"]
        poller.target += f"&sid={poller.sid}"
        assert (await poller.post(b"d=40", query="&j=4")).body == b"ok"
        reply = await poller.request("GET", poller.target + "&j=5")
        assert reply.body.startswith(b'___eio[5]("40{')

    at_endpoint(test)


# Compression


def large_poll(headers: str, size: int = 5000, **options):
    """Return the reply to a poll that carries so many bytes."""
    replies = []

    async def test(poller: Poller) -> None:
        await poller.open()
        poller.connection.send(Message(b"4" + b"x" * (size - 1)))
        await settle()
        replies.append(await poller.request("GET", headers=headers))

    at_endpoint(test, serving.make_server(**options))
    return replies[0]


@pytest.mark.parametrize(
    ("accepted", "encoding", "decode"),
    [("gzip, deflate, br", "gzip", gzip.decompress), ("deflate", "deflate", zlib.decompress)],
)
@pytest.mark.parametrize("size", [1024, module.COMPRESS_IN_THREAD + 1])
def test_poll_is_compressed_from_the_threshold(accepted: str, encoding: str, decode, size: int) -> None:
    """Large answers are compressed as the client likes it, very large ones in a thread."""
    reply = large_poll(f"Accept-Encoding: {accepted}\r\n", size)
    assert ("Content-Encoding", encoding) in reply.headers
    assert ("Vary", "Accept-Encoding") in reply.headers
    assert decode(reply.body) == b"4" + b"x" * (size - 1)


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ("Accept-Encoding: gzip\r\n", {"compression_threshold": 6000}),
        ("Accept-Encoding: gzip\r\n", {"http_compression": False}),
        ("Accept-Encoding: br\r\n", {}),
        ("", {}),
    ],
)
def test_poll_is_left_as_it_is_otherwise(headers: str, options: dict) -> None:
    """Below the threshold, switched off, or for a client that does not want it."""
    reply = large_poll(headers, **options)
    assert len(reply.body) == 5000
    assert "Content-Encoding" not in dict(reply.headers)


# Headers


def test_handshake_sets_the_cookie() -> None:
    """The cookie has the session's id, and only the handshake sets it."""

    async def test(poller: Poller) -> None:
        reply = await poller.open()
        assert dict(reply.headers)["Set-Cookie"] == f"io={poller.sid}; path=/; SameSite=Lax; HttpOnly"
        assert "Set-Cookie" not in dict((await poller.post(b"3")).headers)

    at_endpoint(test, serving.make_server(cookie="io"))


def test_preflight_is_answered() -> None:
    """Browsers ask before they send a POST with headers of their own."""
    headers = ORIGIN + "Access-Control-Request-Headers: x-token\r\n"
    reply = answered("OPTIONS", serving.POLLING, headers)
    assert reply.status == 200
    assert ("Access-Control-Allow-Origin", "http://page.example") in reply.headers
    assert ("Access-Control-Allow-Headers", "x-token") in reply.headers
    assert ("Access-Control-Allow-Methods", "OPTIONS, GET, POST") in reply.headers


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_page_of_an_origin_that_is_not_accepted_is_refused(method: str) -> None:
    """Refused with 400, before anything else is looked at, and caches know that it depends on the origin."""
    reply = answered(method, serving.POLLING, ORIGIN, cors_allowed_origins=None)
    assert (reply.status, json.loads(reply.body)["message"]) == (400, "Not an accepted origin")
    assert ("Vary", "Origin") in reply.headers
    assert "Access-Control-Allow-Origin" not in dict(reply.headers)


def test_nothing_is_cached() -> None:
    """Neither an answer nor a refusal may be kept by anything on the way."""
    for reply in (answered("GET", serving.POLLING), answered("GET", "/socket.io/")):
        assert ("Cache-Control", "no-store") in reply.headers


def test_callable_that_decides_on_origins_runs_off_the_loop() -> None:
    """It may block; other requests go on meanwhile."""
    import threading

    threads = []

    def allowed(origin: str) -> bool:
        threads.append(threading.current_thread())
        return origin == "http://page.example"

    assert answered("GET", serving.POLLING, ORIGIN, cors_allowed_origins=allowed).status == 200
    assert threads != [threading.main_thread()]


def test_callable_that_fails_refuses_the_request(caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is told with a traceback, and nobody is let in."""

    def allowed(origin: str) -> bool:
        raise ValueError(origin)

    reply = answered("GET", serving.POLLING, ORIGIN, cors_allowed_origins=allowed)
    assert reply.status == 400
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "cors_allowed_origins" in record.message


# Websockets


def test_websocket_is_admitted_with_its_key() -> None:
    """A good handshake gives the validated key, and no session to upgrade."""

    async def test(poller: Poller) -> None:
        key, connection = await poller.endpoint.admit(upgrade(serving.WEBSOCKET))
        assert (len(key), connection) == (24, None)

    at_endpoint(test)


def test_websocket_with_an_id_is_admitted_for_its_session() -> None:
    """The session is found; websockets that are switched off are not admitted to any."""

    async def test(poller: Poller) -> None:
        await poller.open()
        target = poller.target.replace("polling", "websocket")
        assert (await poller.endpoint.admit(upgrade(target)))[1] is poller.connection

    at_endpoint(test)

    async def refused(poller: Poller) -> None:
        await poller.open()
        target = poller.target.replace("polling", "websocket")
        with pytest.raises(RequestError):
            await poller.endpoint.admit(upgrade(target))

    at_endpoint(refused, serving.make_server(allow_upgrades=False))


def test_websocket_of_an_origin_that_is_not_accepted_is_refused() -> None:
    """A page of another origin cannot open a websocket either."""

    async def test(poller: Poller) -> None:
        headers = upgrade(serving.WEBSOCKET, ORIGIN)
        with pytest.raises(RequestError) as caught:
            await poller.endpoint.admit(headers)
        reply = poller.endpoint.refusal(headers, caught.value)
        assert "Access-Control-Allow-Origin" not in dict(reply.headers)

    at_endpoint(test, serving.make_server(cors_allowed_origins=None))


def test_upgrade_request_for_polling_is_refused() -> None:
    """Node answers it with a 101 and silence; here it gets 400, at either door."""

    async def test(poller: Poller) -> None:
        with pytest.raises(RequestError, match="Bad request"):
            await poller.endpoint.admit(upgrade(serving.POLLING))
        reply = await poller.request("GET", headers=handshake_headers())
        assert reply.status == 400

    at_endpoint(test)


def test_upgrade_over_real_sockets_keeps_order_and_loses_nothing(site: serving.Site) -> None:
    """Polling, probe, switch, with events of both sides under way all the time."""
    with site.client() as client, site.client() as other:
        target = site.polling(client)
        (connection,) = site.server.connections.values()
        received = []

        def emit(start: int) -> None:
            site.server.emit("n", [start])

        emit(0)
        assert other.upgrade(target.replace("polling", "websocket")).status == 101
        emit(1)
        other.send_text("2probe")
        assert other.read_text() == "3probe"
        assert client.request("POST", target, b'42["tell",1]').body == b"ok"
        body = client.request("GET", target).body
        while body != b"6":
            received += body.split(b"\x1e")
            body = client.request("GET", target).body
        emit(2)
        other.send_text("5")
        other.send_text('42["tell",2]')
        received.append(other.read_text().encode())
        emit(3)
        received.append(other.read_text().encode())
        assert received == [b'42["n",%d]' % number for number in range(4)]
        assert [site.next_seen() for _ in range(3)][1:] == [("tell", 1), ("tell", 2)]
        assert connection.session.transport == "websocket"


def test_finish_aborts_what_does_not_go(site: serving.Site) -> None:
    """Websockets that outlast the time are aborted, and told before it returns."""
    with site.websocket() as client:
        endpoint = site.embedded._uvicorn._endpoint

        async def finish() -> int:
            await endpoint.finish(0.01)
            return len(endpoint.websockets)

        future = asyncio.run_coroutine_threadsafe(finish(), site.server.hub.loop)
        assert future.result(serving.SECONDS) == 0
        assert client.closed()
        assert site.reason() == "transport close"
