"""The bus of a cluster whose processes are the workers of one master."""

from __future__ import annotations

import socket
from collections.abc import Callable

from carboy.adapters.bus import Receive
from carboy.front.workers.frames import PUBLISH
from carboy.front.workers.peers import Peers
from carboy.runtime.hub import Hub


class WorkersBus:
    """Carries messages to the other workers; as `carboy.adapters.bus.Bus` says.

    Args:
        hub: on whose loop the peers are.
        peers: the other workers.

    Attributes:
        node: the name of this worker.
        complete: True: a worker that joins is known before it serves, one that ends at once.
    """

    complete = True

    def __init__(self, hub: Hub, peers: Peers) -> None:
        self._hub = hub
        self._peers = peers
        self._receive: Receive | None = None
        self._gone: Callable[[str], None] = lambda node: None
        self._silent: set[str] = set()
        self.node = peers.name
        peers.takers[PUBLISH] = self._take

    def start(self, receive: Receive, gone: Callable[[str], None], *, listen: bool = True) -> None:
        """Begins to hand messages on, in the loop's thread; a worker always listens."""
        self._receive, self._gone = receive, gone

    def wait(self, timeout: float) -> bool:
        """Returns True: the workers are connected before there is a bus."""
        return True

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Sends a message, in the order of everything else that is put into the outbox."""
        self._hub.outbox.put(self._send, message, node)

    def nodes(self) -> frozenset[str]:
        """Returns the other workers."""
        return self._peers.names - self._silent

    def forget(self, node: str) -> None:
        """Takes a worker that is silent out of `nodes`, until it is heard again."""
        self._silent.add(node)

    def lost(self, node: str) -> None:
        """Takes note that a worker has ended."""
        self._silent.discard(node)
        self._gone(node)

    def close(self) -> None:
        """Ends; the peers send what was published before they go."""
        self._receive = None

    def _send(self, message: bytes, node: str | None) -> None:
        if node is None:
            self._peers.send_all(PUBLISH, message)
        else:
            self._peers.send(node, PUBLISH, message)

    def _take(self, name: str, message: bytes, taken: socket.socket | None) -> None:
        self._silent.discard(name)
        if self._receive is not None:
            self._receive(message)
