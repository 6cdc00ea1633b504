"""Handler threads start jobs in order, one at a time while they are short, on more threads when they block.

The clock by which handlers count as long stands still, and `check` is called where the loop's timer would:
so what happens depends on the order of events alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from carboy.runtime.handler_threads import HAND_OFF_AFTER, SHORT_RUNS_TO_FORGET, HandlerThreads

PATIENCE = 10.0


class Handler:
    """What is remembered of a handler."""

    def __init__(self, overran: int = 0) -> None:
        self.overran = overran


class Source:
    """Where jobs come from."""

    started = 0


class NumberedSource:
    """The source of one job, which notes when that is taken."""

    def __init__(self, number: int, taken: list[int]) -> None:
        self._number = number
        self._taken = taken

    @property
    def started(self) -> int:
        """Returns nothing of interest."""
        return 0

    @started.setter
    def started(self, count: int) -> None:
        self._taken.append(self._number)


class Job:
    """A job that tells when it starts, and ends when it is let go."""

    def __init__(self, hall: Hall, *, open: bool) -> None:
        self._hall = hall
        self.began = threading.Event()
        self.may_end = threading.Event()
        if open:
            self.may_end.set()
        self.thread = ""

    def run(self) -> None:
        """Runs, and tells it."""
        self.thread = threading.current_thread().name
        self._hall.order.append(self)
        self.began.set()
        assert self.may_end.wait(PATIENCE)

    def wait(self) -> Job:
        """Waits until it has begun."""
        assert self.began.wait(PATIENCE), "the job did not start"
        return self


class Hall:
    """Handler threads with all that a test needs to watch them."""

    def __init__(self, bound: int, park_for: float) -> None:
        self.moment = 0.0
        self.arms: list[float] = []
        self.failures: list[BaseException] = []
        self.complaints: list[str] = []
        self.order: list[Job] = []
        self.jobs: list[Job] = []
        self.source = Source()
        self.short = Handler()
        self.open_round: list[Callable[[], None]] | None = None
        self.threads = HandlerThreads(
            bound,
            self.arms.append,
            self.failures.append,
            self.at_end_of_round,
            full=lambda: self.complaints.append("full"),
            clock=lambda: self.moment,
            park_for=park_for,
        )

    def at_end_of_round(self, function: Callable[[], None]) -> None:
        """Ends the round of the loop at once, unless a test keeps it open."""
        if self.open_round is None:
            function()
        else:
            self.open_round.append(function)

    def submit(self, *, blocking: bool = False, handler: Handler | None = None) -> Job:
        """Submits a job."""
        job = Job(self, open=not blocking)
        self.jobs.append(job)
        self.threads.submit(handler or self.short, self.source, job.run)
        return job

    def until(self, condition: Callable[[], Any]) -> None:
        """Waits for what a thread is about to do after its job."""
        ready = threading.Event()
        for _ in range(100_000):
            if condition():
                return
            ready.wait(0.0001)
        raise AssertionError("the condition did not come true")

    def idle(self) -> None:
        """Waits until nothing is under way."""
        self.until(lambda: not self.threads.active)


@pytest.fixture
def make_hall() -> Iterator[Callable[..., Hall]]:
    """Makes handler threads, and ends them."""
    halls: list[Hall] = []

    def make(bound: int = 8, park_for: float = 60.0) -> Hall:
        halls.append(Hall(bound, park_for))
        return halls[-1]

    yield make
    for hall in halls:
        for job in hall.jobs:
            job.may_end.set()
        hall.threads.stop()
        hall.until(lambda hall=hall: hall.threads.threads == 0)


@pytest.fixture
def hall(make_hall: Callable[..., Hall]) -> Hall:
    """Eight handler threads."""
    return make_hall()


def test_jobs_of_one_round_of_the_loop_start_together_at_its_end(hall: Hall) -> None:
    """No thread is woken between two reads; the jobs count as waiting meanwhile, and keep their order."""
    hall.open_round = []
    jobs = [hall.submit() for _ in range(3)]
    assert (hall.threads.threads, hall.threads.active) == (0, True)
    assert len(hall.open_round) == 1
    hall.open_round.pop()()
    hall.idle()
    assert hall.order == jobs


def test_no_thread_starts_before_the_first_job(hall: Hall) -> None:
    """A server without events has no handler thread."""
    assert (hall.threads.threads, hall.threads.active) == (0, False)


def test_short_jobs_run_in_order_on_one_thread(hall: Hall) -> None:
    """However many jobs come, one thread runs them all as long as none blocks."""
    jobs = [hall.submit() for _ in range(500)]
    hall.idle()
    assert hall.order == jobs
    assert {job.thread for job in jobs} == {jobs[0].thread}
    assert (hall.threads.threads, hall.source.started) == (1, 500)


def test_next_thread_takes_over_when_a_job_blocks_with_others_waiting(hall: Hall) -> None:
    """The loop's timer finds the runner inside the same job: the next job starts on another thread."""
    blocked = hall.submit(blocking=True).wait()
    hall.arms.clear()
    hall.threads.check()
    waiting = hall.submit()
    assert hall.arms == [HAND_OFF_AFTER]
    assert not waiting.began.is_set()
    hall.threads.check()
    waiting.wait()
    assert waiting.thread != blocked.thread


