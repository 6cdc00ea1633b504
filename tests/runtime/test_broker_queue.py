"""What waits for the broker leaves in order, is bounded, and is put back when the broker fails."""

from __future__ import annotations

import pytest

from carboy.adapters.ledgers import Ledgers
from carboy.runtime import broker_queue
from carboy.runtime.broker_queue import BATCH, MAX_REFUSALS, BrokerQueue


class Queue(BrokerQueue):
    """A queue that counts how often it had to give something up."""

    def __init__(self, max_messages: int) -> None:
        self.told = 0
        super().__init__("node", "channel", max_messages, self._count)

    def _count(self) -> None:
        self.told += 1


def texts(batch: list[tuple[str, bytes]]) -> list[str]:
    """Returns the last key of each message."""
    return [message.decode().rsplit(":", 1)[1].rstrip("}") for _, message in batch]


def test_messages_leave_in_order_on_their_channels() -> None:
    """With their numbers; the first one says that the publisher sleeps."""
    queue = Queue(10)
    assert queue.add(b'{"a":1}', None) is True
    assert queue.add(b'{"a":2}', "other") is False
    queue.add_answers([("third", b'{"a":3}')])
    assert queue.take_batch() == [
        ("channel", b'{"from":"node","seq":1,"a":1}'),
        ("channel.other", b'{"from":"node","seq":1,"direct":true,"a":2}'),
        ("channel.third", b'{"a":3}'),
    ]
    assert len(queue) == 0


def test_batch_that_failed_goes_first() -> None:
    """Before what has come meanwhile."""
    queue = Queue(2 * BATCH)
    for number in range(BATCH + 1):
        queue.add(b'{"a":%d}' % number, None)
    batch = queue.take_batch()
    assert (len(batch), len(queue)) == (BATCH, 1)
    assert not queue.put_back(batch, failed=False)
    assert texts(queue.take_batch() + queue.take_batch()) == [str(number) for number in range(BATCH + 1)]


def test_oldest_are_given_up_beyond_the_bound() -> None:
    """They are counted."""
    queue = Queue(3)
    for number in range(5):
        queue.add(b'{"a":%d}' % number, None)
    queue.add_answers([(None, b'{"a":5}')])
    assert texts(queue.take_batch()) == ["3", "4", "5"]
    assert (queue.lost, queue.told) == (3, 3)


def test_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that alone has too many is given up; the count is right after a batch was put back."""
    monkeypatch.setattr(broker_queue, "MAX_BYTES", 100)
    queue = Queue(1000)
    queue.add(b'{"a":"%b"}' % (b"x" * 200), None)
    assert (len(queue), queue.lost) == (0, 1)
    queue.add(b'{"a":1}', None)
    queue.put_back(queue.take_batch(), failed=False)
    queue.add(b'{"a":2}', None)
    assert (len(queue), queue.lost) == (2, 1)
    queue.add(b'{"a":"%b"}' % (b"x" * 50), None)
    assert (len(queue), queue.lost) == (1, 3)


def test_ledgers_are_asked_behind_the_lock() -> None:
    """What was missed and what came back is told."""
    queue = Queue(10)
    assert queue.ask(Ledgers.nodes) == frozenset()
    queue.ask(Ledgers.take, b'{"from":"node","seq":1}', 0.0)
    assert (queue.echoes, queue.missed) == (1, 0)


def test_message_that_is_never_taken_is_given_up_and_holds_up_nobody() -> None:
    """After a batch has failed they go one by one, until all of them were tried."""
    queue = Queue(10)
    for number in range(3):
        queue.add(b'{"a":%d}' % number, None)
    assert not queue.put_back(queue.take_batch(), failed=True)
    assert texts(queue.take_batch()) == ["0"]
    queue.published(1)
    for _ in range(MAX_REFUSALS - 1):
        batch = queue.take_batch()
        assert texts(batch) == ["1"]
        assert not queue.put_back(batch, failed=True)
    assert queue.put_back(queue.take_batch(), failed=True)
    assert (queue.lost, texts(queue.take_batch())) == (1, ["2"])


def test_batch_that_was_interrupted_is_no_failure() -> None:
    """The connection was lost, or the process ends: nothing is known against any message."""
    queue = Queue(10)
    queue.add(b'{"a":0}', None)
    for _ in range(2 * MAX_REFUSALS):
        assert not queue.put_back(queue.take_batch(), failed=False)
    assert texts(queue.take_batch()) == ["0"]
