"""Bytes in both directions, at every depth."""

from __future__ import annotations

import json
import os

from flask import Flask

from flask_socketio import SocketIO, call, emit, send

app = Flask(__name__)
socketio = SocketIO(app)


def describe(value):
    """Say what arrived, in words that need no bytes."""
    if isinstance(value, (bytes, bytearray)):
        return f"{type(value).__name__} {len(value)}"
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [describe(item) for item in value]
    return value


@socketio.on("describe")
def describe_event(*arguments):
    return [describe(value) for value in arguments]


@socketio.on("echo")
def echo(*arguments):
    emit("echo", arguments)
    return arguments


@socketio.on("message")
def message(data):
    send(data)


@socketio.on("make")
def make():
    emit("top", b"\x00\x01\xff")
    emit("array", bytearray(b"\x02"))
    emit("nested", {"a": [b"one", {"b": b"two"}], "c": b""})
    emit("several", (b"1", "text", b"2"))
    emit("text", "after the bytes")


@socketio.on("ask")
def ask():
    answer = call("reverse", b"\x01\x02\x03")
    return [type(answer).__name__, answer]


@socketio.on("everybody")
def everybody(data):
    emit("echo", data, broadcast=True)


@socketio.on("placeholder")
def placeholder(data):
    return data


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
