"""How workers meet, and how they notice that one has ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from colleagues import Crew, play, until

from carboy.front.workers import peers as module
from carboy.front.workers.frames import PUBLISH
from carboy.front.workers.peers import Peers


def hear(peers: Peers) -> list[tuple[str, bytes]]:
    """Keep what a worker is sent."""
    heard: list[tuple[str, bytes]] = []
    peers.takers[PUBLISH] = lambda name, payload, taken: heard.append((name, payload))
    return heard


def die(peers: Peers) -> None:
    """End a worker as SIGKILL does: its files are closed, and its socket stays behind."""
    loop = asyncio.get_running_loop()
    for file in (peers._listener, *(each._connection for each in (*peers._links.values(), *peers._heard))):
        loop.remove_reader(file)
        file.close()


def names(crew: Crew) -> Iterator[str]:
    """Return who can be found."""
    return iter(crew.place.names())


def test_whoever_joins_meets_all_and_they_meet_it() -> None:
    """When the meeting is over, each reaches each."""

    async def scene() -> None:
        crew = Crew()
        workers = [await crew.join() for _ in range(4)]
        heard = [hear(worker) for worker in workers]
        for worker in workers:
            assert worker.names == {other.name for other in workers} - {worker.name}
            worker.send_all(PUBLISH, worker.name.encode())
        await until(lambda: all(len(each) == 3 for each in heard))
        for worker in workers:
            await worker.close()

    play(scene)


def test_message_for_one_reaches_that_one() -> None:
    """The others are not asked."""

    async def scene() -> None:
        crew = Crew()
        one, two, three = [await crew.join() for _ in range(3)]
        second, third = hear(two), hear(three)
        one.send(three.name, PUBLISH, b"hello")
        await until(lambda: third == [(one.name, b"hello")])
        assert second == []
        for worker in (one, two, three):
            await worker.close()

    play(scene)


def test_worker_that_dies_is_forgotten_and_its_socket_taken_away() -> None:
    """All others are told at once, without having sent anything."""

    async def scene() -> None:
        crew = Crew()
        one, two, three = [await crew.join() for _ in range(3)]
        die(two)
        await until(lambda: len(crew.lost) == 2)
        assert sorted(crew.lost) == sorted([(one.name, two.name), (three.name, two.name)])
        assert set(names(crew)) == {one.name, three.name}
        assert one.names == {three.name}
        await one.close()
        await three.close()

    play(scene)


def test_worker_that_leaves_is_forgotten_and_cleans_up(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sent before arrives; behind the last one nothing stays."""
    monkeypatch.setattr(module, "FLUSH_TIME", 20.0)

    async def scene() -> None:
        crew = Crew()
        one, two = await crew.join(), await crew.join()
        heard = hear(one)
        two.send(one.name, PUBLISH, bytes(1_000_000))
        await two.close()
        await until(lambda: crew.lost == [(one.name, two.name)])
        assert [len(payload) for _, payload in heard] == [1_000_000]
        await one.close()

    play(scene)
    assert list(base.iterdir()) == []


def test_dead_worker_delays_nobody_who_joins() -> None:
    """A socket that nobody listens on is passed over."""

    async def scene() -> None:
        crew = Crew()
        _, listener = crew.place.listen()
        listener.close()
        began = asyncio.get_running_loop().time()
        one = await crew.join()
        assert asyncio.get_running_loop().time() - began < 4
        assert one.names == frozenset()
        assert list(names(crew)) == [one.name]
        await one.close()

    play(scene)


def test_worker_that_joined_this_moment_is_met_when_it_is_asked_for() -> None:
    """A request may come before its first word."""

    async def scene() -> None:
        crew = Crew()
        one, two = crew.hire(), crew.hire()
        assert one.meet(two.name) is not None
        assert one.meet("____") is None
        assert one.meet(one.name) is None
        heard = hear(two)
        one.send(two.name, PUBLISH, b"early")
        await until(lambda: heard == [(one.name, b"early")])
        await until(lambda: two.names == {one.name})
        await one.close()
        await two.close()

    play(scene)


def test_socket_for_one_that_is_not_there_is_closed() -> None:
    """Its client notices."""

    async def scene() -> None:
        crew = Crew()
        one = await crew.join()
        near, far = socket.socketpair()
        one.send("____", PUBLISH, b"", far)
        assert near.recv(1) == b""
        near.close()
        await one.close()

    play(scene)


def test_worker_that_takes_nothing_is_left_out_until_it_reads_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits for it is bounded, one line tells it, and it is met anew."""
    monkeypatch.setattr(module, "MAX_BACKLOG", 1_000_000)

    async def scene() -> None:
        crew = Crew()
        one, two = await crew.join(), await crew.join()
        heard = hear(two)
        (incoming,) = two._heard
        loop = asyncio.get_running_loop()
        loop.remove_reader(incoming._connection)
        for _ in range(20):
            one.send(two.name, PUBLISH, bytes(100_000))
        assert one.names == frozenset()
        assert crew.lost == [(one.name, two.name)]
        loop.add_reader(incoming._connection, incoming._read)
        await until(lambda: one.names == {two.name})
        one.send(two.name, PUBLISH, b"again")
        await until(lambda: heard and heard[-1] == (one.name, b"again"))
        await one.close()
        await two.close()

    play(scene)
    assert caplog.text.count("has taken nothing") == 1


def test_defect_in_one_message_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and the next message arrives."""

    async def scene() -> None:
        crew = Crew()
        one, two = await crew.join(), await crew.join()
        heard = []

        def take(name: str, payload: bytes, taken: socket.socket | None) -> None:
            heard.append(payload)
            raise RuntimeError("a defect")

        two.takers[PUBLISH] = take
        one.send(two.name, PUBLISH, b"1")
        one.send(two.name, PUBLISH, b"2")
        await until(lambda: heard == [b"1", b"2"])
        await one.close()
        await two.close()

    play(scene)
    assert caplog.text.count("a defect") >= 2


def test_abandoned_files_do_not_keep_a_dead_worker_alive() -> None:
    """A process that was forked gives its copies up, and the others notice when the worker dies."""

    async def scene() -> None:
        crew = Crew()
        one, two = await crew.join(), await crew.join()
        loop = asyncio.get_running_loop()
        for file in (two._listener, *(each._connection for each in (*two._links.values(), *two._heard))):
            loop.remove_reader(file)
        two.abandon()
        await until(lambda: crew.lost == [(one.name, two.name)])
        await one.close()

    play(scene)
