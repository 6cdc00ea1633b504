"""Events of one client arrive in order, exactly once, both ways, across the upgrade and over bad links."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import javascript
import pytest
import serving
from attacked import Target
from fault_proxy import Choose, Faults, between

COUNT = 200
CASE = Path(__file__).parent / "order.mjs"
UPGRADE = ("polling", "websocket")


class Counting:
    """A server that counts with its client, both ways at once."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._threads: list[threading.Thread] = []

    def prepare(self, server: Any) -> None:
        """Register the handlers."""

        def count(client: Any, number: int, data: Any) -> int:
            expected = bytes([number % 256]) * 200 if number % 5 == 0 else "x" * (number % 50)
            assert data == expected
            self.received.append(number)
            return number

        def connect(client: Any, environ: Any, auth: Any) -> None:
            thread = threading.Thread(target=self._emit, args=(server, client.sid))
            self._threads.append(thread)
            thread.start()

        serving.on(server, "count", count)
        self._connect = connect

    def attach(self, server: Any) -> None:
        """Register the connect handler, in place of the one that every site has."""
        serving.on(server, "connect", self._connect)

    def _emit(self, server: Any, sid: str) -> None:
        for number in range(COUNT):
            data = bytes(100) if number % 7 == 0 else "y" * (number % 40)
            server.emit("number", [number, data], rooms=[sid])
            if number % 3 == 0:
                time.sleep(0.001)
        while len(self.received) < COUNT and server.adapter.find("/", sid) is not None:
            time.sleep(0.01)
        server.emit("done", [], rooms=[sid])

    def join(self) -> None:
        """Wait for the threads."""
        for thread in self._threads:
            thread.join(20)


def play(
    target: Target, choose: Choose, transports: tuple[str, ...], seed: int
) -> tuple[dict[str, Any], int]:
    """Let the official client count through the proxy; return its report, and how many connections broke."""
    with between(int(target.site.address), choose, seed) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        command = [javascript.require_node(), str(CASE), url, str(COUNT), *transports]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=40).stdout
        report: dict[str, Any] = json.loads(output)
        return report, proxy.broken


@pytest.fixture
def counting(make_target: Callable[..., Target]) -> tuple[Counting, Target]:
    """A server that counts; one client's handlers run one after another, so that their order can be seen."""
    counting = Counting()
    target = make_target(counting.prepare, async_handlers=False)
    counting.attach(target.server)
    return counting, target


def is_upgrade(first: bytes) -> bool:
    """Tell whether a connection is that of a websocket."""
    return b"pgrade: websocket" in first


LINKS: dict[str, Faults] = {
    "a good link": Faults(),
    "a link that splits": Faults(split=7),
    "a link that delays": Faults(delay=0.004, split=900),
    "a slow link": Faults(rate=150_000, split=2_000),
}


@pytest.mark.parametrize(
    ("link", "transports"),
    [
        *((link, UPGRADE) for link in LINKS),
        ("a link that splits", ("polling",)),
        ("a slow link", ("websocket",)),
    ],
)
def test_events_arrive_in_order_and_once(
    counting: tuple[Counting, Target], link: str, transports: tuple[str, ...]
) -> None:
    """Every number both ways, and every acknowledgement, while the transport changes under load."""
    server, target = counting
    report, _ = play(target, lambda number, first: LINKS[link], transports, seed=len(link))
    server.join()
    assert report["ended"] == "done"
    assert server.received == list(range(COUNT))
    assert report["received"] == list(range(COUNT))
    assert report["acknowledged"] == list(range(COUNT))
    assert report["transport"] == transports[-1]
    target.end_polling()  # its last poll was answered, and it has no more to ask
    target.wait_for_nothing()
    assert target.lines.texts == []


@pytest.mark.parametrize(
    "faults",
    [
        Faults(reset_after=1),
        Faults(half_close_after=1),
        Faults(reset_after=700),
        Faults(reset_after=6_000),
    ],
    ids=["reset at once", "half closed at once", "reset", "reset late"],
)
def test_upgrade_that_breaks_off_loses_nothing(counting: tuple[Counting, Target], faults: Faults) -> None:
    """Until the switch the websocket is only a candidate: without it polling goes on.

    Reset later, it was the transport, and what had arrived is a beginning of all, without a gap.
    """
    server, target = counting

    def choose(number: int, first: bytes) -> Faults:
        return faults if is_upgrade(first) else Faults()

    report, broken = play(target, choose, UPGRADE, seed=2)
    target.end_polling()  # the server cannot know whether it would have come back
    server.join()
    assert broken
    if report["ended"] == "done":
        assert server.received == report["received"] == report["acknowledged"] == list(range(COUNT))
    else:
        assert (faults.reset_after or 0) > 1
        for numbers in (server.received, report["received"], report["acknowledged"]):
            assert numbers == list(range(len(numbers)))
    target.wait_for_nothing()
    assert target.lines.tracebacks == []


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_connection_that_is_reset_leaves_a_beginning_of_all(
    counting: tuple[Counting, Target], transport: str
) -> None:
    """What arrived before is in order, without a gap and without a double; the disconnect handler is told."""
    server, target = counting
    posts = 0

    def choose(number: int, first: bytes) -> Faults:
        nonlocal posts
        posts += first.startswith(b"POST")
        return Faults(
            split=90, reset_after=2_000 if transport == "websocket" else 250 if posts == 3 else None
        )

    report, broken = play(target, choose, (transport,), seed=3)
    target.end_polling()  # the server cannot know whether it would have come back
    server.join()
    assert broken
    assert report["ended"] in {"transport error", "transport close"}
    for numbers in (server.received, report["received"], report["acknowledged"]):
        assert numbers == list(range(len(numbers)))
    assert len(server.received) < COUNT
    target.wait_for_nothing()
    assert target.lines.tracebacks == []
