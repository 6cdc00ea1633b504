"""A bus over a broker that fails: nothing is lost or doubled within the bounds, and it never just ends."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers_in_memory import Broker, Node, until

from carboy.runtime import broker_bus
from carboy.runtime.log import Log


@pytest.fixture
def broker() -> Broker:
    """A broker."""
    return Broker()


@pytest.fixture
def make_node(broker: Broker, logger: logging.Logger) -> Iterator[Callable[..., Node]]:
    """Makes nodes, which are connected."""
    nodes: list[Node] = []

    def make(*, listen: bool = True, start: bool = True, **options: Any) -> Node:
        nodes.append(Node(broker, Log(logger), **options))
        if start:
            nodes[-1].start(listen=listen)
        return nodes[-1]

    yield make
    for node in nodes:
        node.bus.close()


def test_nodes_hear_one_another(make_node: Any) -> None:
    """What is for all comes to those who listen, what is for one to that one, nothing to its sender."""
    a, b, c = make_node(), make_node(), make_node(listen=False)
    until(lambda: a.bus.nodes() == {b.bus.node})
    a.say("1")
    a.say("2", b.bus.node)
    a.say("3", c.bus.node)
    b.hears("1", "2")
    c.hears("3")
    assert a.got == []


def test_later_listener_hears_from_then_on(make_node: Any) -> None:
    """It connects anew, and gets nothing of what was before."""
    a, b = make_node(), make_node(listen=False)
    a.say("1")
    a.say("2", b.bus.node)
    b.hears("2")
    b.start(listen=True)
    until(lambda: b.bus.node in a.bus.nodes())
    a.say("3")
    b.hears("2", "3")


def test_what_was_said_while_the_broker_was_down_comes_after(
    make_node: Any, broker: Broker, lines: Any
) -> None:
    """All of it, in order; one line when it breaks, one when it works again."""
    a, b = make_node(), make_node()
    a.say("1")
    b.hears("1")
    broker.cut()
    until(lambda: not a.bus.connected and not b.bus.connected)
    a.say("2")
    a.say("3")
    assert a.bus.waiting == 2
    assert a.bus.error == "memory:// is down"
    broker.up = True
    for node in (a, b):
        node.advance(30)
        node.greet()
    b.hears("1", "2", "3")
    assert (a.bus.lost, b.bus.missed, a.bus.waiting) == (0, 0, 0)
    warnings = [line.getMessage() for line in lines if line.levelno >= logging.WARNING]
    assert sum("goes on alone" in text for text in warnings) == 2
    assert sum("again; " in text for text in warnings) == 2


def test_reader_that_was_away_gets_what_it_missed(make_node: Any, broker: Broker) -> None:
    """The broker has taken it and brought it to nobody."""
    a, b = make_node(), make_node()
    a.say("1")
    b.hears("1")
    driver = broker.drivers[1]
    broker.up = False
    driver.lose()
    until(lambda: not b.bus.connected)
    a.say("2")
    a.say("3")
    until(lambda: not a.bus.waiting)
    broker.up = True
    b.advance(30)
    b.greet()
    b.hears("1", "2", "3")
    assert b.bus.missed == 0


def test_publish_that_failed_half_way_doubles_nothing(make_node: Any, broker: Broker) -> None:
    """What the broker had taken is published again and known by its number."""
    a, b = make_node(), make_node()
    with a.bus._queue._lock:  # so that they go out in one batch
        loop_may_go_on = threading.Event()
        a.loops[-1].call_soon_threadsafe(loop_may_go_on.wait, 5)
    broker.fail_after = 1
    for text in "123":
        a.say(text)
    loop_may_go_on.set()
    until(lambda: not a.bus.connected)
    a.advance(1)
    a.greet()
    b.hears("1", "2", "3")


def test_publish_that_failed_is_made_again_for_those_who_cannot_ask(make_node: Any, broker: Broker) -> None:
    """Processes of Flask-SocketIO have no ledgers."""
    node = make_node()
    broker.fail_after = 0
    node.say("1")
    until(lambda: not node.bus.connected)
    node.advance(1)
    node.greet()
    until(lambda: any(b'"text":"1"' in message for _, message in broker.published))


def test_message_that_the_broker_refuses_is_lost_and_told(make_node: Any, broker: Broker, lines: Any) -> None:
    """It is given up after some attempts; those behind it arrive, and nobody waits for it."""
    a, b = make_node(), make_node()
    broker.largest = 500
    a.say("1")
    a.say("x" * 500)
    a.say("2")
    until(lambda: a.advance(0.5) or a.bus.lost)
    until(lambda: a.advance(0.5) or b.advance(0.5) or len(b.got) == 2)
    b.hears("1", "2")
    assert (a.bus.lost, b.bus.missed) == (1, 1)
    assert [line.getMessage() for line in lines if "refuses a message of" in line.getMessage()]


def test_what_exceeds_the_bound_is_lost_and_told(make_node: Any, broker: Broker, lines: Any) -> None:
    """The oldest go first; the sender counts them, the reader too."""
    a, b = make_node(kept=3), make_node()
    a.say("0")
    b.hears("0")
    broker.cut()
    until(lambda: not a.bus.connected and not b.bus.connected)
    for text in "12345":
        a.say(text)
    assert (a.bus.waiting, a.bus.lost) == (3, 2)
    broker.up = True
    for node in (b, a):
        node.advance(30)
        node.greet()
    until(lambda: "5" in b.texts())
    b.advance(1)
    assert set(b.texts()) <= set("0345")
    assert b.bus.missed == 2
    told = [line.getMessage() for line in lines]
    assert sum("max_queue_messages" in text for text in told) == 1
    assert sum("2 messages of other processes have never come" in text for text in told) == 1


def test_attempts_to_connect_back_off(make_node: Any, broker: Broker) -> None:
    """The pause doubles up to half a minute."""
    broker.up = False
    node = make_node(start=False)
    node.bus.start(node.receive, lambda name: None)
    assert node.bus.wait(10) is False
    for attempt in range(1, 12):
        until(lambda attempt=attempt: broker.attempts == attempt)
        node.advance(min(0.1 * 2 ** (attempt - 1), 30) / 2 - 0.001)
        assert broker.attempts == attempt
        node.advance(30)


def test_broker_that_brings_nothing_back_counts_as_down(make_node: Any, broker: Broker) -> None:
    """Being connected means that what is published comes back, whatever else comes."""
    broker.mute = True
    node = make_node(start=False)
    node.bus.start(node.receive, lambda name: None)
    until(lambda: len(broker.published) == 1)
    broker.drivers[0].arrive(b'{"method":"x","text":"of others"}')
    until(lambda: node.got)
    node.advance(0)
    assert not node.bus.connected
    node.advance(broker_bus.ECHO_TIME)
    until(lambda: node.bus.error is not None)
    assert "does not come back" in str(node.bus.error)
    broker.mute = False
    node.advance(1)
    node.greet()


def test_silent_connection_is_tried(make_node: Any, broker: Broker) -> None:
    """After a while without any message it has to bring something, or is made anew."""
    node = make_node()
    broker.mute = True
    for _ in range(int(broker_bus.IDLE_TIME) + 1):
        node.advance(broker_bus.TICK)
    node.advance(broker_bus.ECHO_TIME)
    until(lambda: not node.bus.connected)


def test_listener_survives_a_receiver_that_raises(make_node: Any, lines: Any) -> None:
    """The next message comes all the same."""
    a, b = make_node(), make_node()
    b.trouble = ZeroDivisionError()
    a.say("1")
    a.say("2")
    b.hears("1", "2")
    assert sum(line.exc_info is not None for line in lines) == 2


def test_listener_survives_a_driver_that_raises_anything(make_node: Any, broker: Broker, lines: Any) -> None:
    """A defect costs the connection, which is made again."""
    a, b = make_node(), make_node()
    broker.drivers[1].defect = ZeroDivisionError()
    broker.drivers[1].wake()
    until(lambda: not b.bus.connected)
    b.advance(1)
    b.greet()
    a.say("1")
    b.hears("1")


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04K\x01.", b"{}", b'{"from":"x","seq":1}', b'{"from":{},"seq":[]}']
)
def test_listener_survives_garbage(make_node: Any, broker: Broker, data: bytes) -> None:
    """What has no stamp is the receiver's business."""
    a, b = make_node(), make_node()
    broker.drivers[1].arrive(data)
    a.say("1")
    until(lambda: "1" in b.texts()[-1:])


