"""async_handlers=False: the events of one client strictly one after another."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter

from flask import Flask, request

from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_handlers=False)


running: Counter[str] = Counter()
overlaps: list[str] = []
released = threading.Event()


@socketio.on("work")
def work(number):
    running[request.sid] += 1
    time.sleep(0.005)
    if running[request.sid] > 1:
        overlaps.append(request.sid)
    running[request.sid] -= 1
    emit("worked", number)
    return [number, len(overlaps)]


@socketio.on("wait")
def wait():
    released.clear()
    emit("waiting")
    return released.wait(5)


@socketio.on("release")
def release():
    released.set()


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
