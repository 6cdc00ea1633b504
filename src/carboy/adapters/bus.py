"""What carries messages between the processes of one cluster, as the cluster sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Receive = Callable[[bytes], None]
"""Takes one message of another process; called in a thread of the bus, neither waits nor raises."""


class Bus(Protocol):
    """The processes of one cluster, called nodes, and the way to them.

    Attributes:
        node: the name of this process in the cluster.
        complete: whether `nodes` names all that there are, so that nobody else needs to be waited for.
    """

    node: str
    complete: bool

    def start(self, receive: Receive, gone: Callable[[str], None], *, listen: bool = True) -> None:
        """Begins; a further call can only begin to listen.

        Args:
            receive: takes messages.
            gone: called with the name of a node that is there no more.
            listen: whether to receive what is for all nodes; what is for this one alone always comes.
        """

    def wait(self, timeout: float) -> bool:
        """Waits until messages come in and go out, or an attempt has failed; not in the bus's own thread.

        Args:
            timeout: seconds, at most.

        Returns:
            Whether they do.
        """

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Sends a message to other nodes. Never waits; from any thread.

        Args:
            message: the message, a JSON object.
            node: the one that it is for; None for all others that listen.
        """

    def nodes(self) -> frozenset[str]:
        """Returns the other nodes that listen, as far as they are known."""

    def forget(self, node: str) -> None:
        """Takes a node that is silent out of `nodes`, until it is heard again."""

    def close(self) -> None:
        """Sends what was published, within a bound, and ends."""
