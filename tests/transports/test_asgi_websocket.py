"""The websocket lane for any ASGI server, driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from carboy.runtime.message import Message
from carboy.transports import asgi_websocket as module
from carboy.transports.asgi_websocket import ASGIWebSocket

SECONDS = 20.0


class Carried:
    """A connection that records what it is told."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.address = "10.0.0.1"
        self.texts: list[bytes] = []
        self.binaries: list[bytes] = []
        self.told: list[str] = []

    def receive_text(self, packet: bytes) -> None:
        """Take a text message."""
        self.texts.append(packet)

    def receive_binary(self, data: bytes) -> None:
        """Take a binary message."""
        self.binaries.append(data)

    def transport_lost(self, transport: Any, reason: str) -> None:
        """Hear of the end."""
        self.told.append(reason)

    def stall(self) -> None:
        """Hear that output piles up."""
        self.told.append("stall")

    def unstall(self) -> None:
        """Hear that it has left."""
        self.told.append("unstall")


class Server:
    """An ASGI server with one websocket; while its gate is closed it takes nothing."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.received = 0
        self.connection = Carried()
        self.websocket = ASGIWebSocket(100, self._opened)
        self.running = asyncio.ensure_future(self.websocket.run(self._receive, self._send))

    def push(self, kind: str, **more: Any) -> None:
        """Bring an event of the client."""
        self.events.put_nowait({"type": f"websocket.{kind}", **more})

    async def next(self) -> dict[str, Any]:
        """Wait for what the application sends next."""
        return await asyncio.wait_for(self.sent.get(), SECONDS)

    async def end(self) -> None:
        """Wait until the application has returned."""
        await asyncio.wait_for(self.running, SECONDS)

    def _opened(self, websocket: ASGIWebSocket) -> Carried:
        websocket.bind(self.connection)
        self.connection.transport = websocket
        return self.connection

    async def _receive(self) -> dict[str, Any]:
        event = await self.events.get()
        self.received += 1
        return event

    async def _send(self, event: Any) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.sent.put_nowait(dict(event))


def driven(test: Callable[[Server], Awaitable[None]]) -> None:
    """Run a coroutine with a server whose websocket was accepted."""

    async def run() -> None:
        server = Server()
        assert await server.next() == {"type": "websocket.accept"}
        await asyncio.wait_for(test(server), SECONDS)
        if not server.running.done():
            server.push("disconnect", code=1000)
            await server.end()
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    asyncio.run(run())


async def settle() -> None:
    """Let everything happen that is ready to."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_websocket_carries_text_and_binary_both_ways() -> None:
    """Text is a str for the server and bytes for us; attachments follow their text."""

    async def test(server: Server) -> None:
        server.push("receive", text='42["\u00e9"]', bytes=None)
        server.push("receive", bytes=b"\x00", text=None)
        server.push("receive", bytes=b"")
        server.websocket.write([Message("4\u00e9".encode(), (b"\x01",)), Message(None, (b"\x02",))])
        sent = [await server.next() for _ in range(3)]
        assert [event.get("text", event.get("bytes")) for event in sent] == ["4\u00e9", b"\x01", b"\x02"]
        await settle()
        assert server.connection.texts == ['42["\u00e9"]'.encode()]
        assert server.connection.binaries == [b"\x00", b""]

    driven(test)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"text": ""}, 1002),
        ({"text": "\ud800"}, 1007),
        ({"text": "\u00e9" * 51}, 1009),
        ({"bytes": b"x" * 101}, 1009),
        ({}, 1002),
    ],
)
def test_websocket_fails_a_peer_that_breaks_a_rule(event: dict[str, Any], code: int) -> None:
    """The limits and rules of the fast lane hold here too, in bytes; what follows is dropped."""

    async def test(server: Server) -> None:
        server.push("receive", **event)
        server.push("receive", text="42")
        assert await server.next() == {"type": "websocket.close", "code": code}
        await settle()
        assert (server.connection.told, server.connection.texts) == (["transport error"], [])

    driven(test)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, "transport close"),
        (1001, "transport close"),
        (1005, "transport close"),
        (1006, "transport close"),
        (None, "transport close"),
        (1002, "transport error"),
        (1007, "transport error"),
        (1009, "transport error"),
    ],
)
def test_websocket_tells_why_the_peer_is_gone(code: int | None, reason: str) -> None:
    """The server's codes for broken rules are errors, all others a close."""

    async def test(server: Server) -> None:
        server.push("disconnect", code=code)
        await server.end()
        assert server.connection.told == [reason]
        assert server.websocket.write([Message(b"4")]), "what comes too late is dropped"
        assert server.websocket.backlog() == 0
        server.websocket.close(1000)
        assert server.sent.empty()

    driven(test)


