"""Rooms, and disconnects of oneself and of others."""

from __future__ import annotations

import json
import os

from flask import Flask

from flask_socketio import SocketIO, close_room, disconnect, emit, join_room, leave_room, rooms

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("connect")
def connect():
    join_room("from the connect handler")


@socketio.on("join")
def join(room):
    join_room(room)
    return sorted(rooms())


@socketio.on("leave")
def leave(room):
    leave_room(room)
    return sorted(rooms())


@socketio.on("join other")
def join_other(sid, room):
    join_room(room, sid=sid)
    return sorted(rooms(sid))


@socketio.on("leave other")
def leave_other(sid, room):
    leave_room(room, sid=sid)
    return sorted(rooms(sid=sid, namespace="/"))


@socketio.on("rooms")
def show_rooms():
    return sorted(rooms())


@socketio.on("close")
def close(room):
    close_room(room)


@socketio.on("close by server")
def close_by_server(room):
    socketio.close_room(room, namespace="/")


@socketio.on("tell")
def tell(room, text):
    emit("told", text, to=room)


@socketio.on("join and tell")
def join_and_tell(room):
    join_room(room)
    emit("told", "inside", to=room)
    leave_room(room)
    emit("told", "outside", to=room)


@socketio.on("join by number")
def join_by_number():
    join_room(7)
    emit("told", "seven", to=7)
    return 7 in rooms()


@socketio.on("steal")
def steal(sid):
    try:
        join_room(sid)
    except ValueError:
        return "refused"


@socketio.on("leave self")
def leave_self():
    disconnect()


@socketio.on("kick")
def kick(sid):
    disconnect(sid)
    return "kicked"


@socketio.on("kick by server")
def kick_by_server(sid):
    socketio.server.disconnect(sid, namespace="/")


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
