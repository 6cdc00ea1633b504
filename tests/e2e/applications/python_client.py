"""The application that the Python client talks to."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import ConnectionRefusedError, SocketIO, call, disconnect, emit, send

app = Flask(__name__)
socketio = SocketIO(app)
reasons: list[str] = []


@socketio.on("connect")
def connect(auth):
    emit("welcome", auth)


@socketio.on("connect", namespace="/refused")
def refused():
    raise ConnectionRefusedError("no entry", 1)


@socketio.on("disconnect")
def disconnected(reason):
    reasons.append(reason)


@socketio.on("echo")
@socketio.on("echo", namespace="/other")
def echo(*arguments):
    emit("echo", arguments)
    return arguments


@socketio.on("message")
def message(data):
    send(data)


@socketio.on("ask")
def ask():
    return call("question", b"\x01", timeout=5)


@socketio.on("who", namespace="/other")
def who():
    return [request.namespace, request.sid]


@socketio.on("leave")
def leave():
    disconnect()


@app.route("/reasons")
def show_reasons():
    return reasons


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
