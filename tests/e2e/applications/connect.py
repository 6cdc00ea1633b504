"""Connect handlers that accept, refuse and fail, each in a namespace of its own."""

from __future__ import annotations

import json
import os
from collections import Counter
from threading import Event

from flask import Flask, request

from flask_socketio import ConnectionRefusedError, SocketIO, disconnect, emit

app = Flask(__name__)
socketio = SocketIO(app)


runs: Counter[str] = Counter()


@socketio.on("connect")
def connect_main(auth):
    emit("welcome", {"auth": auth, "sid": request.sid})


@socketio.on("connect", namespace="/plain")
def connect_plain():
    emit("welcome", "no argument")


@socketio.on("connect", namespace="/none")
def connect_none():
    return None


@socketio.on("connect", namespace="/zero")
def connect_zero():
    return 0


@socketio.on("connect", namespace="/empty")
def connect_empty():
    return ""


@socketio.on("connect", namespace="/false")
def connect_false():
    emit("never", "a refused client receives nothing")
    return False


@socketio.on("connect", namespace="/refused")
def connect_refused():
    raise ConnectionRefusedError


@socketio.on("connect", namespace="/message")
def connect_message():
    raise ConnectionRefusedError("no entry")


@socketio.on("connect", namespace="/data")
def connect_data():
    raise ConnectionRefusedError("no entry", {"code": 42})


@socketio.on("connect", namespace="/details")
def connect_details():
    raise ConnectionRefusedError("no entry", 1, "two")


@socketio.on("connect", namespace="/password")
def connect_password(auth):
    if not auth or auth.get("password") != "secret":
        raise ConnectionRefusedError("wrong password")


@socketio.on("connect", namespace="/raises")
def connect_raises():
    raise RuntimeError("on purpose")


@socketio.on("connect", namespace="/type-error")
def connect_type_error(auth):
    runs["/type-error"] += 1
    raise TypeError("on purpose")


@socketio.on("connect", namespace="/leaves")
def connect_leaves():
    disconnect()


waiting: dict[str, Event] = {}


@socketio.on("connect", namespace="/slow")
def connect_slow(auth):
    emit("early", "from the handler")
    waiting[auth["name"]] = Event()
    waiting[auth["name"]].wait(5)
    return auth["accept"]


@socketio.on("disconnect", namespace="/slow")
def disconnect_slow():
    runs["disconnects of slow clients"] += 1


@app.route("/waiting")
def show_waiting():
    return list(waiting)


@app.route("/release/<name>")
def release(name):
    waiting.pop(name).set()
    return {}


@app.route("/news")
def news():
    socketio.emit("news", "to everybody", namespace="/slow")
    return {}


@socketio.on("disconnect", namespace="/false")
@socketio.on("disconnect", namespace="/refused")
@socketio.on("disconnect", namespace="/raises")
@socketio.on("disconnect", namespace="/leaves")
def refused_then_disconnected():
    runs["disconnects of refused clients"] += 1


@app.route("/runs")
def show_runs():
    return runs


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