def test_websocket_counts_what_the_server_is_slow_to_take() -> None:
    """The connection counts from the high water mark to the low one; nothing is lost and order is kept."""
    messages = [Message(b"4" + b"%06d" % number + b"x" * 993) for number in range(100)]

    async def test(server: Server) -> None:
        server.gate.clear()
        for message in messages:
            server.websocket.write([message])
        await settle()
        assert server.connection.told == ["stall"]
        assert server.websocket.backlog() > module.HIGH_WATER
        server.gate.set()
        texts = [(await server.next())["text"].encode() for _ in messages]
        assert texts == [message.text for message in messages]
        await settle()
        assert server.connection.told == ["stall", "unstall"]
        assert server.websocket.backlog() == 0

    driven(test)


def test_websocket_that_does_not_carry_the_session_stalls_nobody() -> None:
    """A candidate's output is not counted as the session's."""

    async def test(server: Server) -> None:
        server.connection.transport = None
        server.gate.clear()
        server.websocket.write([Message(b"4" + b"x" * module.HIGH_WATER)])
        server.gate.set()
        await server.next()
        assert server.connection.told == []

    driven(test)


def test_websocket_takes_no_event_from_the_server_while_it_is_paused() -> None:
    """One event may be under way; the rest waits with the server, and is there after the pause."""

    async def test(server: Server) -> None:
        await settle()
        server.websocket.pause_reading()
        for number in range(3):
            server.push("receive", text=f"4{number}")
        await settle()
        assert server.received == 1
        server.websocket.resume_reading()
        await settle()
        assert server.connection.texts == [b"40", b"41", b"42"]

    driven(test)


def test_websocket_closes_behind_what_waits() -> None:
    """A close lets the output leave first, and waits for the peer's side."""

    async def test(server: Server) -> None:
        server.websocket.write([Message(b"41"), Message(b"42")])
        server.websocket.pause_reading()
        server.websocket.close(1001)
        server.websocket.release()
        sent = [await server.next() for _ in range(3)]
        assert sent[2] == {"type": "websocket.close", "code": 1001}
        server.push("disconnect", code=1001)
        await server.end()
        assert server.connection.told == ["transport close"]

    driven(test)


def test_websocket_cuts_off_a_peer_that_does_not_answer_a_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the peer's side is bounded."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.01)

    async def test(server: Server) -> None:
        server.websocket.close(1000)
        await server.next()
        await server.end()

    driven(test)


def test_websocket_cuts_off_a_peer_that_does_not_read() -> None:
    """A close that stands behind what is not read is no use: the application returns at once."""

    async def test(server: Server) -> None:
        server.gate.clear()
        server.websocket.write([Message(b"4" + b"x" * module.HIGH_WATER)])
        await settle()
        server.websocket.close(1008)
        await server.end()
        assert server.connection.told == ["stall", "transport close"]

    driven(test)


@pytest.mark.parametrize("error", [OSError(), RuntimeError()])
def test_websocket_takes_a_send_that_fails_for_the_end(error: Exception) -> None:
    """Servers raise one or the other when the peer has gone; the disconnect event follows."""

    async def test(server: Server) -> None:
        server.error = error
        server.websocket.write([Message(b"4")])
        await settle()
        assert server.websocket.write([Message(b"4")])
        assert server.websocket.backlog() == 0
        server.push("disconnect", code=1006)
        await server.end()
        assert server.connection.told == ["transport close"]

    driven(test)


def test_websocket_lets_a_failure_of_ours_be_seen() -> None:
    """An exception inside is the server's to log, after everything was ended."""

    async def test(server: Server) -> None:
        server.connection.receive_text = None  # type: ignore[method-assign,assignment]
        server.push("receive", text="42")
        with pytest.raises(TypeError):
            await server.end()
        assert server.connection.told == ["transport close"]

    driven(test)


def test_websocket_ends_with_the_server_s_task() -> None:
    """A server that cancels the application leaves nothing running."""

    async def test(server: Server) -> None:
        server.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()
        assert server.connection.told == ["transport close"]

    driven(test)
