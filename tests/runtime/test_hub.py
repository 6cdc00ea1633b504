"""The hub runs outbox, output and timers on one loop, in order, and lets go of the loop in between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from carboy.runtime.handler_threads import HAND_OFF_AFTER
from carboy.runtime.hub import FAN_OUT_SLICE, LET_THREADS_RUN, Hub
from carboy.runtime.log import Log


class Item:
    """Something on the timer wheel."""

    def __init__(self, then: Callable[[], Any] = lambda: None) -> None:
        self.due_tick = -1
        self.calls: list[float] = []
        self._then = then

    def expire(self, now: float) -> float | None:
        """Notes the call."""
        self.calls.append(now)
        return self._then()


class Pipe:
    """Something with output."""

    def __init__(self, then: Callable[[], Any] = lambda: None) -> None:
        self.flushed = 0
        self._then = then

    def flush(self) -> None:
        """Counts."""
        self.flushed += 1
        self._then()


@pytest.fixture
def hub(loop: Any, logger: logging.Logger) -> Hub:
    """A hub on a loop whose clock stands."""
    hub = Hub(4, Log(logger))
    hub.attach(loop)
    return hub


def test_hub_runs_between_attach_and_detach(loop: Any) -> None:
    """A hub without a loop says so; it is running while it has one."""
    hub = Hub(4, Log())
    assert not hub.running
    with pytest.raises(RuntimeError, match="has not started"):
        hub.now()
    hub.attach(loop)
    assert hub.running
    assert hub.loop is loop
    assert hub.now() == loop.moment
    hub.detach()
    assert not hub.running


def test_hub_knows_its_thread(hub: Hub) -> None:
    """Only the loop's own thread is where nothing may block."""
    elsewhere: list[bool] = []
    thread = threading.Thread(target=lambda: elsewhere.append(hub.is_here))
    thread.start()
    thread.join()
    assert hub.is_here
    assert elsewhere == [False]


def test_what_a_thread_puts_is_done_on_the_loop(hub: Hub, loop: Any) -> None:
    """A thread wakes the loop, which does it in its own thread."""
    done: list[bool] = []
    thread = threading.Thread(target=lambda: hub.outbox.put(lambda: done.append(hub.is_here)))
    thread.start()
    loop.until(lambda: done)
    thread.join()
    assert done == [True]


def test_what_waited_for_the_loop_is_done_when_it_comes(loop: Any) -> None:
    """Calls that were put before there was a loop are made by the first."""
    hub, done = Hub(4, Log()), []
    hub.outbox.put(done.append, 1)
    hub.attach(loop)
    loop.turn()
    assert done == [1]


def test_output_of_a_round_leaves_in_one_flush(hub: Hub, loop: Any) -> None:
    """A connection is flushed once after all that the outbox held, whatever was done for it."""
    pipe = Pipe()
    hub.outbox.put(hub.cork, pipe)
    order: list[int] = []
    hub.outbox.put(lambda: order.append(pipe.flushed))
    loop.turn()
    assert (order, pipe.flushed) == ([0], 1)
    loop.turn()
    assert pipe.flushed == 1


def test_output_outside_of_the_outbox_leaves_at_the_end_of_the_round(hub: Hub, loop: Any) -> None:
    """What a read of the loop causes is flushed in the next step of the loop, in one go."""
    loop.turn()
    first, second = Pipe(), Pipe()
    hub.cork(first)
    hub.cork(second)
    assert (first.flushed, second.flushed) == (0, 0)
    loop.turn()
    assert (first.flushed, second.flushed) == (1, 1)


def test_exception_in_a_flush_costs_no_other_connection(
    hub: Hub, loop: Any, lines: list[logging.LogRecord]
) -> None:
    """A transport that raises is logged once, and all others are flushed."""
    pipes = [Pipe(), Pipe(then=lambda: 1 / 0), Pipe()]
    for pipe in pipes:
        hub.outbox.put(hub.cork, pipe)
    loop.turn()
    loop.turn()
    assert [pipe.flushed for pipe in pipes] == [1, 1, 1]
    assert [line.exc_info[0] for line in lines] == [ZeroDivisionError]


