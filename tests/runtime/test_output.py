"""What waits for one client leaves in one write, in order, and within a bound."""

from __future__ import annotations

from typing import Any

import pytest

from carboy.config import Config
from carboy.runtime.hub import Hub
from carboy.runtime.log import Log
from carboy.runtime.message import Message
from carboy.runtime.output import Output

BOUND = 100


class Counted(Output):
    """Output that counts overflows."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, Config(max_output_bytes=BOUND))
        self.overflows = 0

    def overflow(self) -> None:
        """Counts."""
        self.overflows += 1


@pytest.fixture
def output(loop: Any, wire: Any) -> Counted:
    """Output over a wire in memory."""
    hub = Hub(1, Log())
    hub.attach(loop)
    output = Counted(hub)
    output.transport = wire()
    return output


def text(size: int = 2) -> Message:
    """Returns a message of so many bytes."""
    return Message(b"4" * size)


def test_messages_of_a_round_leave_in_one_write(output: Counted, loop: Any) -> None:
    """However many are sent in a round of the loop, the transport is called once, in their order."""
    messages = [Message(b"4%d" % number) for number in range(5)]
    for message in messages:
        output.send(message)
    assert output.transport.writes == []
    loop.turn()
    assert output.transport.writes == [5]
    assert output.transport.packets == [message.text for message in messages]
    output.send(messages[0])
    loop.turn()
    assert output.transport.writes == [5, 1]


def test_what_the_transport_does_not_take_is_kept(output: Counted, loop: Any) -> None:
    """Output waits for a poll, in order, and the poll takes it all."""
    output.transport.ready = False
    first, second = text(), text()
    output.send(first)
    loop.turn()
    output.send(second)
    loop.turn()
    assert output.pending == [first, second]
    assert output.stalled
    output.output_taken()
    assert output.pending == []


def test_waiting_output_is_written_once_the_transport_takes_it(output: Counted, loop: Any) -> None:
    """A flush later writes what was kept."""
    output.transport.ready = False
    output.send(text())
    loop.turn()
    output.transport.ready = True
    output.unstall()
    output.flush()
    assert output.transport.writes == [1]
    assert output.pending == []


def test_output_without_a_transport_waits(output: Counted, loop: Any) -> None:
    """Before the opening nothing is written, and nothing is lost."""
    output.transport = None
    output.send(text())
    loop.turn()
    assert len(output.pending) == 1


def test_volatile_messages_are_lost_while_output_is_stalled(output: Counted, loop: Any) -> None:
    """What may be dropped is not kept for a client that cannot take it now."""
    volatile = Message(b"4v", (), True)
    output.stall()
    output.send(volatile)
    assert output.pending == []
    output.unstall()
    output.send(volatile)
    assert output.pending == [volatile]


def test_bound_counts_what_is_kept(output: Counted, loop: Any) -> None:
    """The message that goes past the bound ends the client, and is not kept."""
    output.transport.ready = False
    output.send(text(60))
    loop.turn()
    output.send(text(40))
    assert output.overflows == 0
    output.send(text(1))
    assert output.overflows == 1
    assert len(output.pending) == 2


def test_bound_counts_what_was_written_and_has_not_left(output: Counted, loop: Any) -> None:
    """A websocket's buffer counts; as it empties there is room again, without being told."""
    output.transport.unsent = 90
    output.stall()
    output.send(text(20))
    assert output.overflows == 1
    output.transport.unsent = 10
    output.send(text(20))
    assert output.overflows == 1
    assert len(output.pending) == 1


def test_stall_past_the_bound_ends_the_client_at_once(output: Counted) -> None:
    """One round may have written more than the bound before the transport told that it cannot follow."""
    output.transport.unsent = BOUND + 1
    output.stall()
    assert output.overflows == 1


def test_output_that_flows_is_not_counted(output: Counted, loop: Any) -> None:
    """A transport that takes everything may be given any amount."""
    for _ in range(10):
        output.send(text(BOUND))
    loop.turn()
    assert (output.overflows, output.transport.writes) == (0, [10])


def test_what_is_being_written_counts_once(output: Counted, loop: Any) -> None:
    """A transport may stall in the very write, when it has the bytes already."""
    wire = output.transport

    def write(messages: list[Message]) -> bool:
        wire.unsent = BOUND - 20
        output.stall()
        return type(wire).write(wire, messages)

    wire.write = write
    output.send(text(BOUND - 20))
    loop.turn()
    assert output.overflows == 0
    output.send(text(20))
    assert output.overflows == 0
    output.send(text(1))
    assert output.overflows == 1
