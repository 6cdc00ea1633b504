"""Several processes that share Redis: ours, python-socketio's, and such that only emit."""

from __future__ import annotations

import itertools
import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import javascript
import ordered_client
import pytest
import servers
from redis import Redis

import brokers

PAYLOAD = [{"text": "a", "bytes": b"\x00\xff", "list": [1, None]}, 2.5]
NODES = ["ours", "ours too", "upstream"]
APPLICATIONS = {"ours": "clustered.py", "ours too": "clustered.py", "upstream": "upstream.py"}
PAIRS = list(itertools.permutations(NODES, 2))
LONG = 20.0
CHANNEL = "flask-socketio"


class Person:
    """A client on one of the processes.

    Attributes:
        client: python-socketio's client.
        heard: what it has received, in order.
    """

    def __init__(self, url: str) -> None:
        self.client = ordered_client.OrderedClient(reconnection=False)
        self.heard: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.client.on("question", lambda question: ("heard", question))
        for event in ("news", "answer", "number", "disconnect"):
            self.client.on(event, partial(self._note, event))
        self.client.connect(url, transports=["websocket"], wait_timeout=LONG)

    def _note(self, event: str, *data: Any) -> None:
        self.heard.put((event, *data))

    @property
    def sid(self) -> str:
        """Its id in the namespace."""
        return str(self.client.get_sid())

    def hears(self) -> tuple[Any, ...]:
        """Return the next thing that it receives."""
        try:
            return self.heard.get(timeout=LONG)
        except queue.Empty:
            pytest.fail("nothing was received")

    def leaves(self) -> None:
        """Hear that the server has disconnected it, and wait until it is."""
        assert self.hears()[0] == "disconnect"
        servers.wait_until(lambda: not self.client.connected, "it is gone")

    def ask(self, event: str, *data: Any) -> Any:
        """Send an event, and return the acknowledgement."""
        return self.client.call(event, data, timeout=LONG)


@pytest.fixture(scope="module")
def redis(start_broker: Callable[..., Any]) -> Any:
    """A Redis for all tests of this file."""
    if ordered_client.socketio is None:
        javascript.missing("python-socketio is not installed, no cluster was tried")
    return start_broker(brokers.Redis)


@pytest.fixture(scope="module")
def cluster(redis: Any) -> Iterator[dict[str, servers.Server]]:
    """Two processes of ours and one of python-socketio's."""
    environment = {"QUEUE": redis.url}
    with (
        servers.serve("clustered.py", environment=environment) as first,
        servers.serve("clustered.py", environment=environment) as second,
        servers.serve("upstream.py", environment=environment) as third,
    ):
        yield dict(zip(NODES, (first, second, third), strict=True))


@pytest.fixture(scope="module")
def crowd() -> Iterator[dict[str, Person]]:
    """The clients that are connected."""
    found: dict[str, Person] = {}
    yield found
    for person in found.values():
        person.client.disconnect()


@pytest.fixture
def people(cluster: dict[str, servers.Server], crowd: dict[str, Person], redis: Any) -> dict[str, Person]:
    """A client on each process, which has heard nothing yet; python-socketio listens from its first on."""
    for name, server in cluster.items():
        if name not in crowd or not crowd[name].client.connected:
            crowd[name] = Person(server.url)
        assert crowd[name].heard.empty()
    with Redis.from_url(redis.url) as client:
        servers.wait_until(lambda: client.pubsub_numsub(CHANNEL)[0][1] >= len(NODES), "all listen")
    return crowd


@pytest.mark.parametrize("origin", NODES)
def test_broadcast_reaches_the_clients_of_all_processes(people: dict[str, Person], origin: str) -> None:
    """Once each, with bytes."""
    people[origin].ask("everybody", *PAYLOAD)
    people[origin].ask("everybody", "end")
    for person in people.values():
        assert person.hears() == ("news", *PAYLOAD)
        assert person.hears() == ("news", "end")


@pytest.mark.parametrize("origin", NODES)
def test_room_spans_processes(people: dict[str, Person], origin: str) -> None:
    """Its sender can be left out; a room that is closed from anywhere is empty everywhere."""
    room = f"room of {origin}"
    for person in people.values():
        assert person.ask("join", room) == room
    people[origin].ask("others", room, *PAYLOAD)
    for name, person in people.items():
        if name != origin:
            assert person.hears() == ("news", *PAYLOAD)
    people[origin].ask("close", room)
    people[origin].ask("others", room, "nobody")
    people[origin].ask("everybody", "end")
    for person in people.values():
        assert person.hears() == ("news", "end")


@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_callback_comes_back_from_another_process(
    people: dict[str, Person], origin: str, target: str
) -> None:
    """The function runs where the event was emitted."""
    people[origin].client.emit("ask", (people[target].sid, "why"))
    assert people[origin].hears() == ("answer", "heard", "why")


@pytest.mark.parametrize(("origin", "target"), [pair for pair in PAIRS if pair[0] != "upstream"])
def test_call_waits_for_a_client_of_another_process(
    people: dict[str, Person], origin: str, target: str
) -> None:
    """A handler gets the answer as from a client of its own."""
    assert people[origin].ask("call", people[target].sid, "why") == ("heard", "why")


@pytest.mark.parametrize(("origin", "target"), PAIRS)
def test_client_of_another_process_is_moved_and_disconnected(
    people: dict[str, Person], origin: str, target: str
) -> None:
    """Into a room, out of it, and away."""
    here, there = people[origin], people[target]
    here.ask("bring", there.sid, "moved")
    here.ask("others", "moved", 1)
    here.ask("take away", there.sid, "moved")
    here.ask("others", "moved", 2)
    here.ask("dismiss", there.sid)
    assert there.hears() == ("news", 1)
    there.leaves()