def test_exception_in_a_call_costs_no_other_call(hub: Hub, loop: Any, lines: list[logging.LogRecord]) -> None:
    """A defect in one call is logged once, with its traceback; the next call is made in the same round."""
    done: list[int] = []
    hub.outbox.put(int, "x")
    hub.outbox.put(done.append, 1)
    loop.turn()
    assert done == [1]
    assert [line.exc_info[0] for line in lines] == [ValueError]


def test_fan_out_reaches_everybody_in_order(hub: Hub, loop: Any) -> None:
    """Each recipient is sent the message once, in the order of the snapshot."""
    sent: list[int] = []
    hub.outbox.put(hub.fan_out, lambda who, what: sent.append(who), tuple(range(10_000)), "message")
    for _ in range(4):
        loop.turn()
    assert sent == list(range(10_000))


def test_fan_out_gives_the_loop_back_after_a_slice(hub: Hub, loop: Any) -> None:
    """One round sends one slice and flushes it; what the loop has to do otherwise comes in between."""
    sent: list[int] = []
    pipe = Pipe()

    def send(who: int, what: str) -> None:
        if not sent:
            hub.cork(pipe)
        sent.append(who)

    hub.outbox.put(hub.fan_out, send, tuple(range(2 * FAN_OUT_SLICE + 1)), "message")
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        loop.call_soon(lambda: seen.append((len(sent), pipe.flushed)))
        loop.turn()
    assert len(sent) == 2 * FAN_OUT_SLICE + 1
    assert seen == [(FAN_OUT_SLICE, 1), (2 * FAN_OUT_SLICE, 1), (2 * FAN_OUT_SLICE + 1, 1)]


def test_later_output_never_overtakes_a_fan_out(hub: Hub, loop: Any) -> None:
    """What is put while a fan-out is under way is done after its last slice."""
    sent: list[Any] = []
    hub.outbox.put(
        hub.fan_out, lambda who, what: sent.append(who), tuple(range(2 * FAN_OUT_SLICE)), "message"
    )
    hub.outbox.put(sent.append, "behind")
    loop.turn()
    assert len(sent) == FAN_OUT_SLICE
    hub.outbox.put(sent.append, "later")
    for _ in range(3):
        loop.turn()
    assert sent[-2:] == ["behind", "later"]
    assert len(sent) == 2 * FAN_OUT_SLICE + 2


def test_many_single_calls_give_the_loop_back_as_well(hub: Hub, loop: Any) -> None:
    """A round makes no more than a slice of calls, so that threads that emit without end starve nobody."""
    done: list[int] = []
    for number in range(FAN_OUT_SLICE + 10):
        hub.outbox.put(done.append, number)
    loop.turn()
    assert len(done) == FAN_OUT_SLICE
    loop.turn()
    assert done == list(range(FAN_OUT_SLICE + 10))


def test_exception_for_one_recipient_costs_no_other(
    hub: Hub, loop: Any, lines: list[logging.LogRecord]
) -> None:
    """A fan-out goes on after a recipient to whom sending raises."""
    sent: list[int] = []

    def send(who: int, what: str) -> None:
        sent.append(who)
        if who == 1:
            raise ValueError

    hub.outbox.put(hub.fan_out, send, (0, 1, 2), "message")
    loop.turn()
    assert sent == [0, 1, 2]
    assert len(lines) == 1


def test_timer_is_called_when_it_is_due(hub: Hub, loop: Any) -> None:
    """The wheel is turned by the loop's clock, within a tick."""
    item = Item()
    hub.schedule(item, hub.now() + 1.0)
    loop.advance(0.99)
    assert item.calls == []
    loop.advance(0.04)
    assert len(item.calls) == 1


def test_earlier_timer_moves_the_turn_forward(hub: Hub, loop: Any) -> None:
    """A timer that is due before the one the loop waits for is not late."""
    late, early = Item(), Item()
    hub.schedule(late, hub.now() + 10.0)
    hub.schedule(early, hub.now() + 1.0)
    loop.advance(1.03)
    assert (len(early.calls), len(late.calls)) == (1, 0)
    loop.advance(9.0)
    assert len(late.calls) == 1


