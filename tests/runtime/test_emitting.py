"""What a server sends reaches whom it is for, once and in order, from any thread; only `call` waits."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from clusters_in_memory import MemoryBus

from carboy.exceptions import BlockingCallError, TimeoutError
from carboy.runtime.acks import LEFT, NOBODY, TIMED_OUT
from carboy.runtime.client import Client
from carboy.runtime.message import Message
from carboy.socketio.packets import ACK, CONNECT
from carboy.transports.memory import MemoryConnection


class Audience:
    """Three clients of one namespace."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.server = world.server
        self.peers = [world.peer() for _ in range(3)]
        self.clients: list[Client] = [peer.join() for peer in self.peers]
        self.sids = [client.sid for client in self.clients]

    def heard(self) -> list[list[Any]]:
        """Returns the events that each client has got."""
        self.world.settle()
        return [peer.events() for peer in self.peers]

    def run(self, coroutine: Any) -> asyncio.Task[Any]:
        """Starts a coroutine on the server's loop."""
        return self.world.loop.create_task(coroutine)

    def in_thread(self, function: Any) -> list[Any]:
        """Runs a function in a thread while the loop runs, and returns its result or exception in a list."""
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append(function())
            except BaseException as error:  # noqa: BLE001 (it is what the test looks at)
                outcome.append(error)

        threading.Thread(target=work).start()
        return outcome


@pytest.fixture
def audience(world: Any) -> Audience:
    """Three clients."""
    return Audience(world)


# emit


def test_event_reaches_everybody(audience: Audience) -> None:
    """Without rooms each client of the namespace gets it, and nobody else."""
    audience.world.on("x", "/other")(lambda client: None)
    elsewhere = audience.world.peer()
    elsewhere.join("/other")
    audience.server.emit("e", [1, {"a": 2}])
    assert audience.heard() == [[["e", 1, {"a": 2}]]] * 3
    assert elsewhere.events() == []


@pytest.mark.parametrize(
    "act",
    [
        lambda server: server.emit("e"),
        lambda server: server.emit_with_ack("e", (), print, print),
        lambda server: server.enter_room("elsewhere", "room"),
        lambda server: server.leave_room("elsewhere", "room"),
        lambda server: server.close_room("room"),
        lambda server: server.disconnect("elsewhere"),
        lambda server: server.move_clients("disconnect"),
    ],
)
def test_others_are_found_before_the_first_thing_that_concerns_them(world: Any, act: Any) -> None:
    """Once they are found nobody looks again; what they themselves say lets nobody look."""
    found: list[Any] = []

    def find() -> None:
        found.append(1)
        world.server.join(MemoryBus("a", {}, complete=True))

    world.server.find_others = find
    world.server.emit("e", everywhere=False)
    assert found == []
    act(world.server)
    act(world.server)
    assert found == [1]


def test_rooms_and_skipped_sids_choose_the_recipients(audience: Audience) -> None:
    """Rooms and sids add up, each client once; skipped ones get nothing."""
    first, second, third = audience.sids
    audience.server.enter_room(first, "room")
    audience.server.enter_room(second, "room")
    audience.server.emit("a", rooms=["room", second, third], skip=[first])
    audience.server.emit("b", rooms=[])
    audience.server.emit("c", rooms=["room"])
    assert audience.heard() == [[["c"]], [["a"], ["c"]], [["a"]]]


def test_message_is_encoded_once_for_all(audience: Audience) -> None:
    """Every recipient is written the same object."""
    written: list[Message] = []
    for peer in audience.peers:
        peer.wire.write = lambda messages: written.extend(messages) or True
    audience.server.emit("e")
    audience.world.settle()
    assert len(written) == 3
    assert len(set(map(id, written))) == 1


def test_what_one_thread_does_keeps_its_order(audience: Audience) -> None:
    """Emits, joins and disconnects of a thread reach the wire as they were made."""
    first, second, _ = audience.sids
    server = audience.server

    def work() -> None:
        for number in range(100):
            server.emit("n", [number], rooms=[first])
        server.enter_room(second, "room")
        server.emit("in the room", rooms=["room"])
        server.leave_room(second, "room")
        server.emit("nobody", rooms=["room"])
        server.disconnect(first)
        server.emit("last")

    outcome = audience.in_thread(work)
    audience.world.until(lambda: outcome)
    heard = audience.heard()
    assert heard[0] == [["n", number] for number in range(100)]
    assert heard[1] == [["in the room"], ["last"]]
    assert heard[2] == [["last"]]


def test_arguments_that_cannot_be_encoded_are_the_caller_s_error(audience: Audience) -> None:
    """The exception is raised where emit was called, and nothing is sent."""
    with pytest.raises(TypeError):
        audience.server.emit("e", [object()])
    with pytest.raises(TypeError):
        audience.server.emit_with_ack("e", [object()], lambda *a: None, lambda *a: None)
    assert audience.heard() == [[], [], []]


