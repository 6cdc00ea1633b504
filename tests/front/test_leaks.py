"""Nothing is left of clients that came and went, in whatever way: no object, thread, file or byte.

    LEAK_CYCLES=100000 pytest tests/front/test_leaks.py -o timeout=0

By default each way is gone a few hundred times, enough to see one object left by each client.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serving
from raw import BINARY, CLOSE, TEXT, close_body, frame, handshake_headers, opened

CYCLES = int(os.environ.get("LEAK_CYCLES", "100"))
ABANDONED_FOR = 1.0 if CYCLES < 1000 else 3.0
"""Seconds; with many cycles the machine will be slow in one of them."""
WARM_UP = max(50, CYCLES // 10)
SECONDS = 20.0
SLACK_OBJECTS = 60
TICKS = 1500
"""The timer wheel keeps a set for each tick in which something was due, until its time comes: 25 seconds."""
SLACK_KILOBYTES = 4096
BYTES_A_CYCLE = 16
"""Fragments of memory that the allocator may keep; one object of Python has more."""


@pytest.fixture(scope="module")
def site() -> Iterator[serving.Site]:
    """Serve an application that refuses some, with times so short that what is abandoned ends soon."""
    server = serving.make_server(connect_timeout=ABANDONED_FOR, upgrade_timeout=ABANDONED_FOR)
    with pytest.MonkeyPatch.context() as patch, serving.serve(server) as running:
        patch.setattr("carboy.runtime.connection.CLOSE_FALLBACK", 0.3)  # nobody waits for 30 seconds here
        serving.on(server, "connect", lambda client, environ, auth: auth != {"refuse": True})
        yield running


def held(site: serving.Site) -> dict[str, int]:
    """Wait until all clients are gone, and count what this process holds."""
    deadline = time.monotonic() + SECONDS
    while site.call(site._is_busy) or site.call(lambda: len(site.embedded._uvicorn.server_state.connections)):
        assert time.monotonic() < deadline, "a client did not go"
        time.sleep(0.02)
    site.forget()
    gc.collect()
    counts: dict[str, int] = Counter(f"objects of {type(thing).__name__}" for thing in gc.get_objects())
    counts["threads"] = threading.active_count()
    if Path("/proc/self/fd").exists():
        counts["files"] = len(list(Path("/proc/self/fd").iterdir()))
        counts["kilobytes"] = int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])
    return dict(counts)


# The ways to come and go, each with the number of the cycle

Cycle = Callable[[serving.Site, int], None]


def comes_and_leaves(site: serving.Site, number: int) -> None:
    """A websocket that joins, is answered, and says goodbye."""
    with site.websocket() as client:
        client.send_text('420["echo",1]')
        assert client.read_text() == "430[1]"
        client.send(frame(CLOSE, close_body(1000)))
        assert client.read_close() == 1000


def is_cut_off(site: serving.Site, number: int) -> None:
    """A websocket that joins, and whose connection is reset."""
    site.websocket().reset()


def polls_and_leaves(site: serving.Site, number: int) -> None:
    """A client on polling that joins and closes its session."""
    with site.client() as client:
        target = site.polling(client)
        assert client.request("POST", target, b"1").status == 200


def is_refused(site: serving.Site, number: int) -> None:
    """A websocket whose connect handler refuses."""
    with site.websocket(join=False) as client:
        client.send_text('40{"refuse":true}')
        assert client.read_text().startswith("44")


def breaks_the_handshake_off(site: serving.Site, number: int) -> None:
    """A websocket that is cut off at each byte of its handshake, and at each step after it."""
    request = f"GET {serving.WEBSOCKET} HTTP/1.1\r\nHost: localhost\r\n{handshake_headers()}\r\n".encode()
    whole = request + frame(TEXT, b"40") + frame(TEXT, b'42["echo"]')
    client = site.client()
    client.send(whole[: number % (len(whole) + 1)])
    if number % 2:
        client.reset()
    else:
        client.socket.close()


def breaks_the_upgrade_off(site: serving.Site, number: int) -> None:
    """A session on polling whose websocket is cut off at each step of the upgrade."""
    with site.client() as client, site.client() as candidate:
        sid = opened(client.request("GET", serving.POLLING).body)["sid"]
        steps = number % 5
        if steps:
            assert candidate.upgrade(f"{serving.WEBSOCKET}&sid={sid}").status == 101
        if steps > 1:
            candidate.send_text("2probe" if steps > 2 else "40")
        if steps > 2:
            assert candidate.read_text() == "3probe"
        if steps > 3:
            candidate.send_text("5")
        if number % 2:
            candidate.reset()


def breaks_a_rule(site: serving.Site, number: int) -> None:
    """A websocket that sends what is no packet, or no frame."""
    with site.websocket() as client:
        client.send((frame(TEXT, b"42["), frame(3), b"\xff\xff", frame(TEXT, b"\xff"))[number % 4])
        assert client.read_close()


def leaves_its_attachments_behind(site: serving.Site, number: int) -> None:
    """A websocket that announces attachments and sends too few of them, or half of one."""
    with site.websocket() as client:
        client.send_text('452-["echo",{"_placeholder":true,"num":0}]')
        client.send(frame(BINARY, bytes(1000)) + frame(BINARY, bytes(1000), fin=False)[: number % 1000])


def leaves_acks_behind(site: serving.Site, number: int) -> None:
    """Events that are never acknowledged: their time is up, or their client leaves before."""
    lost: list[str] = []
    with site.websocket() as client:
        del client
        site.server.emit_with_ack(
            "ask",
            [],
            lambda client, arguments: None,
            lambda client, why: lost.append(why),
            timeout=0.01 if number % 10 == 0 else 20,
        )
        while number % 10 == 0 and not lost:
            time.sleep(0.002)


def moves_between_rooms(site: serving.Site, number: int) -> None:
    """A client that enters rooms with names of their own, leaves some, and leaves with the others."""
    with site.websocket() as client:
        del client
        (sid,) = (client.sid for client in site.server.adapter.recipients("/", None, ()))
        for index in range(4):
            site.server.enter_room(sid, f"{number}.{index}")
        site.server.leave_room(sid, f"{number}.0")
        site.server.close_room(f"{number}.1")


WAYS: list[Cycle] = [
    comes_and_leaves,
    is_cut_off,
    polls_and_leaves,
    is_refused,
    breaks_the_handshake_off,
    breaks_the_upgrade_off,
    breaks_a_rule,
    leaves_its_attachments_behind,
    leaves_acks_behind,
    moves_between_rooms,
]


def gone_through(site: serving.Site, way: Cycle, cycles: int) -> dict[str, int]:
    """Go one way many times, and return what is held after."""
    for number in range(cycles):
        way(site, number)
        while not site.seen.empty():  # what the handlers of the site write down is not a leak
            site.seen.get()
        if way is moves_between_rooms:
            while site.call(site._is_busy):
                pass
    return held(site)


def grown(before: dict[str, int], after: dict[str, int], cycles: int) -> dict[str, int]:
    """Return what is held more than before, beyond what caches and the allocator may keep."""
    allowed = {
        "objects of set": TICKS,
        "threads": 1,  # a handler thread may wait for work
        "files": 0,
        "kilobytes": SLACK_KILOBYTES + cycles * BYTES_A_CYCLE // 1024,
    }
    return {
        name: count - before.get(name, 0)
        for name, count in after.items()
        if count - before.get(name, 0) > allowed.get(name, SLACK_OBJECTS)
    }


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_is_left_of_a_client_that(way: Cycle, site: serving.Site) -> None:
    """After many more clients the process holds what it held after the first ones."""
    before = gone_through(site, way, WARM_UP)
    began = time.monotonic()
    after = gone_through(site, way, CYCLES)
    if CYCLES >= 1000:
        print(f"\n{way.__name__}: {CYCLES} cycles in {time.monotonic() - began:.0f} s;", end=" ")
        print({name: (before[name], after[name]) for name in ("threads", "files", "kilobytes")})
    assert grown(before, after, CYCLES) == {}


def test_a_leak_is_found(site: serving.Site) -> None:
    """One object that each client leaves behind is more than what is allowed."""
    kept: list[Any] = []

    def way(site: serving.Site, number: int) -> None:
        kept.append([number])

    before = gone_through(site, way, 1)
    found = set(grown(before, gone_through(site, way, CYCLES), CYCLES))
    assert found - {"kilobytes"} == {"objects of list"}  # very many of them are memory too
