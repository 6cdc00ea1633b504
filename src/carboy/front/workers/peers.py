"""The other workers of the group, each with a connection to it and one from it; all in the loop's thread.

Whoever joins connects to all that are there, and they connect back. The end of the connection to a worker is
its end: nothing is asked at intervals, and nobody waits for a dead one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from carboy.front.workers.frames import HELLO
from carboy.front.workers.links import Incoming, Outgoing, close_file
from carboy.front.workers.place import Place
from carboy.runtime.log import Log

MAX_BACKLOG = 64 * 1024 * 1024
"""Bytes that may wait for one worker; one that takes nothing for so long is left out."""

MEET_TIME = 5.0
"""Seconds that the others are given to connect back to a worker that joins; a dead one is not waited for."""

PAUSE = 1.0
"""Seconds for which nobody is accepted after too many files were open."""

FLUSH_TIME = 1.0
"""Seconds in which what was sent at the end has to leave."""

TICK = 0.01

_CREDENTIALS = struct.Struct("iII")

Take = Callable[[str, bytes, "socket.socket | None"], None]
"""Takes the name of a worker, a payload, and the socket that came with it."""


class Peers:
    """The other workers, from the view of one.

    Args:
        place: where they are found.
        loop: the loop.
        log: where workers are told that are left out.
        lost: told the name of a worker that has ended.

    Attributes:
        name: the name of this worker.
        takers: who takes which kind of frame.
    """

    def __init__(
        self, place: Place, loop: asyncio.AbstractEventLoop, log: Log, lost: Callable[[str], None]
    ) -> None:
        self._place = place
        self._loop = loop
        self._log = log
        self._lost = lost
        self._links: dict[str, Outgoing] = {}
        self._heard: set[Incoming] = set()
        self._changed = asyncio.Event()
        self.takers: dict[int, Take] = {}
        self.name, self._listener = place.listen()
        loop.add_reader(self._listener, self._accept)

    @property
    def names(self) -> frozenset[str]:
        """The names of the others; from any thread."""
        return frozenset(self._links)

    async def meet_all(self) -> None:
        """Connects to all that are there, and returns when they have connected back, or not for too long."""
        met = {name for name in self._place.names() if name != self.name and self.meet(name)}
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._met_back(met), MEET_TIME)

    async def _met_back(self, names: set[str]) -> None:
        while names & self._links.keys() - {incoming.name for incoming in self._heard}:
            self._changed.clear()
            await self._changed.wait()

    def meet(self, name: str) -> Outgoing | None:
        """Returns the link to a worker, made now if need be; None if it is not there."""
        link = self._links.get(name)
        if link is None and name != self.name:
            connection = self._place.connect(name)
            if connection is not None and _same_user(connection):
                link = Outgoing(self._loop, connection, lambda: self._ended(name))
                link.send(HELLO, self.name.encode())
                self._links[name] = link
        return link

    def send(self, name: str, kind: int, payload: bytes, taken: socket.socket | None = None) -> None:
        """Sends a frame to one worker; one that has ended is ignored."""
        link = self._links.get(name)
        if link is not None:
            link.send(kind, payload, taken)
            if link.backlog > MAX_BACKLOG:
                self._leave_out(name, link)
        elif taken is not None:
            taken.close()

    def send_all(self, kind: int, payload: bytes) -> None:
        """Sends a frame to every other worker."""
        for name in tuple(self._links):
            self.send(name, kind, payload)

    async def close(self) -> None:
        """Sends what waits, for a moment, and leaves."""
        deadline = self._loop.time() + FLUSH_TIME
        while self._sends() and self._loop.time() < deadline:  # noqa: ASYNC110  # an event would cost each frame
            await asyncio.sleep(TICK)
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for link in self._links.values():
            link.close()
        for incoming in self._heard:
            incoming.close()
        self._links.clear()
        self._place.take_away(self.name)

    def abandon(self) -> None:
        """Closes the files alone, in a process that was forked: else a dead worker would seem to live."""
        close_file(self._listener)
        for link in self._links.values():
            link.abandon()
        for incoming in self._heard:
            incoming.abandon()

    def _sends(self) -> bool:
        return any(link.backlog for link in self._links.values())

    # The listener

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:  # too many files are open
            self._log.rarely("workers", "A worker cannot be heard: %s", error)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(PAUSE, self._accept_again)
            return
        connection.setblocking(False)
        if _same_user(connection):
            self._heard.add(Incoming(self._loop, connection, self._take, self._silent))

    def _accept_again(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    # What they send

    def _take(self, incoming: Incoming, kind: int, payload: bytes, taken: socket.socket | None) -> None:
        if kind == HELLO:
            incoming.name = payload.decode()
            self.meet(incoming.name)
            self._changed.set()
            return
        try:
            self.takers[kind](incoming.name, payload, taken)
        except Exception as error:  # noqa: BLE001  # a defect must not cost the others
            self._log.exception("A message of another worker failed", error=error)

    # How they end

    def _silent(self, incoming: Incoming) -> None:
        """Is told that a worker sends no more: it has ended, or has left us out, but hears us."""
        self._heard.discard(incoming)
        self._changed.set()
        self.send(incoming.name, HELLO, self.name.encode())

    def _ended(self, name: str) -> None:
        self._links.pop(name, None)
        self._place.take_away(name)
        self._changed.set()
        self._lost(name)

    def _leave_out(self, name: str, link: Outgoing) -> None:
        self._log.warning(
            "A worker process has taken nothing for %d MiB of messages, which are lost to its clients;"
            " does something block its event loop?",
            MAX_BACKLOG >> 20,
        )
        link.close()
        del self._links[name]
        self._lost(name)


def _same_user(connection: socket.socket) -> bool:
    """Returns whether the other end is a process of this user; closes the connection if not."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # the directory lets nobody else in
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(credentials)[1] == os.getuid():
        return True
    connection.close()
    return False
