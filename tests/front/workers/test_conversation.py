"""ASGI websockets of one worker with a session of another, and the stream between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import serving
from colleagues import make_master, play, until

from carboy.front.asgi import ASGIApplication
from carboy.front.workers.conversation import Conversation

HEADERS = [(b"host", b"localhost")]


class Worker:
    """An ASGI application that belongs to a group."""

    def __init__(self, **options: Any) -> None:
        self.server = serving.make_server(**options)
        serving.on(self.server, "echo", lambda client, *arguments: arguments)
        self.application = ASGIApplication(self.server, alone=True)
        self.server.hub.attach(asyncio.get_running_loop())

    async def get(self, query: str) -> bytes:
        """Send a GET, and return the body of the answer."""
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/socket.io/",
            "headers": HEADERS,
            "query_string": query.encode(),
        }
        await self.application(scope, asyncio.Queue().get, _keep(sent))
        return bytes(sent[1]["body"])

    def websocket(self, query: str) -> Socket:
        """Begin a websocket."""
        return Socket(self.application, query)


class Socket:
    """A websocket, as its ASGI server has it.

    Attributes:
        sent: the events of the application.
        task: the call of the application.
    """

    def __init__(self, application: ASGIApplication, query: str) -> None:
        self.sent: list[Any] = []
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.bring({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "path": "/socket.io/",
            "query_string": query.encode(),
            "headers": [*HEADERS, (b"connection", b"upgrade"), (b"upgrade", b"websocket")],
        }
        self.task = asyncio.ensure_future(application(scope, self._queue.get, _keep(self.sent)))

    def bring(self, event: dict[str, Any]) -> None:
        """Bring an event of the peer."""
        self._queue.put_nowait(event)

    def say(self, text: str) -> None:
        """Bring a text message."""
        self.bring({"type": "websocket.receive", "text": text})

    async def next(self, kind: str) -> Any:
        """Wait for the next event of the application, which has to be of that kind."""
        await until(lambda: self.sent)
        event = self.sent.pop(0)
        assert event["type"] == kind, event
        return event


def _keep(sent: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def send(event: Any) -> None:
        sent.append(event)

    return send


def grouped(scene: Callable[[Worker, Worker, str], Awaitable[None]]) -> None:
    """Run a scene with two workers, and the query of a session of the first that asks for a websocket."""

    async def run() -> None:
        master = make_master()
        owner, other = Worker(), Worker()
        await owner.application.group.join(master)
        await other.application.group.join(master)
        packet = await owner.get("EIO=4&transport=polling")
        sid = packet.decode().split('"sid":"')[1][:20]
        try:
            await scene(owner, other, f"EIO=4&transport=websocket&sid={sid}")
        finally:
            for worker in (owner, other):
                await worker.application.group.leave()
                worker.server.hub.detach()

    play(run)


def test_websocket_of_one_worker_carries_a_session_of_another() -> None:
    """Probe, upgrade, events and large binaries go both ways."""

    async def scene(owner: Worker, other: Worker, query: str) -> None:
        websocket = other.websocket(query)
        await websocket.next("websocket.accept")
        websocket.say("2probe")
        assert (await websocket.next("websocket.send"))["text"] == "3probe"
        websocket.say("5")
        websocket.say("40")
        assert (await websocket.next("websocket.send"))["text"].startswith("40{")
        websocket.say('421["echo","é"]')
        assert (await websocket.next("websocket.send"))["text"] == '431["é"]'
        websocket.say('452-3["echo",{"_placeholder":true,"num":0}]'.replace("452-3", "451-3"))
        websocket.bring({"type": "websocket.receive", "bytes": bytes(700_000)})
        assert (await websocket.next("websocket.send"))["text"].startswith("461-3")
        assert (await websocket.next("websocket.send"))["bytes"] == bytes(700_000)
        websocket.bring({"type": "websocket.disconnect", "code": 1001})
        await websocket.task
        await until(lambda: not owner.server.connections)

    grouped(scene)


def test_refusal_of_the_owner_is_the_answer_to_the_handshake() -> None:
    """A session that is not there any more."""

    async def scene(owner: Worker, other: Worker, query: str) -> None:
        websocket = other.websocket(query[:-4] + "AAAA")
        await websocket.next("websocket.close")
        await websocket.task

    grouped(scene)


def test_websocket_is_closed_when_the_session_ends() -> None:
    """The close code of the owner goes to the peer."""

    async def scene(owner: Worker, other: Worker, query: str) -> None:
        websocket = other.websocket(query)
        await websocket.next("websocket.accept")
        websocket.say("2probe")
        await websocket.next("websocket.send")
        websocket.say("nonsense")
        assert (await websocket.next("websocket.close"))["code"] >= 1000
        await websocket.task

    grouped(scene)


def test_half_an_emoji_breaks_the_message_and_not_the_stream() -> None:
    """Text that is no UTF-8 ends the websocket with a close code."""

    async def scene(owner: Worker, other: Worker, query: str) -> None:
        websocket = other.websocket(query)
        await websocket.next("websocket.accept")
        websocket.say("\ud83d")
        assert (await websocket.next("websocket.close"))["code"] == 1002
        await websocket.task

    grouped(scene)


@pytest.mark.parametrize("accepted", [True, False])
def test_peer_is_let_go_when_the_owner_dies(accepted: bool) -> None:
    """With a close frame, or with a refusal if nothing was said yet."""

    async def scene(owner: Worker, other: Worker, query: str) -> None:
        ends: list[socket.socket] = []
        relay = owner.application.group._membership.websockets  # type: ignore[union-attr]
        owner.application.group._membership.peers.takers[5] = (  # type: ignore[union-attr]
            lambda name, payload, taken: ends.append(taken)
        )
        websocket = other.websocket(query)
        await until(lambda: ends)
        conversation = await Conversation.open(ends[0])
        if accepted:
            await conversation.send({"type": "websocket.accept"})
            await websocket.next("websocket.accept")
        conversation.close()
        await websocket.next("websocket.close")
        await websocket.task
        assert relay._conversations == set()

    grouped(scene)


def test_session_notices_when_the_worker_of_its_websocket_dies() -> None:
    """As when the peer breaks off."""

    async def scene(owner: Worker, other: Worker, query: str) -> None:
        websocket = other.websocket(query)
        await websocket.next("websocket.accept")
        websocket.task.cancel()
        await asyncio.wait((websocket.task,))
        relay = owner.application.group._membership.websockets  # type: ignore[union-attr]
        await until(lambda: not relay._conversations)

    grouped(scene)


def test_events_arrive_as_they_were_sent() -> None:
    """Their values keep their types, and the end is told."""

    async def scene() -> None:
        ends = socket.socketpair()
        near, far = [await Conversation.open(end) for end in ends]
        events = [{"type": "a", "text": "é", "code": 1}, {"type": "b", "bytes": bytes(200_000), "text": None}]
        sending = asyncio.ensure_future(near.send(events[0]))
        also = asyncio.ensure_future(near.send(events[1]))
        assert [await far.receive(), await far.receive()] == events
        await asyncio.gather(sending, also)
        near.close()
        with pytest.raises(EOFError):
            await far.receive()
        far.close()

    play(scene)
