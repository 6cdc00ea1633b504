"""Events with every kind of argument, emitted back as they came."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import SocketIO, emit, send

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("message")
def message(data):
    send(data)


@socketio.on("json")
def json_message(data):
    send(data, json=True)


@socketio.on("none")
def none():
    emit("none")


@socketio.on("one")
def one(value):
    emit("one", value)


@socketio.on("three")
def three(first, second, third):
    emit("three", (first, second, third))


@socketio.event
def named_after_function(value):
    emit("named", value)


@socketio.event(namespace="/other")
def named_elsewhere(value):
    emit("named elsewhere", value)


@socketio.on("first name")
@socketio.on("second name")
def two_names():
    emit("called", request.event["message"])


@socketio.on("héllo ☃ 😀")
def unicode_name(value):
    emit("héllo ☃ 😀", value)


@socketio.on("defaults")
def defaults(first, second="default", *rest):
    emit("defaults", [first, second, list(rest)])


@socketio.on("request event")
def request_event(*arguments):
    emit("request event", {"message": request.event["message"], "args": list(request.event["args"])})


@socketio.on("shapes")
def shapes():
    emit("nothing", None)
    emit("no values", ())
    emit("one null", (None,))
    emit("a list", [1, 2])
    emit("a tuple", (1, 2))
    emit("a tuple inside", {"pair": (1, 2)})
    emit("number keys", {1: "one"})
    emit("false", False)
    emit("big", 2**70)


@socketio.on("later")
def later():
    data = [1]
    emit("later", data)
    data.append(2)


@socketio.on("mixed")
def mixed(text):
    send(text)
    emit("custom", text)
    send({"text": text}, json=True)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
