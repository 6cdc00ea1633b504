"""Every kind of packet as MessagePack."""

from __future__ import annotations

import json
import os

from flask import Flask

from flask_socketio import ConnectionRefusedError, SocketIO, call, disconnect, emit, send

app = Flask(__name__)
socketio = SocketIO(app, serializer="msgpack")


@socketio.on("connect")
def connect(auth):
    emit("welcome", auth)


@socketio.on("connect", namespace="/refused")
def refused():
    raise ConnectionRefusedError("no entry", {"code": 1})


@socketio.on("echo")
@socketio.on("echo", namespace="/other")
def echo(*arguments):
    emit("echo", arguments)
    return arguments


@socketio.on("types")
def types(*arguments):
    return [type(value).__name__ for value in arguments]


@socketio.on("message")
def message(data):
    send(data)


@socketio.on("ask")
def ask():
    return call("question", b"\x01", timeout=5)


@socketio.on("ask by callback")
def ask_by_callback():
    emit("question", callback=lambda *answers: emit("answered", list(answers)))


@socketio.on("everybody")
def everybody(data):
    emit("echo", data, broadcast=True)


@socketio.on("leave")
def leave():
    disconnect()


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
