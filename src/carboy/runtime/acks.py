"""What waits for acknowledgements: a callback, or a thread or coroutine inside `call`.

An acknowledgement is answered or lost, once for each recipient: answered by the client, lost at its timeout
or when the client leaves. Everything here happens on the loop (for in-memory clients in the caller's thread).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from carboy.exceptions import TimeoutError
from carboy.runtime.client import CONNECTED, CONNECTING, Client
from carboy.runtime.hub import Hub
from carboy.runtime.message import Message

Answered = Callable[["Client | None", list[Any]], None]
Lost = Callable[["Client | None", str], None]

TIMED_OUT = "the time is up"
LEFT = "the client has left"
NOBODY = "nobody is there to answer"
TOO_MANY = "the client owes too many answers"


class Ack:
    """One emit whose recipients are asked to acknowledge it.

    Args:
        hub: which has the timers.
        number: the id on the wire.
        answered: called with each client that answers and its arguments.
        lost: called with each client that will not answer any more and the reason.
        max_acks: acknowledgements that one client may owe; the one that is owed longest is then given up.

    Attributes:
        number: the id on the wire.
    """

    __slots__ = ("_answered", "_hub", "_lost", "_max_acks", "_waiting", "due_tick", "number")

    def __init__(
        self, hub: Hub, number: int, answered: Answered, lost: Lost, max_acks: int = sys.maxsize
    ) -> None:
        self._max_acks = max_acks
        self.number = number
        self.due_tick = -1
        self._hub = hub
        self._answered = answered
        self._lost = lost
        self._waiting: dict[Client, None] = {}

    def send(self, client: Client, message: Message) -> None:
        """Sends the message to one recipient and waits for it."""
        if client.state is not CONNECTED and client.state is not CONNECTING:
            self._lost(client, LEFT)
            return
        if client.acks is None:
            client.acks = {}
        elif len(client.acks) >= self._max_acks:
            client.connection.tell_bound("max_acks", "does not acknowledge what it is sent")
            oldest = next(iter(client.acks))
            client.acks.pop(oldest).lose(client, TOO_MANY)
        client.acks[self.number] = self
        self._waiting[client] = None
        if client.connection.paused:
            client.connection.review()  # its answer has to be read
        client.send(message)

    def start_timeout(self, timeout: float) -> None:
        """Gives those that were asked so many seconds from now."""
        if self._waiting:
            self._hub.schedule(self, self._hub.now() + timeout)

    def answer(self, client: Client, arguments: list[Any]) -> None:
        """Takes a client's answer; it is no longer in the client's `acks`."""
        self._settle(client)
        self._answered(client, arguments)

    def lose(self, client: Client, why: str) -> None:
        """Gives up on one client; it is no longer in the client's `acks`."""
        self._settle(client)
        self._lost(client, why)

    def give_up(self) -> None:
        """Gives up on every client that has not answered."""
        for client in tuple(self._waiting):
            if client.acks is not None and client.acks.pop(self.number, None) is self:
                self.lose(client, TIMED_OUT)

    def expire(self, now: float) -> float | None:
        """Gives up, because the time is over (called by the timer wheel)."""
        self.give_up()
        return None

    def _settle(self, client: Client) -> None:
        del self._waiting[client]
        if not self._waiting:
            self._hub.timers.cancel(self)


def answer_ack(client: Client, number: int | None, arguments: list[Any]) -> None:
    """Hands an acknowledgement to what waits for it; an unknown number is ignored (Node behaviour)."""
    if client.acks and number is not None and (ack := client.acks.pop(number, None)) is not None:
        ack.answer(client, arguments)


def lose_acks(client: Client) -> None:
    """Gives up on everything that waits for a client that leaves."""
    acks, client.acks = client.acks, None
    for ack in (acks or {}).values():
        ack.lose(client, LEFT)


class Answer:
    """The first answer to a `call`, for one thread that waits or one coroutine that is told.

    The loop writes and the waiting thread reads: the arguments are there before `settled` is True.

    Args:
        event: the name of the event, for the error.
        expected: how many clients are asked; with the last of them lost there can be no answer.
        notify: called in the loop's thread when `result` can be had.
    """

    def __init__(self, event: object, expected: int, notify: Callable[[], None] | None = None) -> None:
        self._event = event
        self._expected = expected
        self._notify = notify
        self._settled = threading.Event()
        self._arguments: list[Any] | None = None
        self._why = TIMED_OUT

    @property
    def settled(self) -> bool:
        """Whether there is an answer, or can be none any more."""
        return self._settled.is_set()

    def answered(self, client: Client | None, arguments: list[Any]) -> None:
        """Takes a client's answer; only the first counts."""
        if not self._settled.is_set():
            self._arguments = arguments
            self._settle()

    def lost(self, client: Client | None, why: str) -> None:
        """Counts a client that will not answer."""
        self._expected -= 1
        if self._expected <= 0 and not self._settled.is_set():
            self._why = why
            self._settle()

    def wait(self, timeout: float | None) -> None:
        """Blocks the thread until there is an answer or there can be none, for so many seconds at most."""
        self._settled.wait(timeout)

    def result(self) -> list[Any]:
        """Returns the arguments of the acknowledgement.

        Raises:
            TimeoutError: if none came.
        """
        if self._arguments is None:
            raise TimeoutError(f"no acknowledgement of the event {self._event!r}: {self._why}")
        return self._arguments

    def _settle(self) -> None:
        self._settled.set()
        if self._notify is not None:
            self._notify()