def test_clients_of_our_processes_are_counted_and_listed(people: dict[str, Person]) -> None:
    """Those of python-socketio's cannot be asked, and nobody waits for them."""
    ours = sorted(people[name].sid for name in ("ours", "ours too"))
    began = time.monotonic()
    assert people["ours"].ask("list") == ours
    assert people["ours too"].ask("count") == 2
    assert people["ours"].ask("count", "no such room") == 0
    assert time.monotonic() - began < 4  # the time after which silent ones are given up is 5 seconds each


SCRIPT = """
import os
from flask_socketio import SocketIO
socketio = SocketIO(message_queue=os.environ["QUEUE"])
target = os.environ["TARGET"]
socketio.emit("news", ({"from": "a script"}, b"bytes"))
print(socketio.call("question", "from a script", to=target, timeout=10))
socketio.enter_room("scripted", sid=target)
socketio.emit("news", "room", to="scripted")
print(socketio.count_clients())
socketio.disconnect(target)
socketio.emit("news", "last words")
"""


def run_script(code: str, redis: Any, **environment: str) -> str:
    """Run a program that shares the queue, and return what it prints."""
    done = subprocess.run(
        [servers.server_python(), "-c", code],
        env=servers.server_environment({"QUEUE": redis.url, **environment}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("target", NODES)
def test_script_emits_calls_and_disconnects(people: dict[str, Person], redis: Any, target: str) -> None:
    """A process without clients and without an application; it ends at once, and nothing is lost with it."""
    printed = run_script(SCRIPT, redis, TARGET=people[target].sid)
    assert printed.splitlines() == ["('heard', 'from a script')", "2"]
    for name, person in people.items():
        assert person.hears() == ("news", {"from": "a script"}, b"bytes")
        if name == target:
            assert person.hears() == ("news", "room")
            person.leaves()
        else:
            assert person.hears() == ("news", "last words")


def test_upstream_process_that_only_emits_is_heard(people: dict[str, Person], redis: Any) -> None:
    """As a task of an application that still uses it would."""
    manager = ordered_client.socketio.RedisManager(redis.url, channel=CHANNEL, write_only=True)
    manager.emit("news", PAYLOAD[0])
    for person in people.values():
        assert person.hears() == ("news", PAYLOAD[0])


def test_command_proves_that_processes_hear_each_other(
    cluster: dict[str, servers.Server], redis: Any
) -> None:
    """It connects, starts a second process, and lists those that are there."""
    application = str(Path(servers.APPLICATIONS, "clustered.py"))
    command = [servers.server_python(), "-m", "flask", "--app", application, "socketio", "ping-bus"]
    command += ["--timeout", "20"]
    environment = servers.server_environment({"QUEUE": redis.url})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hear each other" in done.stdout
    for name in ("ours", "ours too"):
        assert f"process {cluster[name].process_id}: " in done.stdout


def test_nothing_is_lost_or_doubled_when_the_broker_restarts(tmp_path: Path) -> None:
    """What is emitted while it is away comes after it is back, in order, to the clients of both processes."""
    brokers.require(brokers.Redis)
    broker = brokers.Redis(tmp_path)
    broker.prepare()
    broker.start()
    environment = {"QUEUE": broker.url}
    try:
        with (
            servers.serve("clustered.py", environment=environment) as first,
            servers.serve("clustered.py", environment=environment) as second,
        ):
            people = [Person(first.url), Person(second.url)]
            numbers = itertools.count()
            for step in (broker.stop, lambda: None, broker.start, lambda: None):
                emit_numbers(people, numbers)
                step()
            emit_numbers(people, numbers)
            last = next(numbers) - 1
            for person in people:
                check_numbers(person, last)
            for person in people:
                person.client.disconnect()
            for server in (first, second):
                assert server.unexpected_tracebacks() == []
                assert server.log().count("No connection to the message queue redis://") == 1
                assert server.log().count("again; ") == 1
    finally:
        broker.stop()


def emit_numbers(people: list[Person], numbers: Iterator[int]) -> None:
    """Have both processes emit numbers for a while, in turns."""
    for _ in range(20):
        for person in people:
            person.ask("number", *[next(numbers) for _ in range(20)])


def check_numbers(person: Person, last: int) -> None:
    """Check that all numbers have come once, and those of each process in order."""
    heard = [person.hears()[1] for _ in range(last + 1)]
    assert sorted(heard) == list(range(last + 1))
    for process in (0, 1):
        own = [number for number in heard if number // 20 % 2 == process]
        assert own == sorted(own)


def test_wrong_password_is_told_in_one_line(redis: Any) -> None:
    """The process serves its own clients all the same; the password that was tried is not in the log."""
    environment = {"QUEUE": redis.url.replace(brokers.ENCODED, "wrong")}
    with servers.serve("clustered.py", environment=environment) as server:
        person = Person(server.url)
        person.client.emit("everybody", "here")
        assert person.hears() == ("news", "here")
        person.client.disconnect()
        servers.wait_until(lambda: "No connection to the message queue redis://" in server.log(), "the line")
        assert "check the user name and the password" in server.log()
        assert server.log().count("No connection") == 1
        assert "wrong" not in server.log()
        assert server.unexpected_tracebacks() == []
