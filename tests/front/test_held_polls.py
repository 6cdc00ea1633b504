"""Polls that hold threads."""

from __future__ import annotations

import asyncio

import pytest

from carboy.front.held_polls import TURN, HeldPolls
from carboy.transports.rewriting import Reply

REPLY = Reply(200, [], b"6")


async def hold_until_given_up(held: HeldPolls) -> float:
    """Hold a poll for which nothing comes, and return for how many seconds it was held."""
    loop = asyncio.get_running_loop()
    given_up = asyncio.Event()

    async def reply() -> Reply:
        await given_up.wait()
        return REPLY

    began = loop.time()
    assert await held.hold(asyncio.ensure_future(reply()), given_up.set) is REPLY
    return loop.time() - began


@pytest.mark.parametrize(("polls", "poll_time", "least"), [(2, 0.3, 0.3), (3, 60, TURN)])
def test_few_polls_are_held_for_long_and_many_for_a_moment(
    polls: int, poll_time: float, least: float
) -> None:
    """So that the threads that are left can read what other clients send."""

    async def play() -> float:
        held = HeldPolls(few=2, poll_time=poll_time)
        tasks = [asyncio.ensure_future(hold_until_given_up(held)) for _ in range(polls)]
        # Once one of three has left, the others are few.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return min(task.result() for task in done)

    assert least <= asyncio.run(play()) + 0.01 < 10


def test_reply_is_returned_as_soon_as_it_is_there() -> None:
    """Whatever the time that was left."""

    async def play() -> Reply:
        task: asyncio.Task[Reply] = asyncio.ensure_future(asyncio.sleep(0.01, REPLY))
        return await asyncio.wait_for(HeldPolls(1, 60).hold(task, lambda: None), 20)

    assert asyncio.run(play()) is REPLY
