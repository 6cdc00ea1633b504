"""What carries messages between the processes of one cluster, as the cluster sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Receive = Callable[[bytes], None]
"""Takes one message of another process; called in a thread of the bus, must neither wait nor raise."""


class Bus(Protocol):
    """The processes of one cluster, and the way to them.

    Attributes:
        node: the name of this process in the cluster.
    """

    node: str

    def start(self, receive: Receive | None) -> None:
        """Begins, once; a second call changes nothing.

        Args:
            receive: takes what other processes publish; None in a process that only publishes, which still
                gets what is meant for it alone.
        """

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Sends a message to the other processes. Never waits, from any thread.

        Args:
            message: the message.
            node: the one process that it is for; None for all others.
        """

    def close(self) -> None:
        """Sends what was published, within a bound, and ends."""
