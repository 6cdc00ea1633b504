"""Many events, in order."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict

from flask import Flask, request

from flask_socketio import SocketIO, emit, join_room, leave_room, send

app = Flask(__name__)
socketio = SocketIO(app)


received: list = []
released = defaultdict(threading.Event)


@socketio.on("connect")
def connect():
    emit("early", 1)
    emit("early", b"2")
    room = f"early {request.sid}"
    join_room(room)
    socketio.emit("early", 3, to=room)
    leave_room(room)
    send(4)


@socketio.on("count")
def count(number):
    received.append((request.sid, number))
    emit("counted", number)
    return number


@socketio.on("received")
def show_received():
    return [number for sid, number in received if sid == request.sid]


@socketio.on("burst")
def burst(length):
    for number in range(length):
        emit("number", number if number % 10 else bytes([number % 256]))


@socketio.on("wait")
def wait(name):
    emit("waiting")
    return released[name].wait(5)


@socketio.on("release")
def release(name):
    released[name].set()


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
