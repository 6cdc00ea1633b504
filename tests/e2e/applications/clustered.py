"""One of several processes that share a message queue: what its clients ask for reaches all others."""

from __future__ import annotations

import os

from flask import Flask, request

from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ["QUEUE"], logger=True)


@socketio.on("join")
def join(room):
    join_room(room)
    return room


@socketio.on("everybody")
def everybody(*data):
    emit("news", data, broadcast=True)


@socketio.on("others")
def others(room, *data):
    emit("news", data, to=room, include_self=False)


@socketio.on("ask")
def ask(sid, question):
    asker = request.sid
    socketio.emit(
        "question", question, to=sid, callback=lambda *answer: socketio.emit("answer", answer, to=asker)
    )


@socketio.on("call")
def call(sid, question, timeout=5):
    try:
        return socketio.call("question", question, to=sid, timeout=timeout)
    except TimeoutError as error:
        return str(error)


@socketio.on("bring")
def bring(sid, room):
    socketio.server.enter_room(sid, room)


@socketio.on("take away")
def take_away(sid, room):
    socketio.server.leave_room(sid, room)


@socketio.on("close")
def close(room):
    socketio.close_room(room)


@socketio.on("dismiss")
def dismiss(sid):
    socketio.server.disconnect(sid)


@socketio.on("count")
def count(room=None):
    return socketio.count_clients(to=room)


@socketio.on("list")
def list_clients():
    return sorted(client.sid for client in socketio.fetch_clients())


@socketio.on("number")
def number(*numbers):
    for each in numbers:
        socketio.emit("number", each)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]))
