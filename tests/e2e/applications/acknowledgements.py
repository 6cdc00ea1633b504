"""Handlers whose results become the acknowledgement."""

from __future__ import annotations

import json
import os

from flask import Flask

from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("none")
def none():
    return None


@socketio.on("value")
def value():
    return {"a": [1, "two", None]}


@socketio.on("false")
def false():
    return False


@socketio.on("zero")
def zero():
    return 0


@socketio.on("empty text")
def empty_text():
    return ""


@socketio.on("tuple")
def several():
    return 1, "two", [3]


@socketio.on("empty tuple")
def empty_tuple():
    return ()


@socketio.on("one in a tuple")
def one_in_a_tuple():
    return (None,)


@socketio.on("list")
def one_list():
    return [1, 2]


@socketio.on("empty list")
def empty_list():
    return []


@socketio.on("bytes")
def some_bytes():
    return b"\x00\x01"


@socketio.on("bytes inside")
def bytes_inside():
    return "a", {"data": b"\x02"}


@socketio.on("emits first")
def emits_first():
    emit("before", 1)
    return "after"


@socketio.on("echo")
def echo(*arguments):
    return arguments


@socketio.on("value", namespace="/other")
def other_value():
    return "other"


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
