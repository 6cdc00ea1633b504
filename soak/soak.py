"""Loads one server with everything at once for a while: nothing may leak, be lost or be doubled.

    python soak/soak.py --seconds 600 --clients 100

The application is `application.py`, its clients are those of `lives.py`. A warm-up comes first, which grows
what grows once. At the end all clients go, and what the server holds is compared with what it held before.
The chart and all samples are left in `soak/results/`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from lives import Crowd
from picture import draw

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WARM_UP = 0.15
"""Share of the time after which memory counts."""
REST = 15.0
"""Seconds in which the server has to let go of the last clients; longer than a heartbeat."""
UNHEARD = 31.0
"""Seconds for which the server keeps the session of a polling client that does not hear of its end."""
THREADS_REST = 75.0
"""Seconds after which handler threads without work have ended."""
OURS = ("carboy.", "flask_socketio.", "picows.")
GROWTH = 1.10
SLACK_KILOBYTES = 8 * 1024


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(port: int, query: str = "") -> dict[str, Any]:
    """Ask the server for its figures."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/figures{query}", timeout=30) as answer:
        figures: dict[str, Any] = json.loads(answer.read())
        return figures


async def watch(port: int, crowd: Crowd, seconds: float, began: float) -> list[dict[str, Any]]:
    """Take samples for so long, and tell how it goes."""
    samples: list[dict[str, Any]] = []
    started = time.monotonic()
    every = max(0.5, seconds / 200)
    while time.monotonic() - started < seconds:
        await asyncio.sleep(every)
        figures = await asyncio.to_thread(ask, port)
        now = time.monotonic()
        events = figures["totals"].get("events", 0) + crowd.received
        last = samples[-1] if samples else {"events": events, "second": now - began - every}
        rate = (events - last["events"]) / (now - began - last["second"])
        samples.append({**figures, "second": now - began, "events": events, "rate": max(0.0, rate)})
        if len(samples) % 10 == 0:
            print(
                f"{now - began:6.0f} s  {figures['kilobytes'] / 1024:6.1f} MiB  {figures['clients']} clients"
                f"  {rate:7.0f} events/s  {figures['files']} files  {figures['threads']} threads"
                f"  {len(crowd.faults) + len(figures['faults'])} faults",
                flush=True,
            )
    return samples


async def load(port: int, seconds: float, clients: int, began: float) -> tuple[Crowd, list[dict[str, Any]]]:
    """Let clients come, live and go for so many seconds, and wait until the last has gone."""
    crowd = Crowd(port)
    lives = [asyncio.ensure_future(crowd.live(number)) for number in range(clients)]
    samples = await watch(port, crowd, seconds, began)
    crowd.stopped.set()
    await asyncio.gather(*lives)
    return crowd, samples


def rested(port: int, threads: int | None = None) -> dict[str, Any]:
    """Wait until no client is left (and no thread too many), and return what the server holds then."""
    deadline = time.monotonic() + (REST if threads is None else THREADS_REST)
    figures = ask(port, "?objects=1")
    while (figures["clients"] or figures["threads"] > (threads or 1000)) and time.monotonic() < deadline:
        time.sleep(0.5)
        figures = ask(port, "?objects=1")
    time.sleep(0.5 if threads is None else UNHEARD)  # half a second for sockets that were aborted
    return ask(port, "?objects=1")


def judge(
    before: dict[str, Any], after: dict[str, Any], samples: list[dict[str, Any]], patient: bool
) -> list[str]:
    """Return what the server still holds, or has grown by."""
    found = [f"{after['clients']} clients are still there"] if after["clients"] else []
    found += [
        f"{name}: {before[name]} before, {after[name]} after"
        for name in ("files", "threads")
        if after[name] > before[name] and (name == "files" or patient)
    ]
    found += [
        f"{kind}: {before['objects'].get(kind, 0)} before, {count} after"
        for kind, count in after["objects"].items()
        if kind.startswith(OURS) and count > before["objects"].get(kind, 0) + 2
    ]
    settled = samples[int(len(samples) * WARM_UP) :]
    third = len(settled) // 3
    if third and patient:
        parts = settled[:third], settled[-third:]
        first, last = (max(sample["kilobytes"] for sample in part) for part in parts)
        if last > first * GROWTH + SLACK_KILOBYTES:
            found.append(f"memory grew from {first} to {last} KiB")
    return found


def tracebacks(log: str) -> list[str]:
    """Return the tracebacks of a log but for those of handlers that raised on purpose."""
    parts = log.split("Traceback (most recent call last)")[1:]
    return [part[:2000] for part in parts if "RuntimeError: on purpose" not in part]


def main() -> int:
    """Run the soak, and return whether something was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=100)
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    port, log = free_port(), RESULTS / "server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, str(HERE / "application.py"), str(port)], stdout=output, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            found = work(port, options.seconds, options.clients)
        finally:
            server.terminate()
            status = server.wait(30)
    found += [f"the server ended with status {status}"] if status else []
    found += tracebacks(log.read_text(encoding="utf-8"))
    print("\n".join(["FOUND:", *found]) if found else "nothing leaked, nothing was lost, nothing was doubled")
    return 1 if found else 0


def work(port: int, seconds: float, clients: int) -> list[str]:
    """Load the server that listens on a port, and return what was found."""
    deadline = time.monotonic() + 20
    while True:
        try:
            ask(port)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    patient = seconds >= 120
    asyncio.run(load(port, min(20.0, seconds / 4), clients, time.monotonic()))
    before = rested(port)
    print(f"warm: {before['kilobytes'] / 1024:.1f} MiB, {before['files']} files, {before['threads']} threads")
    crowd, samples = asyncio.run(load(port, seconds, clients, time.monotonic()))
    after = rested(port, before["threads"] if patient else None)
    print(f"after: {after['kilobytes'] / 1024:.1f} MiB, {after['files']} files, {after['threads']} threads")
    print(f"clients: {dict(crowd.counts)}, received {crowd.received}\nserver: {after['totals']}")
    (RESULTS / "soak.json").write_text(json.dumps(samples), encoding="utf-8")
    (RESULTS / "soak.svg").write_text(draw(samples, f"A soak of {seconds:g} seconds"), encoding="utf-8")
    return [*crowd.faults, *after["faults"], *judge(before, after, samples, patient)]


if __name__ == "__main__":
    sys.exit(main())
