"""Polls whose socket has left their server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from carboy.front import moved_poll
from carboy.front.moved_poll import MovedPoll
from carboy.transports.rewriting import Reply


async def move(
    task: asyncio.Task[Reply], left: asyncio.Event
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Have a poll answered by a task, and return the client's end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: MovedPoll(task, left.set), ours)
    return await asyncio.open_unix_connection(sock=theirs)


def test_answer_is_the_last_that_is_sent() -> None:
    """The connection closes behind it, and the peer is not taken to have left."""

    async def play() -> None:
        left = asyncio.Event()
        task: asyncio.Task[Reply] = asyncio.ensure_future(asyncio.sleep(0.01, Reply(200, [], b"6")))
        reader, writer = await move(task, left)
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n6")
        writer.close()
        await asyncio.sleep(0.01)
        assert not left.is_set()

    asyncio.run(play())


def test_peer_that_leaves_before_is_told_of() -> None:
    """And nothing is written any more."""

    async def play() -> None:
        left = asyncio.Event()
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def reply() -> Reply:
            await waiting
            return Reply(200)

        task = asyncio.ensure_future(reply())
        _, writer = await move(task, left)
        writer.close()
        await asyncio.wait_for(left.wait(), 20)
        waiting.set_result(None)
        await task

    asyncio.run(play())


def test_poll_that_is_cancelled_is_answered_503() -> None:
    """When the hub ends no client is left without an answer."""

    async def play() -> None:
        task: asyncio.Task[Reply] = asyncio.ensure_future(asyncio.sleep(60, Reply(200)))
        reader, writer = await move(task, asyncio.Event())
        task.cancel()
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 503 ")
        writer.close()

    asyncio.run(play())


def test_peer_that_does_not_take_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that wait for it are given back."""
    monkeypatch.setattr(moved_poll, "TAKE_TIME", 0.05)

    async def play() -> None:
        task: asyncio.Task[Reply] = asyncio.ensure_future(asyncio.sleep(0, Reply(200, [], bytes(5_000_000))))
        reader, writer = await move(task, asyncio.Event())
        await asyncio.sleep(0.2)
        received = await asyncio.wait_for(reader.read(-1), 5)
        assert len(received) < 5_000_000
        writer.close()

    asyncio.run(play())
