"""The application of `app.py` for several workers: who has a client, and how they act on one another's."""

from __future__ import annotations

import json
import os
import signal

from app import app, asgi_app, socketio

from flask_socketio import disconnect, join_room

__all__ = ["app", "asgi_app"]


@socketio.on("who")
def who():
    return os.getpid()


@socketio.on("pull")
def pull(sid, room):
    join_room(room, sid=sid)


@socketio.on("kick")
def kick(sid):
    disconnect(sid=sid)


@socketio.on("ask another")
def ask_another(sid, value):
    return socketio.call("question", value, to=sid, timeout=5)


@socketio.on("kill")
def kill():
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), **json.loads(os.environ.get("RUN_OPTIONS", "{}")))
