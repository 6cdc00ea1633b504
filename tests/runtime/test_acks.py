"""An acknowledgement is answered or lost, once for each recipient, and leaves nothing behind."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from carboy.exceptions import TimeoutError
from carboy.runtime.acks import LEFT, TIMED_OUT, Ack, Answer, answer_ack, lose_acks
from carboy.runtime.client import Client
from carboy.runtime.hub import Hub
from carboy.runtime.log import Log
from carboy.runtime.message import Message
from carboy.socketio.states import ClientInput


class Carrier:
    """A connection that keeps what it is given."""

    inline = False

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.paused = False
        self.reviews = 0

    def send(self, message: Message) -> None:
        """Keeps the message."""
        self.sent.append(message)

    def review(self) -> None:
        """Counts."""
        self.reviews += 1


class Told:
    """What an acknowledgement has come to."""

    def __init__(self) -> None:
        self.answered: list[tuple[Client, list[Any]]] = []
        self.lost: list[tuple[Client | None, str]] = []

    def ack(self, hub: Hub, number: int = 0) -> Ack:
        """Makes an acknowledgement that is noted here."""
        return Ack(
            hub,
            number,
            lambda client, arguments: self.answered.append((client, arguments)),
            lambda client, why: self.lost.append((client, why)),
        )


@pytest.fixture
def hub(loop: Any) -> Hub:
    """A hub on a loop whose clock stands."""
    hub = Hub(1, Log())
    hub.attach(loop)
    return hub


@pytest.fixture
def told() -> Told:
    """An empty sheet."""
    return Told()


def make_client(*inputs: ClientInput) -> Client:
    """Makes a client to which these things have happened."""
    client = Client("sid", "/", Carrier(), 1000)
    for change in inputs:
        client.move(change)
    return client


def connected() -> Client:
    """Makes a client that is connected."""
    return make_client(ClientInput.ACCEPT)


MESSAGE = Message(b'421["e"]')


def test_answer_reaches_whoever_waits_for_it(hub: Hub, told: Told) -> None:
    """The client's arguments are handed over once, and the client keeps nothing."""
    client = connected()
    told.ack(hub, 7).send(client, MESSAGE)
    assert client.connection.sent == [MESSAGE]
    answer_ack(client, 7, ["x"])
    answer_ack(client, 7, ["again"])
    assert told.answered == [(client, ["x"])]
    assert client.acks == {}


@pytest.mark.parametrize("number", [None, 8])
def test_answer_to_nothing_is_ignored(hub: Hub, told: Told, number: int | None) -> None:
    """An unknown number, or none, changes nothing."""
    client = connected()
    answer_ack(client, number, [])
    told.ack(hub, 7).send(client, MESSAGE)
    answer_ack(client, number, [])
    assert (told.answered, told.lost) == ([], [])
    assert list(client.acks or ()) == [7]


def test_each_recipient_answers_for_itself(hub: Hub, told: Told) -> None:
    """One client's answer is not another's, and each counts once."""
    first, second = connected(), connected()
    ack = told.ack(hub, 7)
    ack.send(first, MESSAGE)
    ack.send(second, MESSAGE)
    answer_ack(second, 7, [2])
    lose_acks(first)
    lose_acks(second)
    lose_acks(first)
    assert told.answered == [(second, [2])]
    assert told.lost == [(first, LEFT)]


@pytest.mark.parametrize(
    "inputs",
    [
        (ClientInput.LEAVE,),
        (ClientInput.REFUSE,),
        (ClientInput.ACCEPT, ClientInput.LEAVE),
    ],
)
def test_client_that_has_left_is_lost_at_once(hub: Hub, told: Told, inputs: tuple[ClientInput, ...]) -> None:
    """A recipient that left between the snapshot and the loop is not waited for."""
    client = make_client(*inputs)
    told.ack(hub).send(client, MESSAGE)
    assert told.lost == [(client, LEFT)]
    assert client.acks is None


def test_connecting_client_may_answer_later(hub: Hub, told: Told) -> None:
    """The message is held with the others until the client is accepted."""
    client = make_client()
    told.ack(hub, 7).send(client, MESSAGE)
    assert client.connection.sent == []
    client.move(ClientInput.ACCEPT)
    client.release()
    answer_ack(client, 7, [])
    assert told.answered == [(client, [])]


def test_timeout_loses_those_that_have_not_answered(hub: Hub, told: Told, loop: Any) -> None:
    """After the time a late answer finds nothing, and nothing of it stays with the client."""
    prompt, late = connected(), connected()
    ack = told.ack(hub, 7)
    ack.send(prompt, MESSAGE)
    ack.send(late, MESSAGE)
    ack.start_timeout(5.0)
    answer_ack(prompt, 7, [])
    loop.advance(4.9)
    assert told.lost == []
    loop.advance(0.2)
    assert told.lost == [(late, TIMED_OUT)]
    answer_ack(late, 7, [])
    assert len(told.answered) == 1
    assert late.acks == {}


@pytest.mark.parametrize("end", [lambda client: answer_ack(client, 7, []), lose_acks])
def test_settled_acknowledgement_has_no_timer(hub: Hub, told: Told, end: Any) -> None:
    """When the last recipient has answered or left, nothing is kept for the time that is left."""
    client = connected()
    ack = told.ack(hub, 7)
    ack.send(client, MESSAGE)
    ack.start_timeout(60.0)
    assert hub.timers.next_due() is not None
    end(client)
    assert hub.timers.next_due() is None
    ack.start_timeout(60.0)
    assert hub.timers.next_due() is None


def test_waiting_for_a_paused_client_has_it_looked_at_again(hub: Hub, told: Told) -> None:
    """A client that is not read could never answer."""
    client = connected()
    client.connection.paused = True
    told.ack(hub).send(client, MESSAGE)
    assert client.connection.reviews == 1


def test_first_answer_counts() -> None:
    """A call to several clients returns what the first of them said."""
    notices: list[int] = []
    answer = Answer("e", 3, lambda: notices.append(1))
    client = connected()
    answer.lost(client, LEFT)
    assert not answer.settled
    answer.answered(client, ["a"])
    answer.answered(client, ["b"])
    answer.lost(client, LEFT)
    assert answer.settled
    assert answer.result() == ["a"]
    assert notices == [1]


def test_answer_without_arguments_is_an_answer() -> None:
    """An empty acknowledgement is not a lost one."""
    answer = Answer("e", 1)
    answer.answered(connected(), [])
    assert answer.result() == []


def test_call_is_lost_with_the_last_recipient() -> None:
    """When nobody can answer any more there is no reason to wait; the error tells why and for what."""
    notices: list[int] = []
    answer = Answer("e", 2, lambda: notices.append(1))
    answer.lost(connected(), LEFT)
    assert not answer.settled
    answer.lost(connected(), LEFT)
    answer.wait(None)
    with pytest.raises(TimeoutError, match=f"'e': {LEFT}"):
        answer.result()
    assert notices == [1]


def test_thread_that_waits_is_woken_by_the_answer() -> None:
    """The thread has the arguments as soon as it goes on."""
    answer = Answer("e", 1)
    got: list[Any] = []
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        answer.wait(10)
        got.append(answer.result())

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    answer.answered(connected(), [1])
    thread.join()
    assert got == [[1]]


def test_thread_does_not_wait_longer_than_its_time() -> None:
    """Without an answer the error says that the time is up."""
    answer = Answer("e", 1)
    answer.wait(0)
    with pytest.raises(TimeoutError, match=TIMED_OUT):
        answer.result()
