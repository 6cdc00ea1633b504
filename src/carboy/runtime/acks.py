"""What waits for acknowledgements: a callback, or a thread or coroutine inside `call`.

An acknowledgement is answered or lost, once for each recipient: answered by the client, lost at its timeout or when the
client leaves. Everything here happens on the loop (for in-memory clients in the caller's thread).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from carboy.exceptions import TimeoutError
from carboy.runtime.client import CONNECTED, CONNECTING, Client
from carboy.runtime.message import Message

Answered = Callable[[Client, list[Any]], None]
Lost = Callable[["Client | None", str], None]

TIMED_OUT = "the time is up"
LEFT = "the client has left"
NOBODY = "nobody is there to answer"


class Ack:
    """One emit whose recipients are asked to acknowledge it.

    Args:
        number: the id on the wire.
        answered: called with each client that answers and its arguments.
        lost: called with each client that will not answer any more and the reason.
        timeout: seconds, None for no limit.
    """

    __slots__ = ("_answered", "_lost", "_waiting", "due_tick", "number", "timeout")

    def __init__(self, number: int, answered: Answered, lost: Lost, timeout: float | None) -> None:
        self.number = number
        self.timeout = timeout
        self.due_tick = -1
        self._answered = answered
        self._lost = lost
        self._waiting: list[Client] = []

    def send(self, recipients: tuple[Client, ...], message: Message) -> None:
        """Sends the message to every recipient and waits for each of them."""
        if not recipients:
            self._lost(None, NOBODY)
        for client in recipients:
            if client.state is not CONNECTED and client.state is not CONNECTING:
                self._lost(client, LEFT)
                continue
            if client.acks is None:
                client.acks = {}
            client.acks[self.number] = self
            self._waiting.append(client)
            client.send(message)

    def answer(self, client: Client, arguments: list[Any]) -> None:
        """Takes a client's answer; it is no longer in the client's `acks`."""
        self._waiting.remove(client)
        self._answered(client, arguments)

    def lose(self, client: Client, why: str) -> None:
        """Gives up on one client; it is no longer in the client's `acks`."""
        self._waiting.remove(client)
        self._lost(client, why)

    def expire(self, now: float) -> float | None:
        """Gives up on every client that has not answered (called by the timer wheel)."""
        for client in tuple(self._waiting):
            if client.acks is not None and client.acks.pop(self.number, None) is self:
                self.lose(client, TIMED_OUT)
        return None


def answer_ack(client: Client, number: int | None, arguments: list[Any]) -> None:
    """Hands an acknowledgement from a client to what waits for it; an unknown number is ignored, as Node does."""
    if client.acks and number is not None and (ack := client.acks.pop(number, None)) is not None:
        ack.answer(client, arguments)


def lose_acks(client: Client) -> None:
    """Gives up on everything that waits for a client that leaves."""
    acks, client.acks = client.acks, None
    for ack in (acks or {}).values():
        ack.lose(client, LEFT)


class Answer:
    """The first answer to a `call`, for one thread that waits or one callback that is told.

    Args:
        event: the name of the event, for the error.
        settled: called once, in the loop's thread, when `result` can be had.
    """

    def __init__(self, event: object, settled: Callable[[], None] | None = None) -> None:
        self._event = event
        self._settled = settled or (lambda: None)
        self._done = threading.Event()
        self._arguments: list[Any] | None = None
        self._why = TIMED_OUT
        self._lost = 0
        self._expected: int | None = None

    def expect(self, recipients: int) -> None:
        """Learns how many clients were asked: with the last of them lost there can be no answer."""
        self._expected = recipients
        self._give_up_if_hopeless()

    def answered(self, client: Client, arguments: list[Any]) -> None:
        """Takes a client's answer; only the first counts."""
        if not self._done.is_set():
            self._arguments = arguments
            self._finish()

    def lost(self, client: Client | None, why: str) -> None:
        """Counts a client that will not answer."""
        self._lost += 1
        self._why = why
        self._give_up_if_hopeless()

    def wait(self, timeout: float | None) -> None:
        """Blocks the thread until there is an answer or there can be none."""
        self._done.wait(timeout)

    def result(self) -> list[Any]:
        """Returns the arguments of the acknowledgement.

        Raises:
            TimeoutError: if none came.
        """
        if self._arguments is None:
            raise TimeoutError(f"no acknowledgement of the event {self._event!r}: {self._why}")
        return self._arguments

    def _give_up_if_hopeless(self) -> None:
        if self._expected is not None and self._lost >= self._expected and not self._done.is_set():
            self._finish()

    def _finish(self) -> None:
        self._done.set()
        self._settled()
