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


@pytest.mark.parametrize(("polls", "least", "most"), [(2, 0.3, 0.6), (3, TURN, 0.3)])
def test_few_polls_are_held_for_long_and_many_for_a_moment(polls: int, least: float, most: float) -> None:
    """So that the threads that are left can read what other clients send."""

    async def play() -> list[float]:
        held = HeldPolls(few=2, poll_time=0.3)
        return await asyncio.gather(*(hold_until_given_up(held) for _ in range(polls)))

    # Once one of three has left, the others are few.
    shortest = min(asyncio.run(play()))
    assert least <= shortest + 0.01 < most


def test_reply_is_returned_as_soon_as_it_is_there() -> None:
    """Whatever the time that was left."""

    async def play() -> Reply:
        task: asyncio.Task[Reply] = asyncio.ensure_future(asyncio.sleep(0.01, REPLY))
        return await asyncio.wait_for(HeldPolls(1, 60).hold(task, lambda: None), 1)

    assert asyncio.run(play()) is REPLY