def test_runner_that_has_gone_on_meanwhile_keeps_its_part(hall: Hall) -> None:
    """A timer that was armed in an earlier job hands nothing over."""
    first = hall.submit(blocking=True).wait()
    second = hall.submit(blocking=True)
    third = hall.submit()
    first.may_end.set()
    second.wait()
    hall.threads.check()
    assert hall.threads.threads == 1
    hall.threads.check()
    assert third.wait().thread != second.thread


def test_runner_that_ends_its_job_while_it_is_looked_at_keeps_its_part(hall: Hall) -> None:
    """Two threads never take jobs at once: the one that has gone on goes on, and no other comes."""
    first = hall.submit(blocking=True).wait()
    second = hall.submit()
    (worker,) = hall.threads._workers
    busy = type(worker).busy

    class Ending(type(worker)):
        """A thread that ends its job, and takes the next, right after it was seen inside it."""

        __slots__ = ()

        @property
        def busy(self) -> bool:
            """Tells the truth, which is another one a moment later."""
            seen: bool = busy.__get__(self)
            first.may_end.set()
            hall.until(lambda: not hall.threads._jobs.qsize())
            return seen

        @busy.setter
        def busy(self, value: bool) -> None:
            busy.__set__(self, value)

    hall.threads._started_when_armed = hall.threads._started
    worker.__class__ = Ending
    hall.threads.check()
    assert second.wait().thread == first.thread
    assert hall.threads.threads == 1


def test_timer_is_armed_only_while_something_waits(hall: Hall) -> None:
    """One timer for any number of jobs, armed again while jobs wait, and not after that."""
    blocked = hall.submit(blocking=True).wait()
    assert hall.arms == [HAND_OFF_AFTER]
    hall.submit(blocking=True)
    hall.submit()
    assert hall.arms == [HAND_OFF_AFTER]
    hall.threads.check()
    assert hall.arms == [HAND_OFF_AFTER] * 2
    blocked.may_end.set()
    hall.jobs[1].may_end.set()
    hall.idle()
    hall.threads.check()
    assert hall.arms == [HAND_OFF_AFTER] * 2


def test_handler_that_overran_is_handed_off_at_once(hall: Hall) -> None:
    """On its next call another thread starts the job behind it without waiting for the timer."""
    slow = Handler(overran=SHORT_RUNS_TO_FORGET + 1)
    first = hall.submit(handler=slow, blocking=True).wait()
    second = hall.submit(handler=slow, blocking=True).wait()
    third = hall.submit().wait()
    assert len({first.thread, second.thread, third.thread}) == 3


def test_known_slow_handler_wakes_no_other_thread_while_nothing_waits(hall: Hall) -> None:
    """The thread that ran it goes on itself if nobody had to take over."""
    slow = Handler(overran=100)
    for _ in range(3):
        hall.submit(handler=slow)
        hall.idle()
    hall.submit()
    hall.idle()
    assert hall.threads.threads == 1


def test_handler_overruns_by_the_clock(hall: Hall) -> None:
    """A call longer than the threshold is held against its handler; the second makes it known to be slow."""
    handler = Handler()
    job = hall.submit(handler=handler, blocking=True).wait()
    hall.moment += HAND_OFF_AFTER * 1.01
    job.may_end.set()
    hall.idle()
    assert handler.overran == SHORT_RUNS_TO_FORGET
    job = hall.submit(handler=handler, blocking=True).wait()
    hall.moment += HAND_OFF_AFTER * 1.01
    job.may_end.set()
    hall.idle()
    assert handler.overran == 2 * SHORT_RUNS_TO_FORGET


def test_handler_that_overran_once_is_not_handed_off(hall: Hall) -> None:
    """Any handler overruns when its thread loses the processor, and another thread would only cost."""
    once = Handler(overran=SHORT_RUNS_TO_FORGET)
    held = hall.submit(handler=once, blocking=True).wait()
    waiting = hall.submit()
    assert hall.threads.threads == 1
    assert not waiting.began.is_set()
    held.may_end.set()
    hall.idle()


def test_handler_is_forgiven_after_a_number_of_short_calls(hall: Hall) -> None:
    """Sixteen short calls make it a short handler again."""
    handler = Handler(overran=SHORT_RUNS_TO_FORGET)
    for left in reversed(range(SHORT_RUNS_TO_FORGET)):
        hall.submit(handler=handler)
        hall.idle()
        assert handler.overran == left
    hall.submit(handler=handler)
    hall.idle()
    assert handler.overran == 0