def test_volatile_event_is_dropped_for_a_client_that_is_behind(audience: Audience) -> None:
    """Who can take it gets it."""
    audience.peers[0].connection.stall()
    audience.server.emit("e", volatile=True)
    assert audience.heard() == [[], [["e"]], [["e"]]]


# emit_with_ack


class Told:
    """What acknowledgements have come to."""

    def __init__(self, audience: Audience, **options: Any) -> None:
        self.answered: list[Any] = []
        self.lost: list[Any] = []
        self.asked = audience.server.emit_with_ack(
            "q",
            [],
            lambda client, arguments: self.answered.append((client, arguments)),
            lambda client, why: self.lost.append((client, why)),
            **options,
        )


def test_each_recipient_answers_or_is_lost_once(audience: Audience) -> None:
    """A broadcast that asks everybody hears of everybody exactly once."""
    told = Told(audience)
    audience.world.settle()
    assert told.asked == 3
    first, second, third = audience.peers
    (packet,) = first.received()
    number = packet[2]
    first.acknowledge(number, 1)
    second.leave()
    third.connection.transport_lost(third.wire, "transport close")
    first.acknowledge(number, 2)
    first.leave()
    audience.world.settle()
    assert told.answered == [(audience.clients[0], [1])]
    assert told.lost == [(audience.clients[1], LEFT), (audience.clients[2], LEFT)]


def test_asking_nobody_is_lost_once(audience: Audience) -> None:
    """Without a recipient there is one loss, with no client."""
    told = Told(audience, rooms=["nowhere"])
    audience.world.settle()
    assert (told.asked, told.lost) == (0, [(None, NOBODY)])


def test_time_runs_from_when_all_were_asked(audience: Audience) -> None:
    """Who has not answered in time is lost, and a late answer finds nothing."""
    told = Told(audience, timeout=5)
    audience.world.settle()
    audience.peers[0].acknowledge(0)
    audience.world.advance(4.9)
    assert told.lost == []
    audience.world.advance(0.2)
    assert told.lost == [(client, TIMED_OUT) for client in audience.clients[1:]]
    audience.peers[1].acknowledge(0)
    assert len(told.answered) == 1
    assert [client.acks for client in audience.clients] == [{}, {}, {}]


def test_numbers_count_per_namespace_from_zero(audience: Audience) -> None:
    """As in Node; no number is given twice, whichever threads ask."""
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(100):
            Told(audience)

    outcomes = [audience.in_thread(work) for _ in range(4)]
    audience.world.until(lambda: all(outcomes))
    audience.world.settle()
    assert outcomes == [[None]] * 4
    numbers = [number for _, _, number, _ in audience.peers[0].received()]
    assert sorted(numbers) == list(range(400))
    assert len(audience.clients[0].acks or ()) == 400


def test_refused_client_is_lost(world: Any) -> None:
    """A connect handler that asks its client and refuses it hears that no answer will come."""
    lost: list[Any] = []

    @world.on("connect")
    def connect(client: Client, environ: Any, auth: Any) -> bool:
        world.server.emit_with_ack(
            "q", [], lambda *a: None, lambda *a: lost.append(a), rooms=[client.sid], timeout=60
        )
        return False

    peer = world.peer()
    peer.ask()
    world.settle()
    assert [why for _, why in lost] == [LEFT]
    world.advance(61)
    assert len(lost) == 1


# call


def test_call_returns_the_answer(audience: Audience) -> None:
    """A thread waits for the client's acknowledgement and gets its arguments."""
    outcome = audience.in_thread(lambda: audience.server.call("q", [1], rooms=[audience.sids[0]]))
    audience.world.until(lambda: audience.clients[0].acks)
    assert audience.heard()[0] == [["q", 1]]
    audience.peers[0].acknowledge(0, "yes", 2)
    audience.world.until(lambda: outcome)
    assert outcome == [["yes", 2]]


def test_first_of_several_answers_counts(audience: Audience) -> None:
    """A call to a room returns what the first member said; nothing is left of the others."""
    outcome = audience.in_thread(lambda: audience.server.call("q", rooms=audience.sids))
    audience.world.until(lambda: all(client.acks for client in audience.clients))
    audience.peers[1].acknowledge(0, "b")
    audience.world.until(lambda: outcome)
    audience.peers[0].acknowledge(0, "a")
    assert outcome == [["b"]]


@pytest.mark.parametrize(
    ("rooms", "end"), [(["nowhere"], None), ([], None), (None, "leave")], ids=["nobody", "empty", "left"]
)
def test_call_ends_at_once_when_no_answer_can_come(audience: Audience, rooms: Any, end: Any) -> None:
    """Nobody to ask, or the last one who was asked leaves: there is nothing to wait for."""
    sids = audience.sids[:1] if rooms is None else rooms
    outcome = audience.in_thread(lambda: audience.server.call("q", rooms=sids, timeout=None))
    if end:
        audience.world.until(lambda: audience.clients[0].acks)
        audience.peers[0].leave()
    audience.world.until(lambda: outcome)
    assert isinstance(outcome[0], TimeoutError)