def test_timers_go_on_after_one_that_raises(hub: Hub, loop: Any, lines: list[logging.LogRecord]) -> None:
    """A defect in one timer is logged; every other timer is called in its time."""
    other = Item()
    hub.schedule(Item(then=lambda: 1 / 0), hub.now() + 1.0)
    hub.schedule(other, hub.now() + 2.0)
    loop.advance(1.1)
    loop.advance(1.0)
    assert len(other.calls) == 1
    assert len(lines) == 1


def test_timer_may_schedule_while_it_is_called(hub: Hub, loop: Any) -> None:
    """The last item of a tick may put something on the wheel; nothing else of the wheel is lost."""
    first, second, third = Item(), Item(), Item()
    first._then = lambda: hub.schedule(third, hub.now() + 3.0)
    hub.schedule(first, hub.now() + 1.0)
    hub.schedule(second, hub.now() + 2.0)
    for _ in range(5):
        loop.advance(1.1)
    assert [len(item.calls) for item in (first, second, third)] == [1, 1, 1]


def test_thread_is_judged_only_after_the_loop_let_it_run(hub: Hub, loop: Any) -> None:
    """When the time of a handler is up the loop goes round once more before another thread takes over."""
    inside, go = threading.Event(), threading.Event()
    hub.threads.submit(Pace(), Source(), lambda: (inside.set(), go.wait(10)))
    try:
        loop.until(inside.is_set)
        for _ in range(2):
            loop.advance(HAND_OFF_AFTER + 0.0001)  # nothing waits, so nobody looks any more
        hub.threads.submit(Pace(), Source(), lambda: None)
        loop.turn()
        loop.advance(HAND_OFF_AFTER + 0.0001)
        assert hub.threads.threads == 1
        loop.advance(LET_THREADS_RUN + 0.0001)
        assert hub.threads.threads == 2
    finally:
        go.set()


def test_task_is_kept_until_it_is_done(hub: Hub, loop: Any) -> None:
    """A coroutine that was spawned is known to the hub while it runs."""
    gate = loop.create_future()

    async def wait() -> None:
        await gate

    hub.spawn(wait())
    loop.turn()
    assert len(hub.tasks) == 1
    gate.set_result(None)
    loop.turn()
    loop.turn()
    assert not hub.tasks


def test_hub_runs_again_on_another_loop(hub: Hub, loop: Any) -> None:
    """After a stop the hub works on a new loop, with new threads and none of the old timers."""
    stale = Item()
    hub.schedule(stale, hub.now() + 1.0)
    hub.cork(Pipe())
    threads = hub.threads
    hub.detach()
    again = type(loop)()
    hub.attach(again)
    done: list[int] = []
    try:
        assert hub.threads is not threads
        hub.threads.submit(Pace(), Source(), lambda: hub.outbox.put(done.append, 1))
        again.until(lambda: done)
        item = Item()
        hub.schedule(item, hub.now() + 1.0)
        again.advance(1.1)
        assert (len(item.calls), stale.calls) == (1, [])
        pipe = Pipe()
        hub.cork(pipe)
        again.turn()
        assert pipe.flushed == 1
    finally:
        hub.detach()
        again.close()


class Pace:
    """A handler's memory."""

    overran = 0


class Source:
    """Where a job comes from."""

    started = 0


def test_wake_up_that_died_with_its_loop_is_made_up_for(hub: Hub, loop: Any) -> None:
    """A call whose wake-up the old loop did not serve is made by the new one, and later ones wake it."""
    done: list[int] = []
    hub.outbox.put(done.append, 1)  # woken, never turned
    hub.detach()
    hub.outbox.put(done.append, 2)
    again = type(loop)()
    hub.attach(again)
    again.turn()
    hub.outbox.put(done.append, 3)
    again.turn()
    hub.detach()
    again.close()
    assert done == [1, 2, 3]


def test_what_a_late_thread_puts_on_a_closed_loop_raises_nothing(hub: Hub, loop: Any) -> None:
    """A handler that outlives the loop can still put its end into the outbox."""
    loop.turn()
    loop.close()
    thread = threading.Thread(target=hub.outbox.put, args=(print,))
    thread.start()
    thread.join()
    hub.outbox.put(print)
    assert hub.outbox.pending