def test_jobs_wait_when_all_threads_are_blocked(make_hall: Callable[..., Hall]) -> None:
    """At the bound no thread is added, and the first that returns takes over."""
    hall = make_hall(bound=3)
    slow = Handler(overran=100)
    blocked = [hall.submit(handler=slow, blocking=True).wait() for _ in range(3)]
    waiting = [hall.submit(), hall.submit()]
    hall.threads.check()
    hall.threads.check()
    assert hall.threads.threads == 3
    assert not any(job.began.is_set() for job in waiting)
    blocked[1].may_end.set()
    assert {waiting[0].wait().thread, waiting[1].wait().thread} == {blocked[1].thread}
    assert hall.order == [*blocked, *waiting]


def test_jobs_are_taken_in_order_however_threads_change(make_hall: Callable[..., Hall]) -> None:
    """A thread takes a job only when all before it were taken, whichever of them block."""
    hall = make_hall(bound=4)
    slow = Handler(overran=1_000_000)
    taken: list[int] = []
    for number in range(2000):
        hall.threads.submit(slow if number % 3 else hall.short, NumberedSource(number, taken), lambda: None)
        if number % 50 == 0:
            hall.threads.check()
    hall.idle()
    assert taken == list(range(2000))


def test_parked_thread_is_used_again(hall: Hall) -> None:
    """A thread that was handed over and came back is woken before a new one is made."""
    slow = Handler(overran=100)
    for _ in range(20):
        first = hall.submit(handler=slow, blocking=True).wait()
        second = hall.submit(blocking=True).wait()
        first.may_end.set()
        second.may_end.set()
        hall.idle()
    assert hall.threads.threads == 2


def test_parked_thread_ends_after_a_while(make_hall: Callable[..., Hall]) -> None:
    """With nothing to do for that time a helper goes; the runner stays, and others come when needed."""
    hall = make_hall(park_for=0.0)
    slow = Handler(overran=100)
    first = hall.submit(handler=slow, blocking=True).wait()
    second = hall.submit(blocking=True).wait()
    first.may_end.set()
    hall.until(lambda: hall.threads.threads == 1)
    second.may_end.set()
    third = hall.submit().wait()
    assert third.thread == second.thread


def test_thread_that_is_needed_in_the_moment_it_would_go_stays(hall: Hall) -> None:
    """A parked thread that was made the runner just as its time was up takes the part, and only once."""

    class Late(threading.Semaphore):
        """A semaphore whose time is up just before it is released."""

        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
            if timeout is None:
                return super().acquire(blocking)
            with hall.threads._lock:
                hall.threads._hand_off()
            return False

    slow = Handler(overran=100)
    first = hall.submit(handler=slow, blocking=True).wait()
    second = hall.submit(blocking=True).wait()
    (worker,) = (worker for worker in hall.threads._workers if worker is not hall.threads._runner)
    worker.wake = Late(0)
    first.may_end.set()
    hall.until(lambda: hall.threads._runner is worker)
    third = hall.submit(blocking=True).wait()
    assert third.thread == first.thread
    second.may_end.set()
    hall.until(lambda: len(hall.threads._parked) == 1)
    third.may_end.set()
    assert hall.submit().wait().thread == first.thread


def test_exception_of_a_job_does_not_end_its_thread(hall: Hall) -> None:
    """It is told of once, and the next job runs on the same thread."""

    def fail() -> None:
        raise SystemExit("a defect")

    hall.threads.submit(hall.short, hall.source, fail)
    hall.submit().wait()
    assert [str(error) for error in hall.failures] == ["a defect"]
    assert hall.threads.threads == 1


def test_thread_that_cannot_be_started_is_tried_again(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no thread to give the job waits for the next look."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        job = hall.submit()
    assert (hall.threads.threads, hall.failures, hall.complaints) == (0, [], ["full"])
    assert hall.arms == [HAND_OFF_AFTER]
    hall.threads.check()
    job.wait()


def test_stopped_threads_end_and_waiting_jobs_are_dropped(hall: Hall) -> None:
    """The job under way ends; what waits behind it is not started any more."""
    slow = Handler(overran=100)
    under_way = hall.submit(handler=slow, blocking=True).wait()
    helper = hall.submit(blocking=True).wait()
    dropped = hall.submit()
    hall.threads.stop()
    hall.threads.stop()
    helper.may_end.set()
    under_way.may_end.set()
    hall.until(lambda: hall.threads.threads == 0)
    assert not dropped.began.is_set()
    assert not hall.threads.active


def test_stop_ends_idle_and_parked_threads(hall: Hall) -> None:
    """Threads that wait for jobs end at once."""
    slow = Handler(overran=100)
    first = hall.submit(handler=slow, blocking=True).wait()
    hall.submit().wait()
    first.may_end.set()
    hall.idle()
    hall.threads.stop()
    hall.until(lambda: hall.threads.threads == 0)


def test_stopped_threads_arm_no_timer(hall: Hall) -> None:
    """A look after the stop neither starts a thread nor asks for another look."""
    hall.submit(blocking=True).wait()
    hall.submit()
    hall.threads.stop()
    hall.arms.clear()
    hall.threads.check()
    assert (hall.arms, hall.threads.threads) == ([], 1)
