"""What one sender's messages lead to: delivered in order and once, or counted as lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.adapters import ledger
from carboy.adapters.ledger import ASK_AGAIN, PATIENCE, Heard, Sent


def text(number: int) -> bytes:
    """Returns the message with a number."""
    return b"%d" % number


def test_sent_messages_come_again() -> None:
    """All that are kept, from the first that is there."""
    sent = Sent(3, 1000)
    for number in range(1, 6):
        sent.keep(text(number))
    assert sent.last == 5
    assert sent.again(4, 5) == (4, [b"4", b"5"])
    assert sent.again(1, 9) == (3, [b"3", b"4", b"5"])
    assert sent.again(1, 2) == (3, [])


def test_sent_messages_are_bounded_in_bytes() -> None:
    """One that is larger than all that may be kept is not kept, and counted all the same."""
    sent = Sent(100, 10)
    sent.keep(b"12345678")
    sent.keep(b"1234")
    assert sent.again(1, 2) == (2, [b"1234"])
    sent.keep(b"x" * 11)
    assert sent.again(1, 3) == (4, [])
    assert sent.last == 3


def test_heard_messages_wait_for_earlier_ones() -> None:
    """They are delivered in order once what was missing has come."""
    heard = Heard()
    assert heard.take(7, b"7", 0) == [b"7"]
    assert heard.take(9, b"9", 0) == []
    assert heard.take(9, b"9", 0) == []
    assert heard.to_ask() == (8, 8)
    assert heard.take(8, b"8", 0) == [b"8", b"9"]
    assert heard.take(8, b"8", 0) == []
    assert (heard.to_ask(), heard.lost) == (None, 0)


def test_missing_messages_are_asked_for_once() -> None:
    """While they come one by one nothing is asked again; when none comes for a while all is."""
    heard = Heard()
    heard.take(0, b"0", 0)
    heard.note(100, 0)
    assert heard.to_ask() == (1, 100)
    for number in range(1, 50):
        heard.take(number, text(number), 0)
        assert heard.to_ask() is None
    heard.tick(ASK_AGAIN - 0.1)
    assert heard.to_ask() is None
    heard.tick(ASK_AGAIN)
    assert heard.to_ask() == (50, 100)
    heard.note(110, ASK_AGAIN)
    assert heard.to_ask() == (101, 110)


def test_missing_messages_are_given_up_after_a_while() -> None:
    """What waits for them is delivered, and they are counted."""
    heard = Heard()
    heard.take(0, b"0", 0)
    heard.take(3, b"3", 0)
    heard.take(5, b"5", 0)
    assert heard.tick(PATIENCE - 0.1) == []
    assert heard.tick(PATIENCE) == [b"3"]
    assert heard.tick(2 * PATIENCE) == [b"5"]
    assert heard.lost == 3
    assert heard.take(1, b"1", 0) == []


def test_new_connection_begins_the_wait_anew() -> None:
    """The time without a broker is not the sender's silence, and what was asked may have been lost."""
    heard = Heard()
    heard.take(0, b"0", 0)
    heard.note(2, 0)
    assert heard.to_ask() == (1, 2)
    heard.resume(100)
    assert heard.to_ask() == (1, 2)
    assert heard.tick(100 + PATIENCE - 0.1) == []
    assert heard.lost == 0


def test_sender_that_has_nothing_more_is_not_waited_for() -> None:
    """What is gone is counted, what was early is delivered."""
    heard = Heard()
    heard.take(0, b"0", 0)
    heard.take(2, b"2", 0)
    heard.take(6, b"6", 0)
    assert heard.skip(6, 0) == [b"2", b"6"]
    assert heard.skip(3, 0) == []
    assert heard.lost == 4


@pytest.mark.parametrize("bound", ["MAX_HELD", "MAX_HELD_BYTES"])
def test_messages_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """In number and in bytes; the first gap is then given up."""
    monkeypatch.setattr(ledger, bound, 3)
    heard = Heard()
    heard.take(0, b"0", 0)
    for number in (2, 4, 3):
        assert heard.take(number, b"x", 0) == []
    assert heard.take(6, b"x", 0) == [b"x"] * 3
    assert heard.lost == 1


@given(st.data())
def test_any_loss_and_order_ends_complete_or_counted(data: st.DataObject) -> None:
    """Each message is delivered once and in order, and what is not delivered is counted as lost."""
    count = data.draw(st.integers(1, 30))
    copies = data.draw(st.lists(st.integers(1, count), max_size=60))
    heard = Heard()
    delivered = heard.take(0, text(0), 0)
    for now, number in enumerate(copies):
        delivered += heard.take(number, text(number), now / 10)
        heard.to_ask()
    heard.note(count, 10)
    delivered += heard.end(10)
    numbers = [int(message) for message in delivered]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + heard.lost == count + 1
    assert heard.take(count + 1, text(count + 1), 10) == [text(count + 1)]
