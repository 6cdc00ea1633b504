"""The application of the soak: it does what applications do, and tells figures about itself.

What its clients send is numbered. A number that is not the next one of its client is kept as a fault.
"""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from flask import Flask, request

from flask_socketio import SocketIO, emit, join_room, leave_room

ROOMS = 10
TICK = 0.1
PAD = "." * 100

app = Flask(__name__)
# Strictly one after another, so that a handler sees the numbers of its client in their order.
socketio = SocketIO(app, async_handlers=False, cors_allowed_origins="*", ping_interval=5, ping_timeout=5)
clients: dict[str, int] = {}
totals: Counter[str] = Counter()
faults: list[str] = []


def take(number):
    """Note the next number of a client."""
    totals["events"] += 1
    expected = clients[request.sid] + 1
    if number != expected:
        faults.append(f"{request.sid} sent {number} where {expected} was due")
    clients[request.sid] = number
    return number


@socketio.on("connect")
def connect(auth):
    if auth == "refuse":
        totals["refused"] += 1
        return False
    clients[request.sid] = 0
    totals["connected"] += 1
    return None


@socketio.on("disconnect")
def disconnect(reason):
    del clients[request.sid]
    totals[reason] += 1


@socketio.on("number")
def number(value):
    return take(value)


@socketio.on("blob")
def blob(value, data):
    emit("blob", (value, data[::-1]))
    return take(value)


@socketio.on("pour")
def pour(value, count, size):
    for index in range(count):
        emit("poured", (index, "x" * size))
    return take(value)


@socketio.on("join")
def join(value, room):
    join_room(room)
    return take(value)


@socketio.on("leave")
def leave(value, room):
    leave_room(room)
    return take(value)


@socketio.on("fail")
def fail(value):
    take(value)
    raise RuntimeError("on purpose")


@app.get("/figures")
def figures():
    """What this process holds; with `?objects=1` after a collection, and with the objects of each type."""
    found: dict[str, int] = {}
    if request.args.get("objects"):
        gc.collect()
        found = dict(
            Counter(f"{type(thing).__module__}.{type(thing).__name__}" for thing in gc.get_objects())
        )
    status = Path("/proc/self/status").read_text()
    return {
        "kilobytes": int(status.partition("VmRSS:")[2].split()[0]),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "clients": len(clients),
        "totals": dict(totals),
        "faults": faults[:20],
        "objects": found,
    }


def tick():
    """Broadcast to all, to each room, and ask somebody, for ever."""
    count = 0
    while True:
        count += 1
        socketio.emit("tick", (count, PAD))
        for room in range(ROOMS):
            socketio.emit("room tick", (f"room {room}", count), to=f"room {room}")
        if present := list(clients):
            totals["asked"] += 1
            socketio.emit("ask", count, to=random.choice(present), callback=answered)
        time.sleep(TICK)


def answered(*values):
    totals["answered"] += 1


if __name__ == "__main__":
    socketio.start_background_task(tick)
    socketio.run(app, port=int(sys.argv[1]))