def test_close_sends_what_waits_and_takes_leave(make_node: Any) -> None:
    """The others know at once that the node is there no more; it may begin again."""
    a, b = make_node(), make_node()
    until(lambda: b.bus.node in a.bus.nodes())
    for number in range(1000):
        b.say(str(number))
    b.bus.close()
    a.hears(*map(str, range(1000)))
    until(lambda: not a.bus.nodes())
    b.start()
    b.say("again")
    until(lambda: a.texts()[-1] == "again")


def test_short_lived_process_sends_what_it_has(make_node: Any) -> None:
    """It closes before it has connected."""
    a, b = make_node(), make_node(start=False)
    b.say("1")
    b.bus.start(b.receive, lambda name: None, listen=False)
    b.bus.close()
    a.hears("1")


@pytest.mark.parametrize("says", [True, False])
def test_unreachable_broker_does_not_hold_up_the_end(
    make_node: Any, broker: Broker, lines: Any, says: bool
) -> None:
    """What is lost is told in one line."""
    broker.up = False
    node = make_node(start=False)
    node.bus.start(node.receive, lambda name: None)
    if says:
        node.say("1")
    node.bus.wait(10)
    started = time.monotonic()
    node.bus.close()
    assert time.monotonic() - started < broker_bus.CLOSE_TIME
    assert sum("1 messages have not reached" in line.getMessage() for line in lines) == says


