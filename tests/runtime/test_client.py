"""A client receives what is sent to it only while it is connected; what comes earlier is held."""

from __future__ import annotations

import pytest

from carboy.runtime.client import CONNECTED, CONNECTING, Client
from carboy.runtime.message import Message
from carboy.socketio.states import ClientInput, ClientState


class Carrier:
    """A connection that keeps what it is given."""

    inline = False

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.overflowed = 0

    def send(self, message: Message) -> None:
        """Keeps the message."""
        self.sent.append(message)

    def overflow(self) -> None:
        """Counts."""
        self.overflowed += 1


@pytest.fixture
def carrier() -> Carrier:
    """A connection."""
    return Carrier()


@pytest.fixture
def client(carrier: Carrier) -> Client:
    """A client whose connect handler runs, with room for ten bytes."""
    return Client("sid", "/", carrier, 10)


def test_new_client_is_connecting(client: Client) -> None:
    """A client begins before its connect handler has decided."""
    assert client.state is CONNECTING
    assert (client.sid, client.namespace, client.rooms) == ("sid", "/", set())


def test_connected_client_is_sent_messages_at_once(client: Client, carrier: Carrier) -> None:
    """After its acceptance nothing stands between it and the connection."""
    client.move(ClientInput.ACCEPT)
    client.release()
    message = Message(b"4x")
    client.send(message)
    assert client.state is CONNECTED
    assert carrier.sent == [message]


def test_what_comes_before_the_acceptance_is_held_in_order(client: Client, carrier: Carrier) -> None:
    """Nothing leaves before `release`, and then everything in its order."""
    messages = [Message(b"4%d" % number) for number in range(3)]
    for message in messages:
        client.send(message)
    assert carrier.sent == []
    client.move(ClientInput.ACCEPT)
    client.release()
    assert carrier.sent == messages
    client.release()
    assert carrier.sent == messages


def test_refused_client_gets_nothing(client: Client, carrier: Carrier) -> None:
    """What was held for it is dropped, and what comes later as well."""
    client.send(Message(b"4x"))
    client.drop_held()
    client.move(ClientInput.REFUSE)
    client.send(Message(b"4y"))
    client.release()
    assert carrier.sent == []


@pytest.mark.parametrize(
    "inputs",
    [
        (ClientInput.LEAVE,),
        (ClientInput.ACCEPT, ClientInput.LEAVE),
        (ClientInput.ACCEPT, ClientInput.LEAVE, ClientInput.FINISH),
    ],
)
def test_client_that_leaves_gets_nothing(
    client: Client, carrier: Carrier, inputs: tuple[ClientInput, ...]
) -> None:
    """A message that was under way when the client left is dropped."""
    for change in inputs:
        client.move(change)
    client.send(Message(b"4x"))
    assert carrier.sent == []
    assert client.state is not ClientState.CONNECTED


def test_held_messages_are_bounded_in_bytes(client: Client, carrier: Carrier) -> None:
    """Past the bound a volatile message is dropped, and any other ends the connection."""
    client.send(Message(b"4" * 8))
    client.send(Message(b"4" * 8, (), True))
    assert carrier.overflowed == 0
    client.send(Message(b"4" * 8))
    assert carrier.overflowed == 1


def test_opened_client_receives_before_its_acceptance(client: Client, carrier: Carrier) -> None:
    """With `always_connect` it was told that it is connected, and is sent everything from there on."""
    client.open()
    message = Message(b"4" * 100)
    client.send(message)
    client.move(ClientInput.ACCEPT)
    client.release()
    assert carrier.sent == [message]
    assert carrier.overflowed == 0
