"""What a message broker has to do for a cluster: one class per broker, all else is the bus's.

A driver lives on one event loop, is made once, and may be connected again after an error. It neither retries
nor keeps messages: whoever uses it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Driver(Protocol):
    """A broker on which channels are broadcast: each subscriber of a channel gets what is published there."""

    async def connect(self, channels: Sequence[str]) -> None:
        """Connects and subscribes; once it returns, what anybody publishes there is received.

        What an earlier connection had is given up first.

        Args:
            channels: the channels.

        Raises:
            BrokerError: if the broker cannot be reached or refuses; its text says which and what to check.
        """

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publishes messages in their order, and returns when the broker has them.

        Args:
            messages: channels and messages.

        Raises:
            BrokerError: if the broker has not taken all of them; it may have taken some.
        """

    async def receive(self) -> Sequence[bytes]:
        """Waits for messages on the channels, and returns those that are there, at least one.

        Raises:
            BrokerError: if the connection is lost; also at once in each later call.
        """

    async def close(self) -> None:
        """Ends the connection; never raises."""