def test_connection_that_hangs_does_not_hold_up_the_end_of_who_has_nothing_to_say(
    make_node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a word is printed either."""
    node = make_node(start=False)

    async def hang(channels: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(node.bus._driver, "connect", hang)
    node.bus.start(node.receive, lambda name: None)
    until(lambda: node.bus._loop is not None)
    started = time.monotonic()
    node.bus.close()
    assert time.monotonic() - started < broker_bus.CLOSE_TIME


def test_many_threads_may_publish_while_others_ask_again(make_node: Any, broker: Broker) -> None:
    """The ledgers are in one thread's hands at a time."""
    a, b = make_node(), make_node()
    threads = [threading.Thread(target=lambda: [a.say("x") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        a.bus._queue.ask(lambda ledgers: ledgers._sent.again(1, 1000))
        assert a.bus.missed == 0
    for thread in threads:
        thread.join()
    b.hears(*["x"] * 800)


@pytest.mark.parametrize("lacking", ["thread", "file"])
def test_bus_that_could_not_begin_tries_again_with_the_next_message(
    make_node: Any, monkeypatch: pytest.MonkeyPatch, lines: Any, lacking: str
) -> None:
    """What waited arrives too; one line tells of it, nobody waits for it, and there is nothing to close."""
    a, b = make_node(), make_node(start=False)

    def refuse(*arguments: Any) -> None:
        raise RuntimeError("none is left") if lacking == "thread" else OSError("none is left")

    with monkeypatch.context() as patch:
        if lacking == "thread":
            patch.setattr(threading.Thread, "start", refuse)
        else:
            patch.setattr(b.bus, "_make_loop", broker_bus.BusLoop)
            patch.setattr(socket, "socketpair", refuse)
        for text in "12":
            b.bus.start(b.receive, lambda name: None)
            b.say(text)
        assert b.bus._settled.is_set()
    assert all(loop.is_closed() for loop in b.loops)
    assert b.bus.error == "none is left"
    b.bus.close()
    b.bus.start(b.receive, lambda name: None)
    assert not b.bus._settled.is_set()
    b.greet()
    b.say("3")
    a.hears("1", "2", "3")
    assert b.bus.error is None
    told = [line for line in lines if line.levelno >= logging.WARNING]
    assert ["could not begin" in line.getMessage() for line in told] == [True]
    assert told[0].exc_info is None


def test_listener_is_not_ready_before_it_is_subscribed(
    make_node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the connection that it had until then, only to write, would be greeted by now."""
    node = make_node(start=False)
    node.bus.start(node.receive, lambda name: None, listen=False)
    until(lambda: node.bus.connected)
    node.advance(0)  # so that the time for answers to its greeting has begun
    connect, may_connect = node.bus._driver.connect, asyncio.Event()

    async def wait_and_connect(channels: Any) -> None:
        await may_connect.wait()
        await connect(channels)

    monkeypatch.setattr(node.bus._driver, "connect", wait_and_connect)
    node.bus.start(node.receive, lambda name: None)
    node.advance(broker_bus.GREETING_TIME)
    assert not node.bus._settled.is_set()
    node.loops[-1].call_soon_threadsafe(may_connect.set)
    node.greet()


FORKING = """
import logging, os, sys
sys.path[:0] = [{tests!r}]
from brokers_in_memory import Broker, Node
from carboy.runtime.log import Log
broker = Broker()
node = Node(broker, Log(logging.getLogger("x")))
node.start()
before = node.bus.node
child = os.fork()
if not child:
    broker.drivers.clear()
    node.got.clear()
    assert node.bus.node != before and not node.bus.connected and not node.bus.nodes()
    node.start()
    node.bus.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert node.bus.connected and node.bus.node == before
print("both")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_child_begins_anew_and_leaves_its_parent_alone() -> None:
    """It is a node of its own, with a thread of its own."""
    program = FORKING.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]  # of forks, from 3.12 on
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("both\n", "")


EXITING = """
import logging, sys
sys.path[:0] = [{tests!r}]
from brokers_in_memory import Broker, MemoryDriver
from carboy.runtime.broker_bus import BrokerBus
from carboy.runtime.log import Log
class Resolving(MemoryDriver):
    async def connect(self, channels):
        import asyncio
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        await super().connect(channels)
    async def publish(self, messages):
        await super().publish(messages)
        print(*(message.count(b"text") for _, message in messages), flush=True)
broker = Broker()
bus = BrokerBus(lambda: Resolving(broker), "memory://", "channel", Log(logging.getLogger("x")), 10)
bus.start(lambda message: None, lambda node: None, listen=False)
bus.publish(b'{{"method":"x","text":"1"}}', None)
"""


def test_script_that_ends_at_once_has_sent_its_message() -> None:
    """Though its interpreter ends already, and starts no threads to look up the broker's name."""
    program = EXITING.format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "1" in done.stdout.split()
    assert done.stderr == ""
