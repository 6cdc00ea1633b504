"""Workers for tests: servers in threads of one process, which find one another as processes do."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import serving

from carboy.front.workers.masters import Master
from carboy.front.workers.peers import Peers
from carboy.front.workers.place import Place
from carboy.runtime.log import Log

SECONDS = 20.0


def make_master() -> Master:
    """Make what the workers of one test have in common."""
    return Master(os.getpid(), secrets.token_hex(4))


@contextmanager
def serve(
    count: int = 2, config: dict[str, Any] | None = None, **options: Any
) -> Iterator[list[serving.Site]]:
    """Serve with several workers, each on a port of its own, so that a test decides who gets a request."""
    master = make_master()
    with ExitStack() as stack:
        servers = [serving.make_server(**(config or {})) for _ in range(count)]
        yield [stack.enter_context(serving.serve(server, master=master, **options)) for server in servers]


def membership(site: serving.Site) -> Any:
    """Return what a worker has of its group."""
    return site.embedded._uvicorn._group._membership


def kill(site: serving.Site) -> None:
    """Cut a worker off from the others as its sudden death would."""
    peers = membership(site).peers

    def die() -> None:
        for link in (*peers._links.values(), *peers._heard):
            link.close()
        site.server.hub.loop.remove_reader(peers._listener)
        peers._listener.close()

    site.call(die)


class Crew:
    """Peers on one loop.

    Attributes:
        place: where they meet.
        lost: who was told lost by whom, as pairs.
    """

    def __init__(self, key: str = "key") -> None:
        self.place = Place(os.getpid(), key)
        self.lost: list[tuple[str, str]] = []

    def hire(self, log: Log | None = None) -> Peers:
        """Make a worker that has met nobody yet."""
        made = Peers(
            self.place,
            asyncio.get_running_loop(),
            log or Log(),
            lambda name: self.lost.append((made.name, name)),
        )
        return made

    async def join(self, log: Log | None = None) -> Peers:
        """Make a worker that has met the others."""
        made = self.hire(log)
        await made.meet_all()
        return made


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something to come true on the loop."""

    async def wait() -> None:
        while not condition():  # noqa: ASYNC110  # whatever it is
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), SECONDS)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene on a loop of its own."""

    async def timed() -> None:
        await asyncio.wait_for(scene(), 2 * SECONDS)

    asyncio.run(timed())
