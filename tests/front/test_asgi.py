"""The server as an ASGI application, driven by hand and over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import raw
import serving
from raw import opened

from carboy.exceptions import LimitError
from carboy.front.asgi import ASGIApplication, ASGIExchange
from carboy.runtime.server import Server

SECONDS = 20.0


class Channel:
    """The two channels of a scope, for a test that plays the server."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for event in events:
            self.events.put_nowait(event)

    async def receive(self) -> dict[str, Any]:
        """Give the next event."""
        return await self.events.get()

    async def send(self, event: Any) -> None:
        """Take what the application sends."""
        self.sent.put_nowait(event)

    async def next(self) -> dict[str, Any]:
        """Wait for what the application sends next."""
        return await asyncio.wait_for(self.sent.get(), SECONDS)

    def rest(self) -> list[dict[str, Any]]:
        """Return what it has sent and nobody took."""
        return [self.sent.get_nowait() for _ in range(self.sent.qsize())]


def scope(kind: str, target: str, **more: Any) -> dict[str, Any]:
    """Return a scope."""
    path, _, query = target.partition("?")
    return {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [],
        "method": "GET",
        **more,
    }


def driven(test: Callable[[Server], Awaitable[None]], **options: Any) -> None:
    """Run a coroutine with a server."""
    server = serving.make_server(**options)

    async def run() -> None:
        try:
            await asyncio.wait_for(test(server), SECONDS)
        finally:
            server.hub.threads.stop()
            if server.hub.running:
                server.hub.detach()

    asyncio.run(run())


