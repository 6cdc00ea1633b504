"""Long polling: a GET waits for output, a POST brings input.

A front end gives requests in and is called back with the bodies; this module knows no HTTP beyond that.
Everything happens in the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from carboy.engineio.packets import CLOSE_PACKET
from carboy.engineio.payloads import decode_payload, encode_payload
from carboy.exceptions import PacketError, RemoteError
from carboy.runtime.connection import Connection
from carboy.runtime.message import Message

Answer = Callable[[bytes], None]


class PollingTransport:
    """What carries a session over polling.

    Args:
        connection: the connection whose session it is.
        max_bytes: bytes of one POST.
        max_packets: packets in one POST.
    """

    __slots__ = ("_answer", "_connection", "_max_bytes", "_max_packets", "_posted", "_posting")

    name = "polling"

    def __init__(self, connection: Connection, max_bytes: int, max_packets: int) -> None:
        self._connection = connection
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._answer: Answer | None = None
        self._posting = False
        self._posted: asyncio.Future[None] | None = None

    # Requests

    def poll(self, answer: Answer) -> None:
        """Takes a GET.

        Args:
            answer: called once with the body, at once or when there is output.

        Raises:
            PacketError: if another GET waits; the session is over, and that one has its answer.
        """
        if self._answer is not None:
            self._overlap("a second poll while one waits")
        self._answer = answer
        self._connection.unstall()
        self._respond(self._connection.pending)

    def poll_lost(self, answer: Answer) -> None:
        """Takes note that the peer has given up a GET, which ends the session (Node behaviour)."""
        if self._answer is answer:
            self._answer = None
            self._connection.transport_lost(self, "transport error")

    def begin_post(self) -> None:
        """Takes note of a POST whose body is still to come.

        Raises:
            PacketError: if another POST is under way; the session is over.
        """
        if self._posting:
            self._overlap("a second post while one is under way")
        self._posting = True

    def end_post(self) -> None:
        """Takes note that a POST has its answer."""
        self._posting = False

    def post(self, body: bytes) -> asyncio.Future[None] | None:
        """Takes the body of a POST.

        Args:
            body: the payload.

        Returns:
            None if the answer may go out; while the client is not to be read, what is done when it may.

        Raises:
            RemoteError: if it breaks the rules; the session is over.
        """
        connection = self._connection
        try:
            packets = decode_payload(body, max_bytes=self._max_bytes, max_packets=self._max_packets)
        except RemoteError as error:
            connection.violate(error)
            raise
        for binary, packet in packets:
            if connection.session.closed:
                break
            if binary:
                connection.receive_binary(packet)
            else:
                connection.receive_text(packet)
        if connection.failure is not None:
            raise connection.failure
        if connection.paused and connection.transport is self and not connection.session.closed:
            self._posted = asyncio.get_running_loop().create_future()
        return self._posted

    def _overlap(self, what: str) -> None:
        error = PacketError(what)
        self._connection.violate(error)
        raise error

    # The port `Transport`

    def write(self, messages: list[Message]) -> bool:
        """Answers the poll that waits; False if none does."""
        if self._answer is None:
            return False
        self._respond(messages)
        return True

    def backlog(self) -> int:
        """Returns 0: what has not left is still with the connection."""
        return 0

    def close(self, code: int) -> None:
        """Tells the peer of the end in the answer to its poll, if one waits."""
        self.resume_reading()
        if self._answer is not None:
            if self._connection.session.closing:
                self._respond([])
            else:
                self._give(CLOSE_PACKET)

    def release(self) -> None:
        """Lets a poll that waits return with nothing."""
        self.resume_reading()
        self._give(NOOP)

    def hurry(self) -> None:
        """Lets a poll that waits return with nothing, because an upgrade waits for it."""
        self._give(NOOP)

    def pause_reading(self) -> None:
        """Holds the answer to the POST that is under way back; the client sends no other before it."""

    def resume_reading(self) -> None:
        """Lets the POST return whose answer was held back."""
        posted, self._posted = self._posted, None
        if posted is not None and not posted.done():
            posted.set_result(None)

    def _respond(self, messages: list[Message]) -> None:
        connection = self._connection
        output = [packet for message in messages for packet in message.packets()]
        packets = connection.session.poll_answer(output)
        if packets is not None:
            connection.output_taken()
            self._give(encode_payload(packets))
            if connection.session.closing:
                connection.close_heard()

    def _give(self, body: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(body)


NOOP = b"6"
