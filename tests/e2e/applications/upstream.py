"""What `clustered.py` is, by python-socketio's own server: what speaks on the queue under Flask-SocketIO."""

from __future__ import annotations

import os

import socketio
from werkzeug.serving import run_simple

manager = socketio.RedisManager(os.environ["QUEUE"], channel="flask-socketio")
server = socketio.Server(client_manager=manager, async_mode="threading")


@server.on("join")
def join(sid, room):
    server.enter_room(sid, room)
    return room


@server.on("everybody")
def everybody(sid, *data):
    server.emit("news", data)


@server.on("others")
def others(sid, room, *data):
    server.emit("news", data, room=room, skip_sid=sid)


@server.on("ask")
def ask(asker, sid, question):
    server.emit(
        "question", question, to=sid, callback=lambda *answer: server.emit("answer", answer, to=asker)
    )


@server.on("call")
def call(asker, sid, question):
    return server.call("question", question, to=sid, timeout=5)


@server.on("bring")
def bring(_, sid, room):
    server.enter_room(sid, room)


@server.on("take away")
def take_away(_, sid, room):
    server.leave_room(sid, room)


@server.on("close")
def close(sid, room):
    server.close_room(room)


@server.on("dismiss")
def dismiss(_, sid):
    server.disconnect(sid)


run_simple("127.0.0.1", int(os.environ["PORT"]), socketio.WSGIApp(server), threaded=True)
