"""Nodes that share an unreliable broker: what they deliver, ask for, and remember of one another."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.adapters.ledgers import FORGOTTEN, GREETING, Ledgers


class Cluster:
    """Nodes whose messages go through a broker that the test controls.

    Attributes:
        heard: what each node has delivered.
        away: the nodes that miss what is published.
        sent: the method and the reader of each message without a number.
    """

    def __init__(self, *names: str, kept: int = 1000, deaf: str = "") -> None:
        self.now = 0.0
        self.nodes = {name: Ledgers(name, kept, 1_000_000) for name in names}
        self.deaf = deaf
        self.heard: dict[str, list[str]] = {name: [] for name in names}
        self.away: set[str] = set()
        self.sent: list[tuple[str, str | None]] = []
        self.wires: deque[tuple[str, str | None, bytes]] = deque()
        for name in names:
            self.connect(name)

    def connect(self, name: str) -> None:
        """Connects a node, with all that follows."""
        self.away.discard(name)
        self.put(name, self.nodes[name].connected(self.now, listens=name != self.deaf))
        self.carry()

    def say(self, sender: str, text: str, to: str | None = None) -> None:
        """Sends a message, with all that follows."""
        self.wires.append(
            (sender, to, self.nodes[sender].stamp(b'{"method":"x","text":"%b"}' % text.encode(), to))
        )
        self.carry()

    def put(self, sender: str, answers: list[tuple[str | None, bytes]]) -> None:
        """Sends messages without a number."""
        for to, message in answers:
            self.sent.append((msgspec.json.decode(message)["method"], to))
            self.wires.append((sender, to, message))

    def carry(self) -> None:
        """Brings everything where it belongs."""
        while self.wires:
            _, to, message = self.wires.popleft()
            for name in self.nodes:
                if name not in self.away and (name == to or (to is None and name != self.deaf)):
                    self.take(name, message)

    def take(self, name: str, message: bytes) -> None:
        """Has one node take a message."""
        delivered, answers = self.nodes[name].take(message, self.now)
        self.heard[name] += [msgspec.json.decode(each)["text"] for each in delivered]
        self.put(name, answers)

    def tick(self, count: int = 1) -> None:
        """Lets seconds go by at all nodes."""
        for _ in range(count):
            self.now += 1
            for name, ledgers in self.nodes.items():
                delivered, answers = ledgers.tick(self.now)
                self.heard[name] += [msgspec.json.decode(each)["text"] for each in delivered]
                self.put(name, answers)
            self.carry()


def test_nodes_know_one_another_and_pass_what_is_new() -> None:
    """Each greets, each is greeted; what is for all comes to all but its sender."""
    cluster = Cluster("a", "b", "c")
    assert cluster.nodes["a"].nodes() == {"b", "c"}
    cluster.say("a", "1")
    cluster.say("a", "2", "b")
    assert cluster.heard == {"a": [], "b": ["1", "2"], "c": ["1"]}
    assert cluster.nodes["a"].echoes > 0


@pytest.mark.parametrize("reader", [None, "b"])
@pytest.mark.parametrize("ends_with_another", [True, False])
def test_missed_messages_come_again(reader: str | None, ends_with_another: bool) -> None:
    """Shown by the next message or by the greeting after a cut, in both counts; all in order."""
    cluster = Cluster("a", "b")
    cluster.say("a", "1", reader)
    cluster.away.add("b")
    for text in "234":
        cluster.say("a", text, reader)
    if ends_with_another:
        cluster.away.discard("b")
        cluster.say("a", "5", reader)
    else:
        cluster.connect("b")
    assert cluster.heard["b"] == list("12345" if ends_with_another else "1234")
    assert cluster.nodes["b"].missed == 0
    assert [method for method, _ in cluster.sent].count("resend") == 1


def test_last_message_that_was_missed_shows_within_a_greeting() -> None:
    """A sender that has nothing more to say tells from time to time how far it has come."""
    cluster = Cluster("a", "b")
    cluster.away.add("b")
    cluster.say("a", "1")
    cluster.away.discard("b")
    cluster.tick(GREETING)
    assert cluster.heard["b"] == ["1"]


def test_what_is_beyond_the_bound_is_counted() -> None:
    """The sender says that it is gone, and nobody waits for it."""
    cluster = Cluster("a", "b", kept=2)
    cluster.away.add("b")
    for text in "12345":
        cluster.say("a", text)
    cluster.connect("b")
    assert (cluster.heard["b"], cluster.nodes["b"].missed) == (["4", "5"], 3)


def test_silent_node_is_forgotten_without_losing_what_comes_next() -> None:
    """A node that only was too busy to answer hears the next message for it alone, and is known again."""
    cluster = Cluster("a", "b")
    for text in "123":
        cluster.say("a", text, "b")
    cluster.nodes["a"].forget("b")
    assert cluster.nodes["a"].nodes() == frozenset()
    cluster.say("a", "4", "b")
    assert cluster.heard["b"] == list("1234")
    cluster.say("b", "x")
    assert cluster.nodes["a"].nodes() == {"b"}


def test_short_lived_nodes_leave_nothing_behind() -> None:
    """Those that say farewell are forgotten at once, what of theirs was missing counted; others later."""
    cluster = Cluster("a", "b")
    for number in range(20):
        script = Ledgers(f"script {number}", 10, 1000)
        cluster.take("a", script.hello())
        cluster.take("a", script.stamp(b'{"method":"x","text":"y"}', None))
        script.stamp(b'{"method":"x","text":"z"}', None)
        if number % 2:
            cluster.take("a", script.bye())
    assert len(cluster.nodes["a"]._peers) == 11
    assert cluster.nodes["a"].missed == 10
    cluster.tick(FORGOTTEN)
    assert set(cluster.nodes["a"]._peers) == {"b"}
    assert cluster.nodes["a"].nodes() == {"b"}


def test_count_for_a_forgotten_node_does_not_begin_again() -> None:
    """A node that was cut off for long takes the next message for it as new."""
    cluster = Cluster("a", "b")
    for text in "123":
        cluster.say("a", text, "b")
    cluster.away.add("b")
    for _ in range(FORGOTTEN):
        cluster.nodes["a"].tick(0)
    assert not cluster.nodes["a"]._peers
    cluster.away.discard("b")
    cluster.say("a", "4", "b")
    assert cluster.heard["b"] == list("1234")


def test_who_begins_to_listen_gets_nothing_from_before() -> None:
    """What was for all while it did not listen was not for it."""
    cluster = Cluster("a", "b", deaf="b")
    cluster.say("a", "1")
    cluster.connect("b")
    cluster.say("a", "2")
    assert cluster.nodes["a"].nodes() == frozenset()
    cluster.deaf = ""
    cluster.connect("b")
    cluster.say("a", "3")
    assert cluster.heard["b"] == ["3"]
    assert cluster.nodes["a"].nodes() == {"b"}
    cluster.deaf = "b"  # it has closed, and begun again without listening
    cluster.connect("b")
    cluster.say("a", "4")
    cluster.deaf = ""
    cluster.connect("b")
    cluster.say("a", "5")
    assert cluster.heard["b"] == ["3", "5"]


def test_reconnected_node_greets_those_that_do_not_listen() -> None:
    """So what a task queue's worker has sent meanwhile comes again, though it does not listen."""
    cluster = Cluster("a", "b", deaf="b")
    cluster.say("b", "1")
    cluster.away.add("a")
    cluster.say("b", "2")
    cluster.connect("a")
    assert cluster.heard["a"] == ["1", "2"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04K\x01.",
        b"[]",
        b'{"method":"emit"}',
        b'{"method":"emit","from":"x"}',
        b'{"method":"emit","from":5,"seq":1}',
        b'{"method":"emit","from":"x","seq":"1"}',
        b'{"method":"emit","from":"x","seq":1.5}',
        b'{"method":5,"from":"x","seq":1}',
        b"[" * 100_000,
    ],
)
def test_what_has_no_stamp_passes(data: bytes) -> None:
    """Messages of Flask-SocketIO, and what makes no sense: others decide about them."""
    assert Ledgers("a", 10, 1000).take(data, 0) == ([data], [])


