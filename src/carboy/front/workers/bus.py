"""The bus of a cluster whose processes are the workers of one master."""

from __future__ import annotations

import socket

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
    """

    def __init__(self, hub: Hub, peers: Peers) -> None:
        self._hub = hub
        self._peers = peers
        self._receive: Receive | None = None
        self.node = peers.name
        peers.takers[PUBLISH] = self._take

    def start(self, receive: Receive | None) -> None:
        """Begins to hand messages to `receive`, in the loop's thread."""
        self._receive = receive

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Sends a message, in the order of everything else that is put into the outbox."""
        self._hub.outbox.put(self._send, message, node)

    def close(self) -> None:
        """Ends; the peers send what was published before they go."""
        self._receive = None

    def _send(self, message: bytes, node: str | None) -> None:
        if node is None:
            self._peers.send_all(PUBLISH, message)
        else:
            self._peers.send(node, PUBLISH, message)

    def _take(self, name: str, message: bytes, taken: socket.socket | None) -> None:
        if self._receive is not None:
            self._receive(message)
