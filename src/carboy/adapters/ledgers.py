"""The ledgers of one node: what it has sent, what it has heard from each other, and what it asks for again.

A message goes out with the keys "from", "seq" and, if it is for one node alone, "direct"; a message of a
process that has no ledger, one of Flask-SocketIO, passes as it is. Four methods are the ledgers' own:

    hello   a node is there, and how far its counts have come ("seq", "own" for what is for the reader alone)
    bye     a node ends, which had come so far ("seq")
    resend  the sender is asked for what it has sent, "first" to "last"
    gone    the sender has nothing before "first" any more

It does not know a broker, a clock or a lock: what is to be sent is returned, `now` comes in, and one thread
at a time may be in it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import orjson

from carboy.adapters.ledger import Heard, Sent

Answer = tuple["str | None", bytes]
"""A message to be sent without a number: the node that it is for, None for all."""

Taken = tuple["list[bytes]", "list[Answer]"]
"""Messages to be delivered, and those to be sent."""

GREETING = 60
"""Ticks after which a node says that it is still there."""

FORGOTTEN = 5 * GREETING
"""Ticks after which a node that was not heard counts as ended."""


Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class _Stamp(msgspec.Struct):
    """What the ledgers read of a message."""

    method: str = ""
    sender: str | None = msgspec.field(name="from", default=None)
    seq: Number | None = None
    direct: bool = False
    own: Number | None = None
    first: Number = 0
    last: Number = 0
    answer: bool = False
    listens: bool = False


_read_stamp = msgspec.json.Decoder(_Stamp).decode


class _Peer:
    """What is known of one other node."""

    __slots__ = ("heard", "listens", "sent", "silent", "ticks")

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.heard = [Heard(), Heard()]  # of what is for all, of what is for this node alone
        self.listens = False
        self.silent = False
        self.ticks = 0  # since it was heard


class Ledgers:
    """What one node remembers of the messages between it and the others.

    Args:
        node: its name.
        max_messages: messages that are kept for each count, at most.
        max_bytes: bytes that they have together.

    Attributes:
        echoes: messages of this node itself that have come back.
    """

    def __init__(self, node: str, max_messages: int, max_bytes: int) -> None:
        self._node = node
        self._bounds = (max_messages, max_bytes)
        self._sent = Sent(*self._bounds)
        self._peers: dict[str, _Peer] = {}
        self._listens = False
        self._ticks = 0  # since the last greeting
        self._first = 0  # where counts for single nodes begin: after all those that are forgotten
        self._lost_of_forgotten = 0
        self.echoes = 0

    # Out

    def stamp(self, message: bytes, node: str | None) -> bytes:
        """Numbers a message, and keeps it.

        Args:
            message: a JSON object that is not empty.
            node: whom it is for, None for all.

        Returns:
            What is to be sent.
        """
        sent = self._sent if node is None else self._peer(node).sent
        direct = b"" if node is None else b'"direct":true,'
        stamped = b'{"from":"%b","seq":%d,%b%b' % (self._node.encode(), sent.last + 1, direct, message[1:])
        sent.keep(stamped)
        return stamped

    def drop(self, message: bytes) -> None:
        """Forgets a message that cannot be sent, whoever it is for."""
        for sent in (self._sent, *(peer.sent for peer in self._peers.values())):
            sent.drop(message)

    def hello(self) -> bytes:
        """Returns the message that this node is there, which is to be answered."""
        return self._message("hello", seq=self._sent.last, listens=self._listens)

    def bye(self) -> bytes:
        """Returns the message that this node ends."""
        return self._message("bye", seq=self._sent.last)

    def connected(self, now: float, *, listens: bool) -> list[Answer]:
        """Takes note of a new connection, over which nothing has come yet.

        Args:
            now: seconds of any clock.
            listens: whether it brings what is for all.

        Returns:
            What is to be sent behind what waits already.
        """
        if listens and not self._listens:
            for peer in self._peers.values():
                peer.heard[False] = Heard()  # what was for all before was not for this node
        self._listens = listens
        hello, self._ticks = self.hello(), 0
        answers: list[Answer] = [(None, hello)]
        for name, peer in self._peers.items():
            if not peer.listens:  # the one for all does not reach it
                answers.append((name, hello))
            for heard in peer.heard:
                heard.resume(now)
            answers += self._ask(name, peer)
        return answers

    # In

    def take(self, data: bytes, now: float) -> Taken:
        """Takes what came.

        Args:
            data: the message.
            now: seconds of the same clock.

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
            self.echoes += 1
            return [], []
        peer = self._peer(stamp.sender)
        peer.ticks, peer.silent = 0, False
        own = _OWN.get(stamp.method)
        if own is not None:
            return own(self, stamp.sender, peer, stamp, now)
        return peer.heard[stamp.direct].take(stamp.seq, data, now), self._ask(stamp.sender, peer)

    def tick(self, now: float) -> Taken:
        """Asks again for what is missing, gives up on what has been missing for too long, and on dead nodes.

        Called once a second while there is a connection: the time without one is nobody's silence.

        Args:
            now: seconds of the same clock.

        Returns:
            As `take`.
        """
        delivered: list[bytes] = []
        answers: list[Answer] = []
        for name, peer in tuple(self._peers.items()):
            peer.ticks += 1
            if peer.ticks >= FORGOTTEN:
                delivered += self._end(name, peer, now)
                continue
            for heard in peer.heard:
                delivered += heard.tick(now)
            answers += self._ask(name, peer)
        self._ticks += 1
        if self._ticks >= GREETING:
            self._ticks = 0
            keys = {"seq": self._sent.last, "listens": self._listens, "answer": True}
            answers.append((None, self._message("hello", **keys)))
        return delivered, answers

    @property
    def missed(self) -> int:
        """Messages of other nodes that never came."""
        lost = sum(heard.lost for peer in self._peers.values() for heard in peer.heard)
        return self._lost_of_forgotten + lost

    # Who is there

    def nodes(self) -> frozenset[str]:
        """Returns the other nodes that listen."""
        return frozenset(name for name, peer in self._peers.items() if peer.listens and not peer.silent)

    def forget(self, node: str) -> None:
        """Takes a node out of `nodes` until it is heard again; the counts go on, since it may be alive."""
        if node in self._peers:
            self._peers[node].silent = True

    def _peer(self, node: str) -> _Peer:
        peer = self._peers.get(node)
        if peer is None:
            peer = self._peers[node] = _Peer(Sent(*self._bounds, self._first))
        return peer

    # The methods of the ledgers

    def _greeted(self, sender: str, peer: _Peer, stamp: _Stamp, now: float) -> Taken:
        peer.listens = stamp.listens
        self._note(peer, stamp, now)
        if stamp.own is not None:
            peer.heard[True].note(stamp.own, now)
        asked = self._ask(sender, peer)
        if stamp.answer:
            return [], asked
        keys = {"seq": self._sent.last, "own": peer.sent.last, "listens": self._listens, "answer": True}
        return [], [(sender, self._message("hello", **keys)), *asked]

    def _left(self, sender: str, peer: _Peer, stamp: _Stamp, now: float) -> Taken:
        self._note(peer, stamp, now)
        return self._end(sender, peer, now), []

    def _again(self, sender: str, peer: _Peer, stamp: _Stamp, now: float) -> Taken:
        sent = peer.sent if stamp.direct else self._sent
        first, messages = sent.again(stamp.first, stamp.last)
        answers: list[Answer] = [(sender, message) for message in messages]
        if first > stamp.first:
            answers.insert(0, (sender, self._message("gone", seq=0, first=first, direct=stamp.direct)))
        return [], answers

    def _gone(self, sender: str, peer: _Peer, stamp: _Stamp, now: float) -> Taken:
        return peer.heard[stamp.direct].skip(stamp.first, now), self._ask(sender, peer)

    def _note(self, peer: _Peer, stamp: _Stamp, now: float) -> None:
        if self._listens and stamp.seq is not None:
            peer.heard[False].note(stamp.seq, now)

    def _end(self, name: str, peer: _Peer, now: float) -> list[bytes]:
        """Forgets a node for good, and returns what of it has waited for something earlier."""
        delivered = [message for heard in peer.heard for message in heard.end(now)]
        self._lost_of_forgotten += sum(heard.lost for heard in peer.heard)
        self._first = max(self._first, peer.sent.last)
        del self._peers[name]
        return delivered

    def _ask(self, sender: str, peer: _Peer) -> list[Answer]:
        asked: list[Answer] = []
        for direct in (False, True):
            missing = peer.heard[direct].to_ask()
            if missing is not None:
                keys = {"first": missing[0], "last": missing[1], "direct": direct}
                asked.append((sender, self._message("resend", seq=0, **keys)))
        return asked

    def _message(self, method: str, **keys: int | bool) -> bytes:
        return orjson.dumps({"method": method, "from": self._node, **keys})


_OWN = {
    "hello": Ledgers._greeted,  # noqa: SLF001
    "bye": Ledgers._left,  # noqa: SLF001
    "resend": Ledgers._again,  # noqa: SLF001
    "gone": Ledgers._gone,  # noqa: SLF001
}
