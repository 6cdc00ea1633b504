"""Events whose recipients answer, by callback and by call."""

from __future__ import annotations

import json
import os

from flask import Flask, request

from flask_socketio import SocketIO, call, emit, join_room, send

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("ask")
@socketio.on("ask", namespace="/other")
def ask(*arguments):
    def answered(*answers):
        emit("answered", [request.sid, request.namespace, list(answers)])

    emit("question", arguments, callback=answered)


@socketio.on("ask by send")
def ask_by_send():
    send("question", callback=lambda *answers: emit("answered", list(answers)))


@socketio.on("ask other")
def ask_other(sid):
    def answered(*answers):
        emit("answered", [request.sid, list(answers)])

    emit("question", to=sid, callback=answered)


@socketio.on("ask everybody")
def ask_everybody(room):
    def answered(*answers):
        emit("answered", [request.sid, list(answers)])

    emit("question", to=room, callback=answered)


@socketio.on("join")
def join(room):
    join_room(room)


@socketio.on("call")
@socketio.on("call", namespace="/other")
def call_sender(*arguments):
    answer = call("question", *arguments, timeout=10)
    return [type(answer).__name__, answer]


@socketio.on("call other")
def call_other(sid, timeout):
    try:
        return ["answer", call("question", to=sid, timeout=timeout)]
    except Exception as error:  # noqa: BLE001  # the test is told which one it was
        return [type(error).__name__, isinstance(error, TimeoutError)]


@socketio.on("call twice")
def call_twice():
    return call("question", 1, timeout=10) + call("question", 2, timeout=10)


@socketio.on("call nobody")
def call_nobody():
    try:
        socketio.call("question")
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
