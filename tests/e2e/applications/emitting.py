"""Emits and sends to whom the client says; the client gives the keyword arguments."""

from __future__ import annotations

import json
import os

from flask import Flask

from flask_socketio import SocketIO, emit, join_room, send

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("connect", namespace="/other")
def other_connect():
    pass


@socketio.on("join")
@socketio.on("join", namespace="/other")
def join(room):
    join_room(room)


@socketio.on("emit")
def relay_emit(options):
    emit("news", "payload", **options)


@socketio.on("send")
def relay_send(message, options):
    send(message, **options)


@socketio.on("server emit")
def relay_server_emit(options):
    socketio.emit("news", "payload", **options)


@socketio.on("server send")
def relay_server_send(message, options):
    socketio.send(message, **options)


@socketio.on("skip in a tuple")
def skip_in_a_tuple(sids):
    emit("news", "payload", broadcast=True, skip_sid=tuple(sids))


@socketio.on("rooms in a tuple")
def rooms_in_a_tuple(rooms):
    emit("news", "payload", to=tuple(rooms))


@socketio.on("shapes")
def shapes():
    socketio.emit("tuple", (1, [2], "three"))
    socketio.emit("list", [1, 2])
    socketio.emit("nothing")
    socketio.send((1, 2))


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