async def other(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything in its own way."""
    await send({"type": "other", "scope": scope["type"]})


def test_application_answers_below_its_path_without_a_lifespan() -> None:
    """The hub starts with the first request where the server has no lifespan."""

    async def test(server: Server) -> None:
        channel = Channel({"type": "http.request"})
        await ASGIApplication(server)(scope("http", serving.POLLING), channel.receive, channel.send)
        start, body = channel.rest()
        assert start["status"] == 200
        assert (b"content-length", b"%d" % len(body["body"])) in start["headers"]
        assert opened(body["body"])["sid"] in server.connections

    driven(test)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_application_leaves_everything_else_to_the_other(kind: str) -> None:
    """Requests and websockets outside the path go to the other application as they are."""

    async def test(server: Server) -> None:
        channel = Channel()
        application = ASGIApplication(server, other)
        await application(scope(kind, "/elsewhere"), channel.receive, channel.send)
        assert channel.rest() == [{"type": "other", "scope": kind}]

    driven(test)


def test_application_alone_refuses_everything_else() -> None:
    """Without another application there is nothing else: 404, or a close before the handshake's answer."""

    async def test(server: Server) -> None:
        channel = Channel()
        await ASGIApplication(server)(scope("http", "/elsewhere"), channel.receive, channel.send)
        await ASGIApplication(server)(scope("websocket", "/elsewhere"), channel.receive, channel.send)
        start, _, close = channel.rest()
        assert (start["status"], close["type"]) == (404, "websocket.close")

    driven(test)


def test_application_works_below_a_root_path() -> None:
    """The path is looked for below where the application is mounted."""

    async def test(server: Server) -> None:
        for path in ("/root/socket.io/", "/socket.io/"):
            channel = Channel({"type": "http.request"})
            mounted = scope("http", path + "?EIO=4&transport=polling", root_path="/root")
            await ASGIApplication(server)(mounted, channel.receive, channel.send)
            assert channel.rest()[0]["status"] == 200

    driven(test)


def test_application_starts_the_hub_again_on_another_loop() -> None:
    """A server without a lifespan that begins anew in one process leaves a hub on a loop that has ended."""
    server = serving.make_server()

    async def request() -> int:
        channel = Channel({"type": "http.request"})
        await ASGIApplication(server)(scope("http", serving.POLLING), channel.receive, channel.send)
        assert server.hub.loop is asyncio.get_running_loop()
        return int(channel.rest()[0]["status"])

    assert [asyncio.run(request()) for _ in range(2)] == [200, 200]
    server.hub.threads.stop()


# Websockets


def test_application_carries_websockets_of_any_server() -> None:
    """Below the path a websocket is accepted, opens its session, and carries events both ways."""

    async def test(server: Server) -> None:
        async def echo(client: Any, *arguments: Any) -> Any:
            return arguments

        serving.on(server, "echo", echo)
        channel = Channel({"type": "websocket.connect"})
        websocket = scope("websocket", serving.WEBSOCKET, http_version="2", scheme="wss")
        running = asyncio.ensure_future(ASGIApplication(server)(websocket, channel.receive, channel.send))
        assert await channel.next() == {"type": "websocket.accept"}
        assert opened((await channel.next())["text"])["upgrades"] == []
        channel.events.put_nowait({"type": "websocket.receive", "text": "40"})
        assert (await channel.next())["text"].startswith("40{")
        channel.events.put_nowait({"type": "websocket.receive", "text": '420["echo",1]', "bytes": None})
        assert (await channel.next())["text"] == "430[1]"
        channel.events.put_nowait({"type": "websocket.disconnect", "code": 1005})
        await running
        assert not server.connections

    driven(test)


REFUSED = [
    ("/socket.io/?EIO=3&transport=websocket", 400, 5),
    (serving.POLLING, 400, 3),
    (serving.WEBSOCKET + "&sid=AAAAAAAAAAAAAAAAAAAA", 400, 1),
]


@pytest.mark.parametrize(("target", "status", "code"), REFUSED)
def test_application_refuses_websockets_before_they_are_accepted(target: str, status: int, code: int) -> None:
    """A server that can send an answer gets one; the others turn the close into a 403."""

    async def test(server: Server) -> None:
        plain, answering = Channel({"type": "websocket.connect"}), Channel({"type": "websocket.connect"})
        await ASGIApplication(server)(scope("websocket", target), plain.receive, plain.send)
        assert plain.rest() == [{"type": "websocket.close"}]
        extended = scope("websocket", target, extensions={"websocket.http.response": {}})
        await ASGIApplication(server)(extended, answering.receive, answering.send)
        start, body = answering.rest()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
        assert json.loads(body["body"])["code"] == code

    driven(test)


# The lifespan


async def play_lifespan(application: ASGIApplication, server: Server) -> list[str]:
    """Play a whole lifespan, and return what was answered."""
    channel = Channel({"type": "lifespan.startup"})
    running = asyncio.ensure_future(application({"type": "lifespan"}, channel.receive, channel.send))
    answers = [(await channel.next())["type"]]
    assert server.hub.running
    channel.events.put_nowait({"type": "lifespan.shutdown"})
    await running
    assert not server.hub.running
    return answers + [answer["type"] for answer in channel.rest()]


async def no_lifespan_at_all(scope: Any, receive: Any, send: Any) -> None:
    """Know HTTP only."""
    assert scope["type"] == "http"


async def no_lifespan_after_all(scope: Any, receive: Any, send: Any) -> None:
    """Look at the startup and give up."""
    await receive()
    raise NotImplementedError


async def ignored_lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Return at once."""


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Take part."""
    for _ in range(2):
        message = await receive()
        await send({"type": message["type"] + ".complete"})


OTHERS = [None, no_lifespan_at_all, no_lifespan_after_all, ignored_lifespan, lifespan]


@pytest.mark.parametrize(
    "application", OTHERS, ids=lambda application: getattr(application, "__name__", "none")
)
def test_lifespan_starts_and_stops_the_hub_whatever_the_other_makes_of_it(application: Any) -> None:
    """The hub runs from startup to shutdown, and the server gets its answers."""

    async def test(server: Server) -> None:
        answers = await play_lifespan(ASGIApplication(server, application), server)
        assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    driven(test)


def test_lifespan_that_fails_after_its_start_is_told_to_the_server() -> None:
    """An exception of the other application's shutdown is the server's to report."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError

    async def test(server: Server) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  # it is ours, without a text
            await play_lifespan(ASGIApplication(server, failing), server)

    driven(test)


def test_lifespan_s_end_closes_sessions() -> None:
    """Clients are told at the shutdown, and no session begins after it."""

    async def test(server: Server) -> None:
        application = ASGIApplication(server)
        events = Channel({"type": "lifespan.startup"})
        running = asyncio.ensure_future(application({"type": "lifespan"}, events.receive, events.send))
        await events.next()
        channel = Channel({"type": "websocket.connect"})
        websocket = asyncio.ensure_future(
            application(scope("websocket", serving.WEBSOCKET), channel.receive, channel.send)
        )
        await channel.next()
        await channel.next()
        events.events.put_nowait({"type": "lifespan.shutdown"})
        assert await channel.next() == {"type": "websocket.close", "code": 1001}
        channel.events.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.gather(running, websocket)

    driven(test)


# Bodies


def test_exchange_reads_a_body_in_parts_up_to_the_limit() -> None:
    """The parts are joined; a body past the limit is not read on."""

    async def test(server: Server) -> None:
        parts = [
            {"type": "http.request", "body": b"ab", "more_body": True},
            {"type": "http.request", "body": b"c"},
        ]
        channel = Channel(*parts)
        assert await ASGIExchange(scope("http", "/"), channel.receive).read(3) == b"abc"
        channel = Channel(*parts)
        with pytest.raises(LimitError, match="longer than 1 bytes"):
            await ASGIExchange(scope("http", "/"), channel.receive).read(1)
        assert channel.events.qsize() == 1
        announced = scope("http", "/", headers=[(b"content-length", b"4")])
        with pytest.raises(LimitError):
            await ASGIExchange(announced, Channel().receive).read(3)

    driven(test)


def test_exchange_tells_when_the_peer_goes() -> None:
    """In the middle of a body that is an error, and a poll that waits is told."""

    async def test(server: Server) -> None:
        gone = Channel({"type": "http.disconnect"})
        with pytest.raises(ConnectionError):
            await ASGIExchange(scope("http", "/"), gone.receive).read(3)
        gone = Channel({"type": "http.request"}, {"type": "http.disconnect"})
        await ASGIExchange(scope("http", "/"), gone.receive).gone()

    driven(test)


def test_polling_works_over_http(site: serving.Site) -> None:
    """A session over one kept connection: handshake, events, binary, close."""
    with site.client() as client:
        target = site.polling(client)
        body = '421["echo","\u00e9"]\x1e452-2["echo",{"_placeholder":true,"num":0}]'.encode()
        assert client.request("POST", target, body.replace(b"452-", b"451-") + b"\x1ebAP8=").body == b"ok"
        answers = client.request("GET", target).body
        while answers.count(b"\x1e") < 2:
            answers += b"\x1e" + client.request("GET", target).body
        assert answers.decode() == '431["\u00e9"]\x1e461-2[{"_placeholder":true,"num":0}]\x1ebAP8='
        assert client.request("POST", target, b"1").body == b"ok"
        assert site.reason() == "client disconnect"


@pytest.mark.parametrize("headers", ["Content-Length: 999999999\r\n", "Transfer-Encoding: chunked\r\n"])
def test_post_without_end_is_refused_at_the_limit(site: serving.Site, headers: str) -> None:
    """The answer comes as soon as it is certain, without waiting for the body; the session stays."""
    with site.client() as client, site.client() as other:
        target = site.polling(other)
        client.begin("POST", target, headers=headers)
        if "chunked" in headers:
            for _ in range(17):
                client.send(b"10000\r\n" + b"4" * 65536 + b"\r\n")
        answer = client.finish()
        assert (answer.status, answer.body) == (413, b"")
        assert other.request("POST", target, b"3").body == b"ok"


def test_requests_that_are_given_up_end_the_session(site: serving.Site) -> None:
    """An aborted GET and an aborted POST are transport errors (Node behaviour)."""
    for method in ("GET", "POST"):
        with site.client() as other:
            target = site.polling(other)
            client = site.client()
            client.begin(method, target, headers="Content-Length: 5\r\n" if method == "POST" else "")
            while site.call(lambda: not is_busy(site)):
                pass
            client.reset()
            assert site.reason() == "transport error"


def is_busy(site: serving.Site) -> bool:
    """Tell whether a poll waits or a post is under way."""
    (connection,) = site.server.connections.values()
    return connection.transport._posting or connection.transport._answer is not None


def test_head_is_answered_without_a_body(site: serving.Site) -> None:
    """A HEAD gets the headers of the refusal, and the connection stays usable."""
    with site.client() as client:
        assert client.request("HEAD", serving.POLLING).status == 400
        assert client.request("GET", "/").status == 200


def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Raise, as a broken view does."""
    raise ValueError


def test_failure_of_the_application_is_its_own() -> None:
    """A view that raises is answered 500, and websockets beside it go on."""
    with serving.serve(application=failing) as site, site.websocket() as websocket, site.client() as client:
        assert client.request("GET", "/").status == 500
        websocket.send_text('421["echo"]')
        assert websocket.read_text() == "431[]"


def test_request_while_the_interpreter_ends_is_answered_with_503() -> None:
    """A reloader ends the process below a server that still serves: its pool takes nothing any more."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    async def other(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, print)

    async def scene(server: Server) -> None:
        channel = Channel()
        await ASGIApplication(server, other)(scope("http", "/"), channel.receive, channel.send)
        assert (await channel.next())["status"] == 503

    driven(scene)


def test_raw_client_masks_its_frames() -> None:
    """The tests' own client is right where it means to be (RFC 6455 section 5.7)."""
    hello = bytes.fromhex("818537fa213d7f9f4d5158")
    assert raw.frame(raw.TEXT, b"Hello")[:2] == hello[:2]
    key, masked = raw.frame(raw.TEXT, b"Hello")[2:6], raw.frame(raw.TEXT, b"Hello")[6:]
    assert bytes(byte ^ key[place % 4] for place, byte in enumerate(masked)) == b"Hello"
