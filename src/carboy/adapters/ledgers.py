"""The ledgers of one node: what it has sent, what it has heard from each other, and what it asks for again.

A message goes out with the keys "from", "seq" and, if it is for one node alone, "direct"; a message of a
process that has no ledger, one of Flask-SocketIO, passes as it is. Three methods are the ledgers' own:

    hello   a node is there, and how far its counts have come ("seq", "own" for what is for the reader alone)
    resend  the sender is asked for what it has sent, "first" to "last"
    gone    the sender has nothing before "first" any more

It does not know a broker or a clock: what is to be sent is returned, `now` comes in.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec
import orjson

from carboy.adapters.ledger import Heard, Sent

Answer = tuple["str | None", bytes]
"""A message to be sent without a number: the node that it is for, None for all."""


class _Stamp(msgspec.Struct):
    """What the ledgers read of a message."""

    method: str = ""
    sender: str | None = msgspec.field(name="from", default=None)
    seq: int | None = None
    direct: bool = False
    own: int = 0
    first: int = 0
    last: int = 0
    answer: bool = False
    listens: bool = False


_read_stamp = msgspec.json.Decoder(_Stamp).decode


class Ledgers:
    """What one node remembers of the messages between it and the others.

    Args:
        node: its name.
        max_messages: messages that are kept for each count, at most.
        max_bytes: bytes that they have together.
    """

    def __init__(self, node: str, max_messages: int, max_bytes: int) -> None:
        self._node = node
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._sent: dict[str | None, Sent] = {None: Sent(max_messages, max_bytes)}
        self._heard: defaultdict[tuple[str, bool], Heard] = defaultdict(Heard)
        self._nodes: frozenset[str] = frozenset()

    # Out

    def stamp(self, message: bytes, node: str | None) -> bytes:
        """Numbers a message, and keeps it.

        Args:
            message: a JSON object that is not empty.
            node: whom it is for, None for all.

        Returns:
            What is to be sent.
        """
        sent = self._sent.get(node)
        if sent is None:
            sent = self._sent[node] = Sent(self._max_messages, self._max_bytes)
        number = sent.next_number()
        direct = b"" if node is None else b'"direct":true,'
        stamped = b'{"from":"%b","seq":%d,%b%b' % (self._node.encode(), number, direct, message[1:])
        sent.keep(number, stamped)
        return stamped

    def hello(self, *, listens: bool = False, answer_to: str | None = None) -> bytes:
        """Returns the message that this node is there.

        Args:
            listens: whether it listens, so that queries wait for it.
            answer_to: the node whose hello it answers.
        """
        own = self._sent[answer_to].last if answer_to in self._sent and answer_to is not None else 0
        last, answer = self._sent[None].last, answer_to is not None
        return self._message("hello", seq=last, own=own, listens=listens, answer=answer)

    # In

    def take(self, data: bytes, now: float, *, listens: bool) -> tuple[list[bytes], list[Answer]]:
        """Takes what came.

        Args:
            data: the message.
            now: seconds of any clock.
            listens: whether this node listens.

        Returns:
            The messages to be delivered, and those to be sent.
        """
        try:
            stamp = _read_stamp(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return [data], []  # whoever reads it as a whole says what is wrong
        if stamp.sender is None or stamp.seq is None:
            return [data], []
        if stamp.sender == self._node:
            return [], []
        if stamp.method == "hello":
            return [], self._greeted(stamp.sender, stamp, now, listens=listens)
        if stamp.method == "resend":
            return [], self._again(stamp.sender, stamp)
        heard = self._heard[stamp.sender, stamp.direct]
        if stamp.method == "gone":
            delivered = heard.skip(stamp.first, now)
        else:
            delivered = heard.take(stamp.seq, data, now)
        return delivered, self._ask(stamp.sender, direct=stamp.direct)

    def tick(self, now: float) -> tuple[list[bytes], list[Answer]]:
        """Asks again for what is missing, and gives up on what has been missing for too long.

        Args:
            now: seconds of the same clock.

        Returns:
            As `take`.
        """
        delivered: list[bytes] = []
        answers: list[Answer] = []
        for (sender, direct), heard in tuple(self._heard.items()):
            if heard.is_overdue(now):
                delivered += heard.give_up(now)
            heard.asked = None
            answers += self._ask(sender, direct=direct)
        return delivered, answers

    @property
    def missed(self) -> int:
        """Messages of other nodes that never came."""
        return sum(heard.lost for heard in self._heard.values())

    # Who is there

    def nodes(self) -> frozenset[str]:
        """Returns the other nodes that listen."""
        return self._nodes

    def forget(self, node: str) -> None:
        """Forgets a node and what concerns it; one that is heard again is known again."""
        self._nodes -= {node}
        self._sent.pop(node, None)
        for direct in (False, True):
            self._heard.pop((node, direct), None)

    def _greeted(self, sender: str, stamp: _Stamp, now: float, *, listens: bool) -> list[Answer]:
        if stamp.listens:
            self._nodes |= {sender}
        self._heard[sender, False].note(stamp.seq or 0, now)
        if stamp.answer:
            self._heard[sender, True].note(stamp.own, now)
        asked = [*self._ask(sender, direct=False), *self._ask(sender, direct=True)]
        return asked if stamp.answer else [(sender, self.hello(listens=listens, answer_to=sender)), *asked]

    def _ask(self, sender: str, *, direct: bool) -> list[Answer]:
        heard = self._heard.get((sender, direct))
        missing = None if heard is None else heard.missing()
        if heard is None or missing is None or missing == heard.asked:
            return []
        heard.asked = missing
        first, last = missing
        return [(sender, self._message("resend", seq=0, first=first, last=last, direct=direct))]

    def _again(self, reader: str, stamp: _Stamp) -> list[Answer]:
        sent = self._sent.get(reader if stamp.direct else None)
        first, messages = (stamp.last + 1, []) if sent is None else sent.again(stamp.first, stamp.last)
        answers: list[Answer] = [(reader, message) for message in messages]
        if first > stamp.first:
            answers.insert(0, (reader, self._message("gone", seq=0, first=first, direct=stamp.direct)))
        return answers

    def _message(self, method: str, **keys: int | bool) -> bytes:
        return orjson.dumps({"method": method, "from": self._node, **keys})