def test_call_that_times_out_leaves_nothing_behind(audience: Audience) -> None:
    """After its time a late answer finds nothing, and the client keeps nothing."""
    outcome = audience.in_thread(lambda: audience.server.call("q", rooms=audience.sids[:1], timeout=0.01))
    audience.world.until(lambda: outcome)
    audience.world.settle()
    assert isinstance(outcome[0], TimeoutError)
    assert audience.clients[0].acks == {}
    audience.peers[0].acknowledge(0)
    assert not audience.peers[0].connection.session.closed


def test_call_refuses_to_block_the_loop(audience: Audience) -> None:
    """In the loop's thread the error says what to write instead."""
    with pytest.raises(BlockingCallError, match="call_async"):
        audience.server.call("q", rooms=audience.sids)
    assert audience.heard() == [[], [], []]


def test_coroutine_awaits_the_answer(audience: Audience) -> None:
    """The loop goes on while a coroutine waits."""
    task = audience.run(audience.server.call_async("q", rooms=audience.sids[:1]))
    audience.world.until(lambda: audience.clients[0].acks)
    audience.peers[0].acknowledge(0, "yes")
    audience.world.until(task.done)
    assert task.result() == ["yes"]


def test_coroutine_of_another_loop_may_call_too(audience: Audience) -> None:
    """The answer is handed to the loop on which the coroutine waits."""
    call = audience.server.call_async
    outcome = audience.in_thread(lambda: asyncio.run(call("q", rooms=audience.sids[:1])))
    audience.world.until(lambda: audience.clients[0].acks)
    audience.peers[0].acknowledge(0, "yes")
    audience.world.until(lambda: outcome)
    assert outcome == [["yes"]]


@pytest.mark.parametrize("end", ["timeout", "cancel", "leave"])
def test_coroutine_that_gets_no_answer_leaves_nothing_behind(audience: Audience, end: str) -> None:
    """Its time is up, it is cancelled, or the client leaves: nothing waits for the answer any more."""
    client = audience.clients[0]
    task = audience.run(audience.server.call_async("q", rooms=[client.sid], timeout=5))
    audience.world.until(lambda: client.acks)
    if end == "timeout":
        audience.world.advance(5.1)
    elif end == "cancel":
        task.cancel()
    else:
        audience.peers[0].leave()
    audience.world.until(task.done)
    audience.world.settle()
    assert not client.acks
    assert task.cancelled() == (end == "cancel")
    assert end == "cancel" or isinstance(task.exception(), TimeoutError)


def test_coroutine_with_nobody_to_ask_is_told_at_once(audience: Audience) -> None:
    """As for a thread."""
    task = audience.run(audience.server.call_async("q", rooms=[], timeout=None))
    audience.world.until(task.done)
    assert isinstance(task.exception(), TimeoutError)


def test_answer_for_a_loop_that_has_ended_is_dropped(audience: Audience) -> None:
    """A coroutine whose loop was closed meanwhile costs nobody anything."""
    other = asyncio.new_event_loop()

    async def ask() -> None:
        await audience.server.call_async("q", rooms=audience.sids[:1], timeout=None)

    task = other.create_task(ask())
    other.call_soon(other.stop)
    other.run_forever()
    audience.world.until(lambda: audience.clients[0].acks)
    other.close()
    audience.peers[0].acknowledge(0)
    audience.world.settle()
    assert audience.world.tracebacks() == []
    task._log_destroy_pending = False
    task.get_coro().close()


# In-memory clients


def test_in_memory_clients_are_served_in_the_caller_s_thread(audience: Audience) -> None:
    """What a test client is sent has arrived when the sender's call returns; others get it from the loop."""
    memory = MemoryConnection(audience.server, {})
    memory.submit(CONNECT, "/", None, None)
    answers: list[Any] = []
    audience.server.emit("e")
    audience.server.emit_with_ack(
        "q", [], lambda client, arguments: answers.append(arguments), lambda *a: None, timeout=5
    )
    assert [data[0] for type, _, _, data in memory.transport.received if type != CONNECT] == ["e", "q"]
    memory.submit(ACK, "/", 0, ["yes"])
    assert answers == [["yes"]]
    assert audience.heard() == [[["e"], ["q"]]] * 3
    memory.hang_up()
    assert audience.server.memory_connections == 0


def test_asking_nobody_without_a_loop_is_told_at_once(make_world: Any) -> None:
    """A server that only test clients use needs no loop."""
    world = make_world()
    world.hub.detach()
    lost: list[Any] = []
    world.server.emit_with_ack("q", [], lambda *a: None, lambda *a: lost.append(a))
    assert lost == [(None, NOBODY)]
    world.hub.attach(world.loop)
