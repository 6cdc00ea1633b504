"""The timer wheel calls what is due, not early and at most one tick late."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carboy.runtime.timer_wheel import TimerWheel

TICK = 0.02


class Item:
    """Something on the wheel that notes when it is called."""

    def __init__(self, then: Any = None) -> None:
        self.due_tick = -1
        self.calls: list[float] = []
        self._then = then

    def expire(self, now: float) -> float | None:
        """Notes the call."""
        self.calls.append(now)
        return self._then(self) if callable(self._then) else self._then


@pytest.fixture
def failures() -> list[BaseException]:
    """The exceptions that the wheel has told of."""
    return []


@pytest.fixture
def wheel(failures: list[BaseException]) -> TimerWheel:
    """An empty wheel."""
    return TimerWheel(failures.append, TICK)


def test_empty_wheel_wants_nothing(wheel: TimerWheel) -> None:
    """Without items there is no time at which the wheel wants to be turned, and turning it does nothing."""
    assert wheel.next_due() is None
    wheel.turn(1e9)


@given(when=st.floats(0, 1e7))
def test_item_is_called_neither_early_nor_more_than_a_tick_late(when: float) -> None:
    """The wheel wants to be turned at or after the time that was asked for, within one tick."""
    wheel = TimerWheel(lambda error: None, TICK)
    wheel.schedule(Item(), when)
    due = wheel.next_due()
    assert due is not None
    assert when <= due + 1e-6 * max(1, when)
    assert due <= when + TICK + 1e-6 * max(1, when)


def test_item_is_called_once(wheel: TimerWheel) -> None:
    """An item that does not ask for more is called once, and is on no wheel after it."""
    item = Item()
    wheel.schedule(item, 1.0)
    wheel.turn(0.99)
    assert item.calls == []
    wheel.turn(1.02)
    wheel.turn(5.0)
    assert (item.calls, item.due_tick) == ([1.02], -1)
    assert wheel.next_due() is None


def test_item_that_asks_again_is_called_again(wheel: TimerWheel) -> None:
    """What an item returns is when it is called next; a time in the past is the next tick, not this turn."""
    item = Item(then=0.0)
    wheel.schedule(item, 1.0)
    wheel.turn(2.0)
    assert item.calls == [2.0]
    wheel.turn(2.03)
    assert item.calls == [2.0, 2.03]


def test_moved_item_is_called_at_its_new_time_only(wheel: TimerWheel) -> None:
    """Scheduling an item again moves it, in either direction."""
    item = Item()
    wheel.schedule(item, 1.0)
    wheel.schedule(item, 3.0)
    wheel.turn(2.0)
    assert item.calls == []
    wheel.schedule(item, 2.5)
    wheel.turn(2.6)
    wheel.turn(9.0)
    assert item.calls == [2.6]


def test_wheel_tells_whether_an_item_comes_in_time(wheel: TimerWheel) -> None:
    """Within the tick in which it would be put, or before; an item that is on no wheel does not come."""
    item = Item()
    assert not wheel.comes(item, 9.0)
    wheel.schedule(item, 2.0)
    assert wheel.comes(item, 2.0)
    assert wheel.comes(item, 9.0)
    assert not wheel.comes(item, 1.9)
    wheel.turn(2.03)
    assert not wheel.comes(item, 9.0)


def test_cancelled_item_is_not_called(wheel: TimerWheel) -> None:
    """A cancelled item is off the wheel; to cancel it again, or one that is on none, does nothing."""
    item = Item()
    wheel.schedule(item, 1.0)
    wheel.cancel(item)
    wheel.cancel(item)
    assert wheel.next_due() is None
    wheel.turn(9.0)
    assert item.calls == []


def test_item_cancelled_by_another_of_the_same_tick_is_not_called(wheel: TimerWheel) -> None:
    """Whichever of two items of one tick comes first may take the other off the wheel."""
    first, second = Item(), Item()
    first._then = lambda item: wheel.cancel(second)
    second._then = lambda item: wheel.cancel(first)
    wheel.schedule(first, 1.0)
    wheel.schedule(second, 1.0)
    wheel.turn(2.0)
    assert len(first.calls + second.calls) == 1


def test_item_moved_by_another_of_the_same_tick_is_called_later(wheel: TimerWheel) -> None:
    """An item that is moved while its tick is being called comes at its new time."""
    first, second = Item(), Item()
    first._then = lambda item: wheel.schedule(second, 5.0)
    second._then = lambda item: wheel.schedule(first, 5.0)
    wheel.schedule(first, 1.0)
    wheel.schedule(second, 1.0)
    wheel.turn(2.0)
    assert len(first.calls + second.calls) == 1
    first._then = second._then = None
    wheel.turn(6.0)
    assert len(first.calls + second.calls) == 2


def test_looking_at_the_wheel_inside_an_item_loses_no_other_tick(wheel: TimerWheel) -> None:
    """An item may schedule, so that the hub asks when the wheel wants to be turned; all others stay."""
    later = Item()
    item = Item(then=lambda item: wheel.next_due() and None)
    wheel.schedule(item, 1.0)
    wheel.schedule(later, 1.5)
    wheel.turn(1.2)
    assert wheel.next_due() == pytest.approx(1.52)
    wheel.turn(2.0)
    assert (len(item.calls), len(later.calls)) == (1, 1)


def test_exception_of_an_item_stops_nothing_else(wheel: TimerWheel, failures: list[BaseException]) -> None:
    """The others of its tick and later ticks are called, and the exception is told once."""
    wheel.schedule(Item(then=lambda item: 1 / 0), 1.0)
    others = [Item() for _ in range(5)]
    for number, item in enumerate(others):
        wheel.schedule(item, 1.0 + number // 3)
    wheel.turn(3.0)
    assert [len(item.calls) for item in others] == [1] * 5
    assert [type(error) for error in failures] == [ZeroDivisionError]


@given(
    st.lists(
        st.tuples(st.sampled_from("sct"), st.integers(0, 5), st.floats(0, 3)),
        max_size=60,
    )
)
def test_wheel_does_what_a_list_of_times_would(steps: list[tuple[str, int, float]]) -> None:
    """Whatever is scheduled, moved and cancelled: each item is called once, in the turn after its time."""
    wheel = TimerWheel(lambda error: None, TICK)
    items = [Item() for _ in range(6)]
    expected: dict[int, float] = {}
    now = 0.0
    for action, number, span in steps:
        if action == "s":
            wheel.schedule(items[number], now + span)
            expected[number] = now + span
        elif action == "c":
            wheel.cancel(items[number])
            expected.pop(number, None)
        else:
            now += span
            before = [len(item.calls) for item in items]
            wheel.turn(now)
            called = {number for number, item in enumerate(items) if len(item.calls) > before[number]}
            assert {number for number, when in expected.items() if when + TICK + 1e-6 < now} <= called
            assert called <= {number for number, when in expected.items() if when <= now + 1e-6}
            expected = {number: when for number, when in expected.items() if number not in called}
    assert (wheel.next_due() is None) == (not expected)
