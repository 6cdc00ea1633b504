"""The output of one connection: what gathers in a round leaves in one write, and what piles up is counted.

It is the base of `Connection`, not a part of it: one lives for each client, and it is on the path of each
message. Everything here happens in the loop's thread.
"""

from __future__ import annotations

from typing import Protocol

from carboy.config import Config
from carboy.runtime.hub import Hub
from carboy.runtime.message import Message


class Transport(Protocol):
    """What carries the packets of a session.

    Attributes:
        name: "polling" or "websocket".
    """

    name: str

    def write(self, messages: list[Message]) -> bool:
        """Writes messages in one go; False if they cannot leave now and have to be kept."""

    def backlog(self) -> int:
        """Returns the bytes that were written but have not left."""

    def close(self, code: int) -> None:
        """Closes cleanly, with an RFC 6455 close code where there is one."""

    def release(self) -> None:
        """Lets the peer's request return, because the session has ended or moved to a websocket."""

    def hurry(self) -> None:
        """Lets the peer's request return, because an upgrade waits for it."""

    def pause_reading(self) -> None:
        """Reads nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Reads again."""


class Output:
    """What waits for one client, within the bound of the option `max_output_bytes`.

    Args:
        hub: which flushes at the end of a round.
        config: the options.

    Attributes:
        transport: what carries the packets; None before the opening and after the end.
    """

    __slots__ = ("_backlog", "_config", "_hub", "_pending", "_stalled", "transport")

    def __init__(self, hub: Hub, config: Config) -> None:
        self._hub = hub
        self._config = config
        self.transport: Transport | None = None
        self._pending: list[Message] = []
        self._stalled = False
        self._backlog = 0

    @property
    def pending(self) -> list[Message]:
        """The output that has not been written."""
        return self._pending

    @property
    def stalled(self) -> bool:
        """Whether output waits for the transport."""
        return self._stalled

    def send(self, message: Message) -> None:
        """Puts a message into the output of this round; all of it leaves in one write."""
        if self._stalled and not self._admit(message):
            return
        if not self._pending:
            self._hub.cork(self)
        self._pending.append(message)

    def flush(self) -> None:
        """Writes what has gathered, if the transport takes it now."""
        pending = self._pending
        if pending and self.transport is not None:
            self._pending = []  # a transport that stalls in this very write counts them itself
            if not self.transport.write(pending):
                self._pending = pending
                self.stall()

    def output_taken(self) -> None:
        """Notes that a poll took what had gathered."""
        self._pending = []

    def stall(self) -> None:
        """Counts output from here on, because the transport does not take it as fast as it comes."""
        self._stalled = True
        self._backlog = self._count_backlog()
        if self._backlog > self._config.max_output_bytes:
            self.overflow()

    def unstall(self) -> None:
        """Stops counting: the transport has caught up."""
        self._stalled = False

    def overflow(self) -> None:
        """Ends the session, because its client has fallen behind too far."""
        raise NotImplementedError

    def _admit(self, message: Message) -> bool:
        if message.volatile:
            return False
        self._backlog += message.size
        if self._backlog > self._config.max_output_bytes:
            self._backlog = (
                self._count_backlog() + message.size
            )  # exact, since the transport has gone on writing
            if self._backlog > self._config.max_output_bytes:
                self.overflow()
                return False
        return True

    def _count_backlog(self) -> int:
        written = 0 if self.transport is None else self.transport.backlog()
        return written + sum(message.size for message in self._pending)