@pytest.mark.parametrize("method", ["hello", "bye", "resend", "gone", "x"])
@pytest.mark.parametrize("number", [-1, 0, 2**63, 10**30])
def test_any_number_is_survived(method: str, number: int) -> None:
    """A number that makes no sense neither raises nor takes memory."""
    ledgers = Ledgers("a", 10, 1000)
    ledgers.connected(0, listens=True)
    ledgers.take(b'{"method":"x","from":"b","seq":1}', 0)
    keys = dict.fromkeys(("seq", "own", "first", "last"), number)
    ledgers.take(msgspec.json.encode({"method": method, "from": "b", **keys}), 0)
    ledgers.tick(10)


@given(st.lists(st.sampled_from(["say", "say directly", "cut", "connect", "double", "tick"]), max_size=40))
def test_nothing_is_lost_or_doubled_whatever_happens(steps: list[str]) -> None:
    """Within the bounds each message arrives once and in order, however often the reader is cut off."""
    cluster = Cluster("a", "b")
    said: list[str] = []
    for number, step in enumerate(steps):
        if step.startswith("say"):
            said.append(str(number))
            cluster.say("a", str(number), "b" if "directly" in step else None)
        elif step == "cut":
            cluster.away.add("b")
        elif step == "connect":
            cluster.connect("b")
        elif step == "double":
            cluster.wires += [("a", None, message) for _, message in cluster.nodes["a"]._sent._kept]
            cluster.carry()
        elif "b" not in cluster.away:
            cluster.tick()
    cluster.connect("b")
    cluster.tick(2)
    assert sorted(cluster.heard["b"], key=int) == said
    assert cluster.nodes["b"].missed == 0
