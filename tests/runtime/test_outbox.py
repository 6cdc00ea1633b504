"""The outbox makes calls in the order in which they were put, with one wake-up for many."""

from __future__ import annotations

import threading

import pytest

from carboy.runtime.outbox import Outbox


class Desk:
    """An outbox, and what came of it."""

    def __init__(self) -> None:
        self.wakes = 0
        self.made: list[object] = []
        self.failures: list[BaseException] = []
        self.outbox = Outbox(self._wake, self.failures.append)

    def _wake(self) -> None:
        self.wakes += 1

    def put(self, *names: object) -> None:
        """Puts calls that note these names."""
        for name in names:
            self.outbox.put(self.made.append, name)

    def drain(self, budget: int = 100) -> bool:
        """Drains."""
        return self.outbox.drain(budget)


@pytest.fixture
def desk() -> Desk:
    """An empty outbox."""
    return Desk()


def test_calls_are_made_in_order(desk: Desk) -> None:
    """What was put first is made first, and nothing is left."""
    desk.put(1, 2, 3)
    assert desk.outbox.pending
    assert desk.drain()
    assert desk.made == [1, 2, 3]
    assert not desk.outbox.pending


def test_loop_is_woken_once_for_many_calls(desk: Desk) -> None:
    """Only the first of a batch wakes the loop; after a round the next batch wakes it again."""
    desk.put(1, 2, 3)
    assert desk.wakes == 1
    desk.drain()
    desk.put(4)
    assert desk.wakes == 2


def test_call_put_by_a_call_is_not_forgotten(desk: Desk) -> None:
    """What a call puts is made in the same round, behind what was there."""
    desk.outbox.put(desk.put, "inner")
    desk.put("outer")
    assert desk.drain()
    assert desk.made == ["outer", "inner"]


def test_round_ends_where_it_is_told_to(desk: Desk) -> None:
    """The rest stays in order, and nobody is woken for it: the caller knows."""
    desk.put(1, 2, 3)
    assert not desk.drain(2)
    assert desk.made == [1, 2]
    desk.put(4)
    assert desk.wakes == 1
    assert desk.drain()
    assert desk.made == [1, 2, 3, 4]


def test_round_that_ends_with_the_last_call_is_done(desk: Desk) -> None:
    """With nothing left there is no next round, and the next call wakes the loop."""
    desk.put(1)
    assert desk.drain(1)
    desk.put(2)
    assert desk.wakes == 2


def test_rest_of_a_call_goes_first(desk: Desk) -> None:
    """What is put back is made before everything that waits."""
    desk.put(2)
    desk.outbox.put_first(desk.made.append, 1)
    desk.drain()
    assert desk.made == [1, 2]


def test_exception_neither_stalls_nor_loses_what_follows(desk: Desk) -> None:
    """A call that raises is told of once; the others are made in the same round."""
    desk.put(1)
    desk.outbox.put(int, "x")
    desk.put(2)
    assert desk.drain()
    assert desk.made == [1, 2]
    assert [type(error) for error in desk.failures] == [ValueError]


def test_cleared_outbox_makes_no_call(desk: Desk) -> None:
    """What was dropped is never made."""
    desk.put(1)
    desk.outbox.clear()
    desk.drain()
    assert desk.made == []


def test_calls_of_each_thread_stay_in_order_while_the_loop_drains() -> None:
    """Threads put while the loop drains: nothing is lost or doubled, and no thread's calls change places."""
    woken = threading.Semaphore(0)
    made: list[tuple[int, int]] = []
    outbox = Outbox(woken.release, lambda error: None)

    def put_many(thread: int) -> None:
        for number in range(2000):
            outbox.put(made.append, (thread, number))

    threads = [threading.Thread(target=put_many, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    while len(made) < 8000:
        assert woken.acquire(timeout=10), "calls wait, and nobody was woken"
        while not outbox.drain(7):
            pass
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [entry[1] for entry in made if entry[0] == number] == list(range(2000))
