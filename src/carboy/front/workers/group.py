"""This process as one of several workers: how it joins, what it then does for the others, how it leaves."""

from __future__ import annotations

import asyncio
import socket
from itertools import count
from typing import Any

from carboy.engineio.sids import NAME_LENGTH, is_sid
from carboy.front.fast_lane import FastLane
from carboy.front.workers.bus import WorkersBus
from carboy.front.workers.frames import END, HANDOVER, REPLY, REQUEST
from carboy.front.workers.http_relay import HTTPRelay
from carboy.front.workers.masters import Master
from carboy.front.workers.peers import Peers
from carboy.front.workers.place import Place
from carboy.front.workers.websocket_relay import WebSocketRelay
from carboy.runtime.forks import tell_of_forks
from carboy.runtime.server import Server
from carboy.transports.asgi_websocket import Receive, Send
from carboy.transports.endpoint import Endpoint
from carboy.transports.exchange import Exchange
from carboy.transports.other_worker import OtherWorker
from carboy.transports.rewriting import Reply


class WorkerGroup:
    """The workers of one master, from the view of one; all in the loop's thread.

    Args:
        server: the server.
        endpoint: answers its requests.

    Attributes:
        number: which of the servers of this process it is for; all workers load the same application, so that
            it is the same in each of them.
    """

    def __init__(self, server: Server, endpoint: Endpoint) -> None:
        self.number = next(_numbers)
        self._server = server
        self._endpoint = endpoint
        self._joining: asyncio.Task[None] | None = None
        self._membership: _Membership | None = None
        tell_of_forks(self)

    async def join(self, master: Master) -> None:
        """Joins the other workers, once; a request that comes meanwhile waits for it.

        Args:
            master: what the workers have in common.
        """
        if self._joining is None:
            self._joining = asyncio.ensure_future(self._join(master))
        await asyncio.shield(self._joining)

    async def _join(self, master: Master) -> None:
        server = self._server
        try:
            place = Place(master.process, f"{master.key} {server.config.path}")
            membership = self._membership = _Membership(server, self._endpoint, place)
        except OSError as error:
            server.log.warning(
                "This worker does not find the others, so clients need websockets alone, and what it emits"
                " reaches its own clients: %s",
                error,
            )
            return
        await membership.peers.meet_all()
        self._endpoint.find_worker = membership.find
        server.name = membership.peers.name
        if server.cluster is None:  # a message queue reaches the other workers too
            server.join(membership.bus)
            server.listen()

    def hurry(self) -> None:
        """Has the requests return that wait for other workers, since this one begins to end."""
        if self._membership is not None:
            self._membership.http.hurry()

    async def leave(self) -> None:
        """Answers what the others still ask, and leaves; sessions have ended."""
        if self._membership is not None:
            await self._membership.http.finish()
            await self._forget().peers.close()

    def forked(self) -> None:
        """Leaves the membership to the process that has it."""
        if self._membership is not None:
            self._forget().peers.abandon()

    def _forget(self) -> _Membership:
        membership, self._membership, self._joining = self._membership, None, None
        assert membership is not None
        self._endpoint.find_worker = lambda sid: None
        cluster = self._server.cluster
        if cluster is not None and cluster.bus is membership.bus:
            self._server.cluster = None
        return membership


class _Membership:
    """What a worker has while it belongs to a group."""

    def __init__(self, server: Server, endpoint: Endpoint, place: Place) -> None:
        self.peers = peers = Peers(place, server.hub.loop, server.log, self._lost)
        self.http = HTTPRelay(endpoint, server.config.max_http_buffer_size, peers.send)
        self.websockets = WebSocketRelay(endpoint, FastLane(server, endpoint), server.log, peers.send)
        self.bus = WorkersBus(server.hub, peers)
        peers.takers |= {
            REQUEST: self.http.take_request,
            END: self.http.take_end,
            REPLY: self.http.take_reply,
            HANDOVER: self.websockets.take,
        }

    def find(self, sid: str) -> OtherWorker | None:
        """Returns the worker that has made a session's id; one that joined this moment is met now."""
        name = sid[:NAME_LENGTH]
        return _Colleague(self, name) if is_sid(sid) and self.peers.meet(name) is not None else None

    def _lost(self, name: str) -> None:
        self.http.lost(name)
        self.bus.lost(name)


class _Colleague(OtherWorker):
    """Another worker, by its name."""

    __slots__ = ("_membership", "_name")

    def __init__(self, membership: _Membership, name: str) -> None:
        self._membership = membership
        self._name = name

    async def answer(self, environ: dict[str, Any], exchange: Exchange) -> Reply:
        return await self._membership.http.ask(self._name, environ, exchange)

    def adopt(self, taken: socket.socket, environ: dict[str, Any], key: str, early: bytes = b"") -> None:
        self._membership.websockets.hand_over(self._name, taken, environ, key, early)

    async def converse(self, environ: dict[str, Any], receive: Receive, send: Send) -> None:
        await self._membership.websockets.converse(self._name, environ, receive, send)


_numbers = count()
